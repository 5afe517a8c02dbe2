"""The command line: arguments in, calls of the stages, words and exit codes out. No logic of its own."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from render import __version__
from render.cli.commands.bench import _add_bench, _bench
from render.cli.commands.check import _check
from render.cli.commands.clean import _clean
from render.cli.commands.export import _export
from render.cli.commands.inspect import _inspect
from render.cli.commands.logs import _logs
from render.cli.commands.new import _new
from render.cli.commands.plan import _plan
from render.cli.commands.preview import command
from render.cli.commands.run import RUN_EXAMPLES, _run
from render.cli.commands.schema import _schema
from render.cli.commands.status import _status
from render.cli.commands.submit import _add_submit, _submit
from render.cli.parser import _Adder, _Parser
from render.spec.location import parse_location

__all__ = ["COMMANDS", "EXAMPLES", "TELLING", "parse"]


TELLING = ("new", "check", "plan", "status", "logs", "inspect", "schema")


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "new": _new,
    "check": _check,
    "plan": _plan,
    "run": _run,
    "submit": _submit,
    "preview": command,
    "status": _status,
    "logs": _logs,
    "clean": _clean,
    "export": _export,
    "inspect": _inspect,
    "bench": _bench,
    "schema": _schema,
}


EXAMPLES = """\
examples:
  render new dream > job.yaml        start from a template
  render check job.yaml              is it right?
  render plan job.yaml               frames, chunks, time, disk
  render preview job.yaml            a contact sheet in seconds
  render run job.yaml                render it; the same command goes on after a crash
  render run job.yaml --set steps=8 --set output.dir=out/quick
  render run job.yaml --frames 0-99,200-300x2
  render run jobs/                   a night's work: every job of a directory, on one farm
  render status out/my-dream --watch
  render logs out/my-dream --troubles
  render inspect out/my-dream/video.mp4
  render export demo out/demo-onnx   ONNX graphs, to use as a model
  render submit job.yaml --address http://HEAD:8265 --follow
  render bench --quick               what a picture costs on this machine

exit codes: 0 done, 1 a mistake in the program, 2 bad spec or command line, 3 run directory, 4 locked, 5 disk,
6 model, 7 engine, 8 video, 9 farm, 10 benchmark slower than before, 129 hung up, 130 interrupted (Ctrl-C),
143 terminated
"""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of one command; ``command`` is its name. Raises SpecError for a mistake."""
    parser = _Parser(
        prog="render",
        description="Batch rendering of Stable Diffusion video: job files in, films out.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"render {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = _Adder(commands)
    add("new", "print a job spec to start from", "render new dream > job.yaml").add_argument(
        "mode", help="what kind of job: dream"
    )
    add.job("check", "say whether job specs are right", "render check jobs/*.yaml", many=True)
    add.job("plan", "show frames, chunks, time and disk before rendering", "render plan job.yaml --set steps=30")
    run = add.job("run", "render jobs, or go on with them", "render run a.yaml b.yaml", many=True)
    run.epilog, run.formatter_class = RUN_EXAMPLES, argparse.RawDescriptionHelpFormatter
    run.add_argument("--frames", metavar="RANGES", help="only these pictures, ends included, no film: 0-99,200-300x2")
    run.add_argument("--local", action="store_true", help="one worker in this process, without Ray")
    run.add_argument("--address", help="join this Ray cluster (default: $RAY_ADDRESS, else one is started here)")
    run.add_argument(
        "--allow-gaps",
        action="store_true",
        help="where chunks failed for good, also write a film in which their frames are marked (still exit code 9)",
    )
    _add_submit(add)
    preview = add.job("preview", "a quick contact sheet: few frames, few steps", "render preview job.yaml")
    preview.add_argument(
        "--to", type=Path, metavar="FILE.png", help="where to (default: preview.png in the run directory)"
    )
    status = add.run_dir(
        "status", "how far a job is, from its run directory alone", "render status out/my-dream --watch"
    )
    status.add_argument("--watch", action="store_true", help="look again every few seconds while the job runs")
    logs = add.run_dir("logs", "what happened in a job, from its run directory alone", "render logs out/my-dream -f")
    logs.add_argument("-f", "--follow", action="store_true", help="go on while the job runs")
    logs.add_argument("--troubles", action="store_true", help="only failures, lost workers, damage, warnings")
    logs.add_argument("--worker", metavar="NAME", help="only what concerns this worker: w0")
    logs.add_argument("--details", action="store_true", help="stack traces too, where there are any")
    clean = add.run_dir("clean", "delete segments and records of a run directory", "render clean out/my-dream")
    clean.add_argument("--film-too", action="store_true", help="delete the film and the report as well")
    export = add("export", "write a model as ONNX graphs, in Optimum's layout", "render export demo out/demo-onnx")
    export.add_argument("model", help="demo, a hub id or a folder in diffusers' layout")
    export.add_argument("dir", type=Path, metavar="DIR", help="a folder that does not exist yet, or is empty")
    export.add_argument("--dtype", choices=("fp32", "fp16"), default="fp32", help="of UNet and VAE (default: fp32)")
    add.trust(export)
    export.add_argument("--with", dest="optimum", choices=("optimum",), help="export through Optimum instead")
    inspect = add("inspect", "print the job spec a film was made from", "render inspect video.mp4 > job.yaml")
    inspect.add_argument("film", type=parse_location, help="a file, or s3://bucket/prefix/video.mp4")
    _add_bench(add)
    add("schema", "print the JSON Schema of job specs", "render schema > job.schema.json")
    return parser.parse_args(arguments)
