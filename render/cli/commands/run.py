"""``render run``: many jobs on one farm, and what became of each: words, JSON, an exit code."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from render.cli.bars import ProgressBars
from render.cli.farms import farm_maker
from render.cli.jobs import LoadedJob, load_all
from render.cli.output import error_json, exit_code, report_error
from render.cli.parser import add_jobs, variable
from render.errors import SpecError, StoppedError, message_of
from render.farm.job import Outcome
from render.farm.runner import run_jobs
from render.farm.signals import Interrupted, Stop, interruptible
from render.report import count, duration
from render.spec import name_of

__all__ = ["EXAMPLES", "add", "describe_jobs", "describe_outcome", "run"]

EXAMPLES = """\
examples:
  render run job.yaml                            the same command goes on after a crash
  render run jobs/ --set farm.workers=4          every job of a directory, on one farm
  render run job.yaml --frames 0-99,200-280x2    these pictures as stills, no film
  render run job.yaml --set output.dir=s3://films/evening
  render run job.yaml --address auto             on the Ray cluster that runs here

Ctrl-C finishes the chunks in work and stops; twice, it stops at once and loses them. Either way the same command goes
on. A job that fails never stops the others; the exit code is that of the first that failed, or 128 + the signal that
stopped them.
"""

Result = tuple[LoadedJob, Outcome | Exception]
"""A job of the command, and what became of it."""


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
    parser.set_defaults(interrupted="; what is done stays done, run the same command to go on")


def run(options: argparse.Namespace) -> int:
    """All jobs on one farm; a job that fails never stops the others. The exit code of the first that failed."""
    if options.local and options.address:
        raise SpecError("--local and --address exclude each other")
    address = options.address or (None if options.local else variable("RAY_ADDRESS"))
    if options.frames and options.allow_gaps:
        raise SpecError("--frames makes no film, so there is none for --allow-gaps")
    stop = Stop()
    with ExitStack() as cluster:
        results = _run(options, address, stop, cluster)
        _report(options, results)  # before Ray stops: that takes a while
    outcomes = [outcome for _, outcome in results]
    if stop.signal is not None and any(isinstance(outcome, StoppedError) for outcome in outcomes):
        return 128 + stop.signal  # whatever else happened: schedulers begin again what they stopped
    return next((exit_code(outcome) for outcome in outcomes if isinstance(outcome, Exception)), 0)


def _run(options: argparse.Namespace, address: str | None, stop: Stop, cluster: ExitStack) -> list[Result]:
    """What became of every job."""
    here = options.local or not address
    with ProgressBars() as bars:
        with bars.doing("checking the jobs"):
            loaded = load_all(options.jobs, options.overrides, options.frames, models=here, trust=options.trust)
        for error in [each.error for each in loaded if each.error]:
            report_error(error)  # now, not when the others have ended
        jobs = [(each.job, bars.job(each.label)) for each in loaded if each.job]
        farm = farm_maker(address, cluster, bars, local=options.local, trust=options.trust)
        try:
            with interruptible(stop):
                ended = iter(run_jobs(jobs, farm, options.frames, allow_gaps=options.allow_gaps, stop=stop))
        except Interrupted as error:
            raise Interrupted(error.signal, "what was being rendered is lost, what is done stays done") from None
    return [(each, each.error or next(ended)) for each in loaded]


def _report(options: argparse.Namespace, results: Sequence[Result]) -> None:
    """Print what became of every job, and a table of many."""
    for loaded, outcome in results:
        if options.json:
            words = error_json(outcome) if isinstance(outcome, Exception) else _outcome(outcome)
            print(json.dumps({"job": name_of(loaded.path), **words}))
        if isinstance(outcome, Exception):
            # mistakes were reported before the others began; of many jobs the table tells which were stopped
            if loaded.error is None and not (isinstance(outcome, StoppedError) and len(results) > 1):
                report_error(outcome, f"{loaded.label}: " if len(results) > 1 else "")
        elif not options.json:
            print(describe_outcome(outcome))
    if len(results) > 1:
        print(describe_jobs(results), file=sys.stderr if options.json else sys.stdout)


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
            f"{spec.name}: {count(outcome.rendered, 'frame')} in {duration(outcome.seconds)} "
            f"({speed:.3f} s a frame, all included)"
        ]
    for what, path in (("film", outcome.film), ("report", outcome.report), ("stills", outcome.stills)):
        if path is not None:
            lines.append(f"  {what:7} {path}")
    return "\n".join(lines)


def describe_jobs(results: Sequence[Result]) -> str:
    """A line a job: its file's name, what became of it, frames, time, film."""
    table = [
        (
            loaded.label,
            _state(outcome),
            *_figures(outcome),
            _remark(outcome),
        )
        for loaded, outcome in results
    ]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, [*widths, 0], strict=True)).rstrip() for row in table
    ]
    states = Counter(_state(outcome) for _, outcome in results)
    ends = [f"{states[state]} {state}" for state in ("done", "stopped", "failed") if states[state]]
    end = ", all done" if len(states) == 1 and states["done"] else f": {', '.join(ends)}"
    end += "; run the same command to go on" if states["stopped"] else ""
    return "\n".join([*lines, count(len(table), "job") + end])


def _state(outcome: Outcome | Exception) -> str:
    if isinstance(outcome, StoppedError):
        return "stopped"
    return "failed" if isinstance(outcome, Exception) else "done"


def _figures(outcome: Outcome | Exception) -> tuple[str, str]:
    if isinstance(outcome, Exception):
        return "", ""
    return count(outcome.rendered, "frame") if outcome.rendered else "complete already", duration(outcome.seconds)


def _remark(outcome: Outcome | Exception) -> str:
    """Where the film is, how far the job came, or what went wrong."""
    if isinstance(outcome, Outcome):
        return str(outcome.film or outcome.stills or "")
    first_line = message_of(outcome).partition("\n")[0]
    return first_line.removeprefix("stopped ").partition(";")[0] if isinstance(outcome, StoppedError) else first_line
