"""The command line: arguments in, calls of the stages, words and exit codes out. No logic of its own.

Heavy modules are imported inside the commands that need them: ``render --help`` and ``render check`` know neither
torch nor ray, and answer at once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from render import place, signals, trust
from render.arguments import AFTERWARDS, parse
from render.complaints import complain, failed
from render.errors import RenderError, RunDirError, SpecError
from render.voice import mute, unbroken

__all__ = ["main"]

WATCH_EVERY_S = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    signals.interrupting()
    with unbroken("stderr"):
        try:
            options = parse(arguments)
            with _heard(options.command):
                return _command(options)
        except RenderError as error:
            return complain(error)
        except BrokenPipeError:  # `render schema | head`
            mute(sys.stdout)
            return 0


def _command(options: argparse.Namespace) -> int:
    try:
        if options.trust:
            trust.grant()
        code = COMMANDS[options.command](options)
    except RenderError as error:
        if options.json:
            print(json.dumps(failed(error)))
        code = complain(error)
    except KeyboardInterrupt as stopped:
        word, code = signals.ending()
        what = f"; {stopped}" if str(stopped) else AFTERWARDS.get(options.command, "")
        print(f"render: {word}{what}", file=sys.stderr)
    sys.stdout.flush()  # here, where a closed pipe is caught
    return code


def _heard(command: str) -> AbstractContextManager[None]:
    """Who only tells may end with its listener; work goes on without one, and its exit code stands."""
    return nullcontext() if command in TELLING and sys.stdout else unbroken("stdout")


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
            if options.json:
                print(json.dumps({"job": str(path), **failed(error)}))
            failure = complain(error)
            code = code or failure
        else:
            print(json.dumps(summary) if options.json else text)
    return code


def _run(options: argparse.Namespace) -> int:
    from render.night import run

    return run(options)


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
        if rundir.read_plan() is None and not rundir.events():  # a model that cannot be had is told before any plan
            raise RunDirError(f"{rundir}: neither plan nor log in it, so no job has been started here")
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
        frames=(8 if options.quick else 32) if options.frames is None else options.frames,
        rounds=(2 if options.quick else 3) if options.rounds is None else options.rounds,
        quick=options.quick,
        baselines=not options.no_baselines,
    )


def _schema(_options: argparse.Namespace) -> int:
    from render.spec import json_schema

    print(json_schema())
    return 0


TELLING = ("new", "check", "plan", "status", "logs", "inspect", "schema")
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
