"""The grammar of the command line: commands, their options and their help. Knows no command's code.

A command is a name here; ``cli.py`` holds what it does.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from render import __version__
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
  render status out/my-dream
  render inspect out/my-dream/video.mp4
  render export demo out/demo-onnx   ONNX graphs, to use as a model
  render bench --quick               what a picture costs on this machine

exit codes: 0 done, 2 bad spec or command line, 3 run directory, 4 locked, 5 disk, 6 model, 7 engine,
8 video, 9 farm, 10 benchmark slower than before, 130 interrupted (Ctrl-C), 143 terminated
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
    run.add_argument("--frames", metavar="RANGES", help="only these pictures, ends included, no film: 0-99,200-300x2")
    run.add_argument("--local", action="store_true", help="one worker in this process, without Ray")
    run.add_argument("--address", help="join this Ray cluster (default: $RAY_ADDRESS, else one is started here)")
    preview = add.job("preview", "a quick contact sheet: few frames, few steps", "render preview job.yaml")
    preview.add_argument(
        "--to", type=Path, metavar="FILE.png", help="where to (default: preview.png in the run directory)"
    )
    add.run_dir("status", "how far a job is, from its run directory alone", "render status out/my-dream")
    clean = add.run_dir("clean", "delete segments and records of a run directory", "render clean out/my-dream")
    clean.add_argument("--film-too", action="store_true", help="delete the film and the report as well")
    export = add("export", "write a model as ONNX graphs, in Optimum's layout", "render export demo out/demo-onnx")
    export.add_argument("model", help="demo, a hub id or a folder in diffusers' layout")
    export.add_argument("dir", type=Path, metavar="DIR", help="a folder that does not exist yet, or is empty")
    export.add_argument("--dtype", choices=("fp32", "fp16"), default="fp32", help="of UNet and VAE (default: fp32)")
    add.trust(export)
    export.add_argument("--with", dest="optimum", choices=("optimum",), help="export through Optimum instead")
    inspect = add("inspect", "print the job spec a film was made from", "render inspect video.mp4 > job.yaml")
    inspect.add_argument("film", type=Path)
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
        parser.add_argument("--json", action="store_true", help="print for machines: one JSON object")
        return parser

    def job(self, name: str, purpose: str, example: str, *, many: bool = False) -> argparse.ArgumentParser:
        parser = self(name, purpose, example)
        parser.add_argument("jobs", type=Path, nargs="+" if many else 1, metavar="JOB.yaml")
        parser.add_argument(
            "--set",
            dest="overrides",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="override a value of the spec",
        )
        self.trust(parser)
        return parser

    @staticmethod
    def trust(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--trust",
            action="store_true",
            help="load pickled weights and code of the model's own: they can do anything",
        )

    def run_dir(self, name: str, purpose: str, example: str) -> argparse.ArgumentParser:
        parser = self(name, purpose, example)
        parser.add_argument("dir", type=Path, metavar="RUN_DIR")
        return parser


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
    option("--frames", type=int, default=None, metavar="N", help="of the films (default: 49; with --quick 8)")
    option("--rounds", type=int, default=None, metavar="N", help="of every timing (default: 3; with --quick 2)")
    option("--quick", action="store_true", help="few frames, few cases, nothing compiled: a first look")
    option("--no-baselines", action="store_true", help="leave out diffusers' own pipeline")
    add.trust(bench)
    option("--out", type=Path, default=Path("out/bench"), metavar="DIR", help="for the report (default: out/bench)")
    option("--report", type=Path, metavar="FILE", help="measure nothing, take this report.json")
    option("--compare", type=Path, metavar="OLD.json", help="an earlier report.json of this device")
    option("--threshold", default="10%", metavar="SHARE", help="how much slower is a regression (default: 10%%)")
    option("--force", action="store_true", help="compare with a report of another device")
