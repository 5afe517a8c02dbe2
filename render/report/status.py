"""How far a job is and what it does just now, from its run directory alone: from any machine that can read it.

A log may be torn anywhere: what it does not say is not guessed.
"""

import contextlib
import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from render.errors import RunDirError
from render.plan import Plan, film_name
from render.report.cost import measured_s_per_frame
from render.report.forecast import Busy, Forecast, Paces, Waiting, foretell
from render.report.log import line_of, problems
from render.report.results import counting_records, results_of
from render.spec import Location
from render.store import Event, LogEntry, RunDir

__all__ = ["JobStatus", "NoPlanError", "RunStatus", "WorkerStatus", "job_status", "run_status"]

LAST_PROBLEMS = 5


class NoPlanError(RunDirError):
    """There is no plan yet. ``expected``: there may be one soon, because a run goes on or none has been started."""

    def __init__(self, message: str, *, expected: bool) -> None:
        super().__init__(message)
        self.expected = expected


@dataclass
class WorkerStatus:
    """A worker of the run that goes on: where it is, the chunk it has, and since when."""

    worker: str
    host: str = ""
    chunk: str | None = None
    since: float = 0.0
    queued: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RunStatus:
    """``began``: the run's first entry, seconds since 1970. While it drains, ``forecast`` is of its end."""

    began: float
    workers: Sequence[WorkerStatus]
    forecast: Forecast
    retries: int
    lost: int
    waiting: int
    draining: bool


@dataclass(frozen=True)
class JobStatus:
    """What ``render status`` says; these names and values are its JSON. ``began`` in seconds since 1970.

    ``running``: a driver is at work. ``frames_per_second`` and ``seconds_left`` are of the run that goes on, the latter
    until it stops where it is ``draining``; None where there is none, or no chunk of it is done.
    ``worker_seconds_per_frame`` is one worker's time, over all chunks done. ``troubles`` are the last problems, a line
    each; ``last_event`` is a line of the log. ``cleaned``: ``render clean`` took the segments away, and no run has
    brought them back; where what was made of them stands, all frames count as done.
    """

    dir: str
    name: str
    digest: str
    running: bool
    draining: bool
    began: float | None
    frames_done: int
    frames: int
    chunks_done: int
    chunks: int
    chunks_waiting: int
    worker_seconds_per_frame: float | None
    frames_per_second: float | None
    seconds_left: float | None
    workers: Sequence[WorkerStatus]
    failures: int
    troubles: Sequence[str]
    last_event: Mapping[str, Any] | None
    film: str | None
    complete: bool
    cleaned: bool


def run_status(entries: Sequence[LogEntry], frames: Mapping[str, int], left: Set[str], now: float) -> RunStatus:
    """The state of the last run in the log, ``now`` in seconds since 1970.

    ``frames`` are those to compute for each chunk by name; the chunks that are ``left`` are not done.
    """
    run = _last_run(entries)
    workers: dict[str, WorkerStatus] = {}
    paces = Paces()
    for entry in run:
        worker = workers.get(str(entry.worker))
        if entry.event == Event.DONE and worker and worker.chunk == entry.chunk and frames.get(worker.chunk or ""):
            paces.add(worker.worker, max(0.0, entry.time - worker.since), frames[str(entry.chunk)])
        _follow(workers, entry)
    draining = any(entry.event == Event.DRAINING for entry in run)
    waiting = left - {chunk for worker in workers.values() for chunk in (worker.chunk, *worker.queued)}
    to_begin = [] if draining else [frames.get(chunk, 0) for chunk in waiting]
    busy = [_busy(worker, frames, now, draining=draining) for worker in workers.values()]
    return RunStatus(
        began=run[0].time if run else 0.0,
        workers=list(workers.values()),
        forecast=foretell([Waiting(0, paces, len(to_begin), sum(to_begin))], busy)[0],
        retries=sum(entry.event == Event.FAILED for entry in run),
        lost=sum(entry.event == Event.WORKER_LOST for entry in run),
        waiting=len(waiting),
        draining=draining,
    )


def _last_run(entries: Sequence[LogEntry]) -> Sequence[LogEntry]:
    starts = [index for index, entry in enumerate(entries) if entry.event == Event.RUN_STARTED]
    return entries[starts[-1] :] if starts else entries


def _follow(workers: dict[str, WorkerStatus], entry: LogEntry) -> None:
    """Bring ``workers`` up to date with one more entry."""
    name, chunk = str(entry.worker), str(entry.chunk)
    match entry.event:
        case Event.WORKER_READY:
            workers[name] = WorkerStatus(name, entry.details.get("host", ""))
        case Event.WORKER_LOST | Event.WORKER_RETIRED | Event.WORKER_STOPPED:
            workers.pop(name, None)
        case Event.OPENED:
            workers.setdefault(name, WorkerStatus(name))
        case Event.SENT:
            _sent(workers.setdefault(name, WorkerStatus(name)), chunk, entry.time)
        case Event.DONE | Event.FAILED if name in workers:
            _ended(workers[name], chunk, entry.time)


def _sent(worker: WorkerStatus, chunk: str, time: float) -> None:
    if worker.chunk is None:
        worker.chunk, worker.since = chunk, time
    else:
        worker.queued.append(chunk)


def _ended(worker: WorkerStatus, chunk: str, time: float) -> None:
    if chunk in worker.queued:
        worker.queued.remove(chunk)
    elif worker.chunk == chunk:
        worker.chunk = worker.queued.pop(0) if worker.queued else None
        worker.since = time


def _busy(worker: WorkerStatus, frames: Mapping[str, int], now: float, *, draining: bool) -> Busy:
    """What a worker holds; while draining it goes no further than the chunk it executes."""
    chunks = ([worker.chunk] if worker.chunk else []) + ([] if draining else worker.queued)
    return Busy(worker.worker, 0, [frames.get(chunk, 0) for chunk in chunks], max(0.0, now - worker.since))


def job_status(location: Location) -> JobStatus:
    """How far a job is, from its run directory alone. Raises NoPlanError where nothing can be said yet."""
    with contextlib.closing(RunDir(location)) as rundir:
        plan = rundir.read_plan()
        if plan is not None:
            return _status_of(plan, rundir)
        if rundir.locked():
            raise NoPlanError(f"{rundir}: a run goes on, and is making its plan", expected=True)
        if rundir.events():
            text = f"{rundir}: no plan yet; `render logs {rundir}` tells what has happened so far"
            raise NoPlanError(text, expected=False)
        raise NoPlanError(f"{rundir}: no plan.json in it, so no job has been started here", expected=True)


def _status_of(plan: Plan, rundir: RunDir) -> JobStatus:
    records, entries, running = counting_records(plan, rundir), rundir.events(), rundir.locked()
    name, found = film_name(plan), results_of(plan, rundir, entries, records)
    sizes = {chunk.name: chunk.computed(plan.padded_batch) for chunk in plan.chunks}
    done = sizes.keys() if found.chunks_done == len(sizes) else {record.chunk.name for record in records}
    now = run_status(entries, sizes, sizes.keys() - done, time.time())
    per_frame, seen = measured_s_per_frame(records), now.forecast if running else Forecast(None)
    return JobStatus(
        dir=str(rundir),
        name=plan.spec.name,
        digest=plan.digest,
        running=running,
        draining=running and now.draining,
        began=round(now.began, 3) if running else None,
        frames_done=found.frames_done,
        frames=plan.spec.num_frames,
        chunks_done=found.chunks_done,
        chunks=len(plan.chunks),
        chunks_waiting=now.waiting,
        worker_seconds_per_frame=None if per_frame is None else round(per_frame, 4),
        frames_per_second=round(seen.frames_per_s, 4) or None,
        seconds_left=None if seen.seconds is None else round(seen.seconds, 1),
        workers=now.workers if running else [],
        failures=sum(entry.event == Event.FAILED for entry in entries),
        troubles=[line_of(entry) for entry in problems(entries)[-LAST_PROBLEMS:]],
        last_event=entries[-1].to_dict() if entries else None,
        film=str(rundir.location(name)) if name and found.film else None,
        complete=found.complete,
        cleaned=found.cleaned,
    )
