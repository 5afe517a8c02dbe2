"""``render run``: many jobs on one farm; arguments in, words and an exit code out."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from render.cli.jobs import load_all
from render.cli.output import error_json, exit_code, report_error
from render.cli.parser import add_jobs
from render.cli.terminal import Show
from render.errors import FarmError, RenderError, SpecError, StoppedError, message_of
from render.farm import signals
from render.farm.base import Farm
from render.farm.job import Outcome
from render.farm.local import LocalFarm
from render.farm.runner import run_jobs
from render.report import count, duration

__all__ = ["EXAMPLES", "add", "describe_jobs", "describe_outcome", "run"]

EXAMPLES = """\
examples:
  render run job.yaml                            the same command goes on after a crash
  render run jobs/ --set farm.workers=4          every job of a directory, on one farm
  render run job.yaml --frames 0-99,200-280x2    these pictures as stills, no film
  render run job.yaml --set output.dir=s3://films/evening
  render run job.yaml --address auto             on the Ray cluster that runs here

Ctrl-C finishes the chunks in work and stops; twice, it stops at once. Either way the same command goes on. A job that
fails never stops the others; the exit code is that of the first that failed, or 128 + the signal that stopped them.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Which jobs, which of their frames, and on what."""
    add_jobs(parser)
    parser.add_argument(
        "--frames", metavar="RANGES", help="only these pictures, ends included, no film: 0-99,200-300x2"
    )
    parser.add_argument("--local", action="store_true", help="one worker in this process, without Ray")
    parser.add_argument("--address", help="join this Ray cluster (default: $RAY_ADDRESS, else one is started here)")
    parser.add_argument(
        "--allow-gaps",
        action="store_true",
        help="where chunks failed for good, also write a film in which their frames are marked (still exit code 9)",
    )
    parser.set_defaults(interrupted="; what is done stays done, the same command goes on")


def run(options: argparse.Namespace) -> int:
    """All jobs on one farm; a job that fails never stops the others. The exit code of the first that failed."""
    address = options.address or os.environ.get("RAY_ADDRESS")
    if options.local and options.address:
        raise SpecError("--local and --address exclude each other")
    if options.frames and options.allow_gaps:
        raise SpecError("--frames makes no film, so there is none for --allow-gaps")
    stop = signals.Stop()
    with ExitStack() as cluster, Show() as show:
        loaded = load_all(options.jobs, options.overrides, options.frames, models=options.local or not address)
        for job in [job for _, job in loaded if isinstance(job, RenderError)]:
            report_error(job)  # now, not in the morning
        jobs = [(job, show.job(path.name)) for path, job in loaded if not isinstance(job, RenderError)]
        farm = _farm_maker(address, cluster, local=options.local)
        with signals.draining(stop):
            ended = iter(run_jobs(jobs, farm, options.frames, allow_gaps=options.allow_gaps, stop=stop))
    rows = [(str(path), job if isinstance(job, RenderError) else next(ended)) for path, job in loaded]
    _tell(options, rows, told_already={id(job) for _, job in loaded})
    if stop.signal is not None and any(isinstance(outcome, StoppedError) for _, outcome in rows):
        return 128 + stop.signal  # whatever else happened: schedulers begin again what they stopped
    return next((exit_code(outcome) for _, outcome in rows if isinstance(outcome, Exception)), 0)


def _tell(options: argparse.Namespace, rows: Sequence[tuple[str, Outcome | Exception]], told_already: set[int]) -> None:
    """Print what became of every job, and a table of many."""
    for path, outcome in rows:
        if options.json:
            told = error_json(outcome) if isinstance(outcome, Exception) else _outcome(outcome)
            print(json.dumps({"job": path, **told}))
        if isinstance(outcome, Exception):
            if id(outcome) not in told_already:
                report_error(outcome, f"{Path(path).name}: " if len(rows) > 1 else "")
        elif not options.json:
            print(describe_outcome(outcome))
    if len(rows) > 1:
        print(describe_jobs(rows), file=sys.stderr if options.json else sys.stdout)


def _farm_maker(address: str | None, cluster: ExitStack, *, local: bool) -> Callable[[], Farm]:
    """Makes a farm when a job first needs one. Ray is joined or started once, and stays until ``cluster`` is left."""

    def make() -> Farm:
        if local:
            return LocalFarm()
        try:
            from render.farm.ray.connection import connected
            from render.farm.ray.farm import RayFarm
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


def describe_outcome(outcome: Outcome) -> str:
    """Where the results are."""
    spec = outcome.plan.spec
    if not outcome.rendered:
        lines = [f"{spec.name}: complete already, nothing to render"]
    else:
        speed = outcome.seconds / outcome.rendered
        lines = [
            f"{spec.name}: {outcome.rendered} frames in {duration(outcome.seconds)} "
            f"({speed:.3f} s a frame, all included)"
        ]
    for what, path in (("film", outcome.film), ("report", outcome.report), ("stills", outcome.stills)):
        if path is not None:
            lines.append(f"  {what:7} {path}")
    return "\n".join(lines)


def describe_jobs(rows: Sequence[tuple[str, Outcome | Exception]]) -> str:
    """A line a job: its file's name, what became of it, frames, time, film."""
    table = [
        (
            Path(path).name,
            _state(outcome),
            *_figures(outcome),
            message_of(outcome).partition("\n")[0] if isinstance(outcome, Exception) else _film(outcome),
        )
        for path, outcome in rows
    ]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, [*widths, 0], strict=True)).rstrip() for row in table
    ]
    failed = sum(isinstance(outcome, Exception) for _, outcome in rows)
    return "\n".join(
        [*lines, f"{count(len(rows), 'job')}, {failed} failed" if failed else f"{count(len(rows), 'job')}, all done"]
    )


def _state(outcome: Outcome | Exception) -> str:
    if isinstance(outcome, StoppedError):
        return "stopped"
    return "failed" if isinstance(outcome, Exception) else "done"


def _figures(outcome: Outcome | Exception) -> tuple[str, str]:
    if isinstance(outcome, Exception):
        return "", ""
    return f"{outcome.rendered} frames" if outcome.rendered else "complete already", duration(outcome.seconds)


def _film(outcome: Outcome) -> str:
    return str(outcome.film or outcome.stills or "")
