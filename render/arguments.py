"""The grammar of the command line: commands, their options and their help. Knows no command's code.

A command is a name here; ``cli.py`` holds what it does.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from render import __version__, place
from render.errors import SpecError

__all__ = ["AFTERWARDS", "EXAMPLES", "parse"]

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


AFTERWARDS = {
    "run": "; what is done stays done, the same command goes on",
    "bench": "; report.json holds the tables that were finished, the same command begins anew",
}
"""What is to be said of a command that was interrupted, beyond that it was."""


class _Parser(argparse.ArgumentParser):
    """argparse whose mistakes look and count like those of a job spec."""

    def error(self, message: str) -> NoReturn:
        raise SpecError(f"{message}; `{self.prog} --help` shows what is possible")


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
    inspect.add_argument("film", type=place.parse, help="a file, or s3://bucket/prefix/video.mp4")
    _add_bench(add)
    add("schema", "print the JSON Schema of job specs", "render schema > job.schema.json")
    return parser.parse_args(arguments)


class _Adder:
    """Adds commands that share their arguments."""

    def __init__(self, commands: Any) -> None:
        self._commands = commands

    def __call__(self, name: str, purpose: str, example: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = self._commands.add_parser(
            name, help=purpose, description=purpose, epilog=f"example: {example}"
        )
        parser.set_defaults(command=name, trust=False)
        parser.add_argument(
            "--json",
            action="store_true",
            help="print for machines: one JSON object a job, or what failed: error, exit_code",
        )
        return parser

    def job(self, name: str, purpose: str, example: str, *, many: bool = False) -> argparse.ArgumentParser:
        parser = self(name, purpose, example)
        what = "job specs, or directories of them" if many else "a job spec"
        parser.add_argument("jobs", type=Path, nargs="+" if many else 1, metavar="JOB.yaml", help=what)
        self.overrides(parser)
        self.trust(parser)
        return parser

    def overrides(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--set",
            dest="overrides",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="override a value of the spec",
        )

    @staticmethod
    def trust(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--trust",
            action="store_true",
            help="load pickled weights and code of the model's own: they can do anything",
        )

    def run_dir(self, name: str, purpose: str, example: str) -> argparse.ArgumentParser:
        parser = self(name, purpose, example)
        parser.add_argument("dir", type=place.parse, metavar="RUN_DIR", help="a folder, or s3://bucket/prefix")
        return parser


RUN_EXAMPLES = """\
examples:
  render run job.yaml                            the same command goes on after a crash
  render run jobs/ --set farm.workers=4          every job of a directory, on one farm
  render run job.yaml --frames 0-99,200-280x2    these pictures as stills, no film
  render run job.yaml --set output.dir=s3://films/evening
  render run job.yaml --address auto             on the Ray cluster that runs here

Ctrl-C finishes the chunks in work and stops; twice, it stops at once. Either way the same command goes on. A job that
fails never stops the others; the exit code is that of the first that failed, or 128 + the signal that stopped them.
"""


SUBMIT_EXAMPLES = """\
examples:
  render submit job.yaml --address http://HEAD:8265 --follow
  render submit a.yaml b.yaml --set farm.workers=8     one submission, one farm
  render submit --list                                 what the cluster knows
  render submit --status ID
  render submit --logs ID --follow                     Ctrl-C stops following, not the job
  render submit --stop ID                              ends the chunks in work; submitted again, the job goes on

The cluster needs render on every node and `ray[default]` on its head. It keeps nothing of this machine but the spec
files: output.dir must be an absolute path there, or a store. RAY_AUTH_MODE, RAY_AUTH_TOKEN and RAY_AUTH_TOKEN_PATH mean
what they mean to Ray. Exit codes with --follow: 0 the job is done, 9 it failed or was stopped, 130 no longer followed.
"""


def _add_submit(add: _Adder) -> None:
    submit = add("submit", "render jobs on a Ray cluster that runs elsewhere", "")
    submit.epilog, submit.formatter_class = SUBMIT_EXAMPLES, argparse.RawDescriptionHelpFormatter
    submit.add_argument("jobs", type=Path, nargs="*", metavar="JOB.yaml")
    add.overrides(submit)
    add.trust(submit)
    submit.add_argument("--frames", metavar="RANGES", help="as for `render run`")
    submit.add_argument("--allow-gaps", action="store_true", help="as for `render run`")
    submit.add_argument(
        "--address", metavar="URL", help="its dashboard (default: $RAY_API_SERVER_ADDRESS, else http://127.0.0.1:8265)"
    )
    submit.add_argument("--follow", action="store_true", help="show what the job says, until it ends")
    asked = submit.add_mutually_exclusive_group()
    asked.add_argument("--status", metavar="ID", help="how a submitted job is")
    asked.add_argument("--logs", metavar="ID", help="what it has said")
    asked.add_argument("--stop", metavar="ID", help="let it end the chunks in work, and stop it")
    asked.add_argument("--list", action="store_true", help="every submission that the cluster remembers")


BENCH_EXAMPLES = """\
examples:
  render bench                                     the demo model, minutes
  render bench --quick --no-baselines              seconds a table, noisier
  render bench --model sd15 --batches 1,8,16       SD 1.5 with random weights: speed needs no download
  render bench --model sdxl --size 1024x1024 --backends compile --out out/sdxl
  render bench --compare old/report.json           exit code 10 where a case is more than 10% slower
  render bench --report new.json --compare old.json --threshold 5%   without measuring
"""


def _add_bench(add: _Adder) -> None:
    bench = add("bench", "measure what a picture costs and what approximations lose", "")
    bench.epilog, bench.formatter_class = BENCH_EXAMPLES, argparse.RawDescriptionHelpFormatter
    option = bench.add_argument
    option("--model", default="demo", help="demo, sd15 or sdxl (random weights), a folder or a hub id (default: demo)")
    option("--size", metavar="WxH", help="of the pictures (default: the model's own)")
    option("--steps", type=int, default=20, metavar="N", help="default: 20")
    option("--sampler", default="dpm++2m", help="default: dpm++2m")
    option("--guidance", type=float, default=7.5, metavar="G", help="default: 7.5; 1 is none")
    option("--backends", default="eager,compile", metavar="LIST", help="of eager, compile, onnx")
    option("--dtypes", metavar="LIST", help="of fp32, bf16, fp16 (default: fp32 on a CPU, and what is fast here)")
    option("--batches", default=None, metavar="LIST", help="default: 1,16; with --quick 1,4")
    option("--frames", type=int, default=None, metavar="N", help="of the films (default: 32; with --quick 8)")
    option("--rounds", type=int, default=None, metavar="N", help="of every timing (default: 3; with --quick 2)")
    option("--quick", action="store_true", help="few frames, few cases, nothing compiled: a first look")
    option("--no-baselines", action="store_true", help="leave out diffusers' own pipeline")
    add.trust(bench)
    option("--out", type=Path, default=Path("out/bench"), metavar="DIR", help="for the report (default: out/bench)")
    option("--report", type=Path, metavar="FILE", help="measure nothing, take this report.json")
    option("--compare", type=Path, metavar="OLD.json", help="an earlier report.json of this device")
    option("--threshold", default="10%", metavar="SHARE", help="how much slower is a regression (default: 10%%)")
    option("--force", action="store_true", help="compare with a report of another device")
