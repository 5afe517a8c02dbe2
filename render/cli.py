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
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from render import place, trust
from render.arguments import AFTERWARDS, parse
from render.errors import FarmError, RenderError, RunDirError, SpecError, StoppedError

if TYPE_CHECKING:
    from render.farm import Farm
    from render.run import Outcome
    from render.stop import Stop

__all__ = ["main"]

WATCH_EVERY_S = 2.0

_terminated = threading.Event()  # SIGTERM arrived: on the way through Ray's C code an exception of our own gets lost


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    signal.signal(signal.SIGTERM, _on_sigterm)
    command = ""
    try:
        options = parse(arguments)
        command = options.command
        if options.trust:
            trust.grant()
        code = COMMANDS[command](options)
        sys.stdout.flush()  # here, where a closed pipe is caught
    except RenderError as error:
        return _complain(error)
    except KeyboardInterrupt as stopped:
        word, code = ("terminated", 143) if _terminated.is_set() else ("interrupted", 130)
        what = f"; {stopped}" if str(stopped) else AFTERWARDS.get(command, "")
        print(f"render: {word}{what}", file=sys.stderr)
        return code
    except BrokenPipeError:  # `render … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _on_sigterm(_signal: int, _frame: FrameType | None) -> NoReturn:
    _terminated.set()
    raise KeyboardInterrupt


def _complain(error: RenderError, job: str = "") -> int:
    for line in str(error).splitlines():
        print(f"render: {job}{line}", file=sys.stderr)
    return error.exit_code


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
    from render.joblist import files_in
    from render.spec import load

    code = 0
    for path in files_in(options.jobs):
        try:
            summary, text = command(load(path, options.overrides))
        except RenderError as error:
            failed = _complain(error)
            code = code or failed
        else:
            print(json.dumps(summary) if options.json else text)
    return code


def _run(options: argparse.Namespace) -> int:
    """All jobs on one farm; a job that fails never stops the others. The exit code of the first that failed."""
    from render.joblist import load_all
    from render.run import run_jobs
    from render.stop import Stop
    from render.terminal import Show

    address = options.address or os.environ.get("RAY_ADDRESS")
    if options.local and options.address:
        raise SpecError("--local and --address exclude each other")
    stop = Stop()
    with ExitStack() as cluster, Show() as show:
        loaded = load_all(options.jobs, options.overrides, models=options.local or not address)
        for job in [job for _, job in loaded if isinstance(job, RenderError)]:
            _complain(job)  # now, not in the morning
        jobs = [(job, show.job(path.name)) for path, job in loaded if not isinstance(job, RenderError)]
        farm = _farm_maker(address, cluster, local=options.local)
        with _draining(stop):
            ended = iter(run_jobs(jobs, farm, options.frames, allow_gaps=options.allow_gaps, stop=stop))
    rows = [(path.name, job if isinstance(job, RenderError) else next(ended)) for path, job in loaded]
    code = _tell(options, rows, told_already={id(job) for _, job in loaded})
    return 128 + stop.signal if stop.signal is not None and code == StoppedError.exit_code else code


def _tell(
    options: argparse.Namespace, rows: Sequence[tuple[str, Outcome | RenderError]], told_already: set[int]
) -> int:
    """Print what became of every job, and a table of many; the exit code of the first that failed."""
    from render.show import describe_night, describe_outcome

    code = 0
    for name, outcome in rows:
        if isinstance(outcome, RenderError):
            code = code or outcome.exit_code
            if id(outcome) not in told_already:
                _complain(outcome, f"{name}: " if len(rows) > 1 else "")
        else:
            print(json.dumps(_outcome(outcome)) if options.json else describe_outcome(outcome))
    if len(rows) > 1:
        print(describe_night(rows), file=sys.stderr if options.json else sys.stdout)
    return code


@contextlib.contextmanager
def _draining(stop: Stop) -> Iterator[None]:
    """Within, the first Ctrl-C or SIGTERM asks to stop, the second one stops at once."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if stop.requested:
            _on_sigterm(number, None) if number == signal.SIGTERM else signal.default_int_handler(number, None)
        stop.request(number)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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


def _submit(options: argparse.Namespace) -> int:
    from render.submit import submit

    return submit(options)


def _preview(options: argparse.Namespace) -> int:
    from render.local import LocalFarm
    from render.run import preview
    from render.spec import load
    from render.summary import check_model, check_run_dir
    from render.terminal import Show

    job = load(options.jobs[0], options.overrides)
    if options.to is None:
        check_run_dir(job)
    check_model(job)
    target = options.to or place.join(job.spec.run_dir, "preview.png")
    if not str(target).endswith(".png"):
        raise SpecError(f"--to {target}: a preview is a PNG; give a name that ends in .png")
    with Show() as show:
        frames = preview(job, LocalFarm, show.job(options.jobs[0].name), target)
    print(json.dumps({"preview": str(target), "frames": frames}) if options.json else f"{frames} frames: {target}")
    return 0


def _status(options: argparse.Namespace) -> int:
    from render.show import describe_status
    from render.summary import status

    if not options.watch:
        summary = status(options.dir)
        print(json.dumps(summary) if options.json else describe_status(summary, time.time()))
        return 0
    from render.terminal import Screen

    with Screen() as screen:
        while True:
            began = time.monotonic()
            summary = status(options.dir)
            screen.show(json.dumps(summary) if options.json else describe_status(summary, time.time()))
            if not summary["running"]:
                return 0
            time.sleep(max(WATCH_EVERY_S, 2 * (time.monotonic() - began)))  # a huge job takes a while to read


def _logs(options: argparse.Namespace) -> int:
    from render.live import line_of, troubles
    from render.rundir import RunDir

    with contextlib.closing(RunDir(options.dir)) as rundir:
        if rundir.read_plan() is None:
            raise RunDirError(f"{rundir}: no plan.json in it, so no job has been started here")
        told = 0
        while True:
            running = options.follow and rundir.locked()  # asked first: what is logged after it is read next time
            events = rundir.events()
            for event in troubles(events[told:]) if options.troubles else events[told:]:
                if options.worker in (None, event.get("worker")):
                    print(json.dumps(event) if options.json else line_of(event))
                    if options.details and not options.json and event.get("details"):
                        print(textwrap.indent(str(event["details"]).rstrip(), "    "))
            told = len(events)
            sys.stdout.flush()
            if not running:
                return 0
            time.sleep(WATCH_EVERY_S)


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
    from render.show import describe_bench
    from render.terminal import Steps

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
        frames=(8 if options.quick else 48) if options.frames is None else options.frames,
        rounds=(2 if options.quick else 3) if options.rounds is None else options.rounds,
        quick=options.quick,
        baselines=not options.no_baselines,
    )


def _schema(_options: argparse.Namespace) -> int:
    from render.spec import json_schema

    print(json_schema())
    return 0


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "new": _new,
    "check": _check,
    "plan": _plan,
    "run": _run,
    "submit": _submit,
    "preview": _preview,
    "status": _status,
    "logs": _logs,
    "clean": _clean,
    "export": _export,
    "inspect": _inspect,
    "bench": _bench,
    "schema": _schema,
}
