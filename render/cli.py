"""The command line: arguments in, calls of the stages, words and exit codes out. No logic of its own.

Heavy modules are imported inside the commands that need them: ``render --help`` and ``render check`` know neither
torch nor ray, and answer at once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from render import __version__
from render.errors import FarmError, RenderError, SpecError

if TYPE_CHECKING:
    from render.farm import Farm
    from render.run import Outcome

__all__ = ["main"]

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


class _Parser(argparse.ArgumentParser):
    """argparse whose mistakes look and count like those of a job spec."""

    def error(self, message: str) -> NoReturn:
        raise SpecError(f"{message}; `{self.prog} --help` shows what is possible")


_terminated = threading.Event()  # SIGTERM arrived: on the way through Ray's C code an exception of our own gets lost


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        options = _parser().parse_args(arguments)
        code: int = options.command(options)
        sys.stdout.flush()  # here, where a closed pipe is caught
    except RenderError as error:
        return _complain(error)
    except KeyboardInterrupt:
        word, code = ("terminated", 143) if _terminated.is_set() else ("interrupted", 130)
        print(f"render: {word}; what is done stays done, the same command goes on", file=sys.stderr)
        return code
    except BrokenPipeError:  # `render … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _on_sigterm(_signal: int, _frame: FrameType | None) -> NoReturn:
    _terminated.set()
    raise KeyboardInterrupt


def _complain(error: RenderError) -> int:
    for line in str(error).splitlines():
        print(f"render: {line}", file=sys.stderr)
    return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="render",
        description="Batch rendering of Stable Diffusion video: job files in, films out.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"render {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = _Adder(commands)
    add("new", _new, "print a job spec to start from", "render new dream > job.yaml").add_argument(
        "mode", help="what kind of job: dream"
    )
    add.job("check", _check, "say whether job specs are right", "render check jobs/*.yaml", many=True)
    add.job("plan", _plan, "show frames, chunks, time and disk before rendering", "render plan job.yaml --set steps=30")
    run = add.job("run", _run, "render jobs, or go on with them", "render run a.yaml b.yaml", many=True)
    run.add_argument("--frames", metavar="RANGES", help="only these pictures, ends included, no film: 0-99,200-300x2")
    run.add_argument("--local", action="store_true", help="one worker in this process, without Ray")
    run.add_argument("--address", help="join this Ray cluster (default: $RAY_ADDRESS, else one is started here)")
    preview = add.job("preview", _preview, "a quick contact sheet: few frames, few steps", "render preview job.yaml")
    preview.add_argument(
        "--to", type=Path, metavar="FILE.png", help="where to (default: preview.png in the run directory)"
    )
    add.run_dir("status", _status, "how far a job is, from its run directory alone", "render status out/my-dream")
    clean = add.run_dir("clean", _clean, "delete segments and records of a run directory", "render clean out/my-dream")
    clean.add_argument("--film-too", action="store_true", help="delete the film and the report as well")
    export = add(
        "export", _export, "write a model as ONNX graphs, in Optimum's layout", "render export demo out/demo-onnx"
    )
    export.add_argument("model", help="demo, a hub id or a folder in diffusers' layout")
    export.add_argument("dir", type=Path, metavar="DIR", help="a folder that does not exist yet, or is empty")
    export.add_argument("--dtype", choices=("fp32", "fp16"), default="fp32", help="of UNet and VAE (default: fp32)")
    export.add_argument("--with", dest="optimum", choices=("optimum",), help="export through Optimum instead")
    inspect = add("inspect", _inspect, "print the job spec a film was made from", "render inspect video.mp4 > job.yaml")
    inspect.add_argument("film", type=Path)
    _add_bench(add)
    add("schema", _schema, "print the JSON Schema of job specs", "render schema > job.schema.json")
    return parser


class _Adder:
    """Adds commands that share their arguments."""

    def __init__(self, commands: Any) -> None:
        self._commands = commands

    def __call__(
        self, name: str, command: Callable[[argparse.Namespace], int], purpose: str, example: str
    ) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = self._commands.add_parser(
            name, help=purpose, description=purpose, epilog=f"example: {example}"
        )
        parser.set_defaults(command=command)
        parser.add_argument("--json", action="store_true", help="print for machines: one JSON object")
        return parser

    def job(
        self, name: str, command: Callable[[argparse.Namespace], int], purpose: str, example: str, *, many: bool = False
    ) -> argparse.ArgumentParser:
        parser = self(name, command, purpose, example)
        parser.add_argument("jobs", type=Path, nargs="+" if many else 1, metavar="JOB.yaml")
        parser.add_argument(
            "--set",
            dest="overrides",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="override a value of the spec",
        )
        return parser

    def run_dir(
        self, name: str, command: Callable[[argparse.Namespace], int], purpose: str, example: str
    ) -> argparse.ArgumentParser:
        parser = self(name, command, purpose, example)
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
    bench = add("bench", _bench, "measure what a picture costs and what approximations lose", "")
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
    option("--out", type=Path, default=Path("out/bench"), metavar="DIR", help="for the report (default: out/bench)")
    option("--report", type=Path, metavar="FILE", help="measure nothing, take this report.json")
    option("--compare", type=Path, metavar="OLD.json", help="an earlier report.json of this device")
    option("--threshold", default="10%", metavar="SHARE", help="how much slower is a regression (default: 10%%)")
    option("--force", action="store_true", help="compare with a report of another device")


def _new(options: argparse.Namespace) -> int:
    from render.templates import TEMPLATES

    if options.mode not in TEMPLATES:
        raise SpecError(f"mode {options.mode!r} is not built yet; this version has: {', '.join(TEMPLATES)}")
    print(json.dumps({"yaml": TEMPLATES[options.mode]}) if options.json else TEMPLATES[options.mode].rstrip())
    return 0


def _check(options: argparse.Namespace) -> int:
    from render.show import describe_job
    from render.summary import check

    return _each_job(options, lambda job: (summary := check(job), describe_job(summary)))


def _plan(options: argparse.Namespace) -> int:
    from render.show import describe_plan
    from render.summary import plan

    return _each_job(options, lambda job: (summary := plan(job), describe_plan(summary)))


def _each_job(options: argparse.Namespace, command: Callable[[Any], tuple[dict[str, Any], str]]) -> int:
    """Print what ``command`` says of every job; the exit code of the first that failed."""
    from render.spec import load

    code = 0
    for path in options.jobs:
        try:
            summary, text = command(load(path, options.overrides))
        except RenderError as error:
            failed = _complain(error)
            code = code or failed
        else:
            print(json.dumps(summary) if options.json else text)
    return code


def _run(options: argparse.Namespace) -> int:
    """Every job in turn, on one cluster; a job that fails never stops the next. The code of the first that failed."""
    address = options.address or os.environ.get("RAY_ADDRESS")
    if options.local and options.address:
        raise SpecError("--local and --address exclude each other")
    code = 0
    with ExitStack() as cluster:
        for path in options.jobs:
            failed = _run_one(path, options, _farm_maker(address, cluster, local=options.local), check=not address)
            code = code or failed
    return code


def _run_one(path: Path, options: argparse.Namespace, make_farm: Callable[[], Farm], *, check: bool) -> int:
    from render.run import run_job
    from render.show import Show, describe_outcome
    from render.spec import load
    from render.summary import check_model, check_run_dir

    with Show(path.name) as show:
        try:
            job = load(path, options.overrides)
            check_run_dir(job)
            if options.local or check:
                check_model(job)
            outcome = run_job(job, make_farm, show, options.frames)
        except RenderError as error:
            show.stop()
            return _complain(error)
    print(json.dumps(_outcome(outcome)) if options.json else describe_outcome(outcome))
    return 0


def _farm_maker(address: str | None, cluster: ExitStack, *, local: bool) -> Callable[[], Farm]:
    """Makes a farm when a job first needs one. Ray is joined or started once, and stays until ``cluster`` is left."""

    def make() -> Farm:
        if local:
            from render.local import LocalFarm

            return LocalFarm()
        try:
            from render.cluster import RayFarm, connected
        except ImportError as error:
            raise FarmError(f"Ray is not installed here ({error}); `pip install ray`, or use --local") from None
        cluster.enter_context(connected(address))
        return RayFarm()

    return make


def _outcome(outcome: Outcome) -> dict[str, Any]:
    paths = {"film": outcome.film, "report": outcome.report, "stills": outcome.stills}
    return {
        "name": outcome.plan.spec.name,
        "digest": outcome.plan.digest,
        "frames": outcome.plan.spec.num_frames,
        "rendered": outcome.rendered,
        "seconds": round(outcome.seconds, 3),
        **{key: str(path) if path else None for key, path in paths.items()},
    }


def _preview(options: argparse.Namespace) -> int:
    from render.local import LocalFarm
    from render.run import preview
    from render.show import Show
    from render.spec import load
    from render.summary import check_model, check_run_dir

    job = load(options.jobs[0], options.overrides)
    if options.to is None:
        check_run_dir(job)
    check_model(job)
    target = options.to or job.spec.run_dir / "preview.png"
    if target.suffix != ".png":
        raise SpecError(f"--to {target}: a preview is a PNG; give a name that ends in .png")
    with Show(options.jobs[0].name) as show, contextlib.closing(LocalFarm()) as farm:
        frames = preview(job, farm, show, target)
    print(json.dumps({"preview": str(target), "frames": frames}) if options.json else f"{frames} frames: {target}")
    return 0


def _status(options: argparse.Namespace) -> int:
    from render.show import describe_status
    from render.summary import status

    summary = status(options.dir)
    print(json.dumps(summary) if options.json else describe_status(summary))
    return 0


def _clean(options: argparse.Namespace) -> int:
    from render.rundir import RunDir

    removed = RunDir(options.dir).clean(keep_film=not options.film_too)
    print(json.dumps({"removed": removed}) if options.json else f"{removed} files deleted in {options.dir}")
    return 0


def _export(options: argparse.Namespace) -> int:
    from render.export import export

    def told(part: str, seconds: float) -> None:
        print(f"export: {part} {seconds:.1f} s", file=sys.stderr, flush=True)

    summary = export(options.model, options.dir, options.dtype, told, optimum=bool(options.optimum))
    print(json.dumps(summary) if options.json else f"{summary['dir']}: {summary['dtype']}, use it as a job's model")
    return 0


def _inspect(options: argparse.Namespace) -> int:
    from render.summary import inspect

    summary = inspect(options.film)
    if options.json:
        print(json.dumps(summary))
    else:
        facts = (f"{summary['frames']} frames", summary["size"], summary["codec"], f"plan {summary['digest']}")
        print(f"# {summary['film']}: {', '.join(facts)}")
        print(summary["spec"], end="")
    return 0


def _bench(options: argparse.Namespace) -> int:
    from render.bench import compare
    from render.bench import options as read
    from render.bench import report as reports
    from render.show import Steps, describe_bench

    threshold = read.share(options.threshold)
    old = reports.load(options.compare) if options.compare else None
    if options.report:
        report = reports.load(options.report)
    else:
        from render.bench.story import bench

        wanted = _bench_options(options)
        with Steps("bench") as steps:
            report = bench(wanted, options.out, steps.step)
    comparison = compare.compare(old, report, threshold, force=options.force) if old else None
    if options.json:
        print(json.dumps(report))
    else:
        print(describe_bench(report, None if options.report else options.out))
        if comparison:
            print(compare.describe(comparison))
    if comparison:
        comparison.check()
    return 0


def _bench_options(options: argparse.Namespace) -> Any:
    """Checked, with what --quick changes."""
    from render.bench import options as read

    backends = "eager" if options.quick and options.backends == "eager,compile" else options.backends
    return read.Options(
        model=options.model,
        size=read.size(options.size),
        steps=options.steps,
        sampler=options.sampler,
        guidance=options.guidance,
        backends=read.names("--backends", backends, read.BACKENDS),
        dtypes=read.names("--dtypes", options.dtypes, read.DTYPES) if options.dtypes else (),
        batches=read.batches(options.batches or ("1,4" if options.quick else "1,16")),
        frames=(8 if options.quick else 49) if options.frames is None else options.frames,
        rounds=(2 if options.quick else 3) if options.rounds is None else options.rounds,
        quick=options.quick,
        baselines=not options.no_baselines,
    )


def _schema(_options: argparse.Namespace) -> int:
    from render.spec import json_schema

    print(json_schema())
    return 0
