"""``render run``: many jobs on one farm; arguments in, words and an exit code out."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from render import signals
from render.complaints import code_of, complain, failed
from render.errors import FarmError, RenderError, SpecError, StoppedError

if TYPE_CHECKING:
    from render.farm import Farm
    from render.run import Outcome

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """All jobs on one farm; a job that fails never stops the others. The exit code of the first that failed."""
    from render.joblist import load_all
    from render.run import run_jobs
    from render.stop import Stop
    from render.terminal import Show

    address = options.address or os.environ.get("RAY_ADDRESS")
    if options.local and options.address:
        raise SpecError("--local and --address exclude each other")
    if options.frames and options.allow_gaps:
        raise SpecError("--frames makes no film, so there is none for --allow-gaps")
    stop = Stop()
    with ExitStack() as cluster, Show() as show:
        loaded = load_all(options.jobs, options.overrides, options.frames, models=options.local or not address)
        for job in [job for _, job in loaded if isinstance(job, RenderError)]:
            complain(job)  # now, not in the morning
        jobs = [(job, show.job(path.name)) for path, job in loaded if not isinstance(job, RenderError)]
        farm = _farm_maker(address, cluster, local=options.local)
        with signals.draining(stop):
            ended = iter(run_jobs(jobs, farm, options.frames, allow_gaps=options.allow_gaps, stop=stop))
    rows = [(str(path), job if isinstance(job, RenderError) else next(ended)) for path, job in loaded]
    _tell(options, rows, told_already={id(job) for _, job in loaded})
    if stop.signal is not None and any(isinstance(outcome, StoppedError) for _, outcome in rows):
        return 128 + stop.signal  # whatever else happened: schedulers begin again what they stopped
    return next((code_of(outcome) for _, outcome in rows if isinstance(outcome, Exception)), 0)


def _tell(options: argparse.Namespace, rows: Sequence[tuple[str, Outcome | Exception]], told_already: set[int]) -> None:
    """Print what became of every job, and a table of many."""
    from render.show import describe_night, describe_outcome

    for path, outcome in rows:
        if options.json:
            told = failed(outcome) if isinstance(outcome, Exception) else _outcome(outcome)
            print(json.dumps({"job": path, **told}))
        if isinstance(outcome, Exception):
            if id(outcome) not in told_already:
                complain(outcome, f"{Path(path).name}: " if len(rows) > 1 else "")
        elif not options.json:
            print(describe_outcome(outcome))
    if len(rows) > 1:
        print(describe_night(rows), file=sys.stderr if options.json else sys.stdout)


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
