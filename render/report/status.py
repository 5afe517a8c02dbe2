"""What goes on in a job just now, told by its log alone, so from any machine that can read the run directory. Pure.

And the log's lines as people read them. A log may be torn anywhere: what it does not tell is not guessed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from render.errors import RunDirError
from render.plan import Plan, film_name
from render.report.cost import measured_s_per_frame
from render.report.log import Event, line_of, problems
from render.spec import Location
from render.store import Record, RunDir

__all__ = ["Busy", "Live", "job_status", "live"]


RECENT = 24  # chunks that the speed is taken over


@dataclass
class Busy:
    """A worker of the run that goes on: where it is, the chunk it has, and since when."""

    worker: str
    host: str = ""
    chunk: str | None = None
    since: float = 0.0
    queued: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Live:
    """``began``: the run's first event, seconds since 1970; ``frames_per_s`` over its last chunks, None before two."""

    began: float
    workers: Sequence[Busy]
    frames_per_s: float | None
    retries: int
    lost: int
    waiting: int
    draining: bool


def live(events: Sequence[Event], frames: Mapping[str, int], chunks_left: int) -> Live:
    """The state of the last run in the log. ``frames`` of each chunk by name; ``chunks_left`` are not done."""
    run = _last_run(events)
    workers: dict[str, Busy] = {}
    done: list[tuple[float, int]] = []
    for event in run:
        name, chunk, time = str(event.get("worker")), str(event.get("chunk")), float(event["time"])
        match event["event"]:
            case "worker-ready":
                workers[name] = Busy(name, str(event.get("host", "")))
            case "worker-lost" | "worker-retired" | "worker-stopped":
                workers.pop(name, None)
            case "opened":
                workers.setdefault(name, Busy(name))
            case "sent":
                _sent(workers.setdefault(name, Busy(name)), chunk, time)
            case "done" | "failed" if name in workers:
                _ended(workers[name], chunk, time)
                if event["event"] == "done":
                    done.append((time, frames.get(chunk, 0)))
    held = sum((worker.chunk is not None) + len(worker.queued) for worker in workers.values())
    return Live(
        began=float(run[0]["time"]) if run else 0.0,
        workers=list(workers.values()),
        frames_per_s=_speed(done[-RECENT:]),
        retries=sum(event["event"] == "failed" for event in run),
        lost=sum(event["event"] == "worker-lost" for event in run),
        waiting=max(0, chunks_left - held),
        draining=any(event["event"] == "draining" for event in run),
    )


def _last_run(events: Sequence[Event]) -> Sequence[Event]:
    sound = [event for event in events if isinstance(event.get("time"), int | float)]
    starts = [place for place, event in enumerate(sound) if event["event"] == "run-started"]
    return sound[starts[-1] :] if starts else sound


def _sent(worker: Busy, chunk: str, time: float) -> None:
    if worker.chunk is None:
        worker.chunk, worker.since = chunk, time
    else:
        worker.queued.append(chunk)


def _ended(worker: Busy, chunk: str, time: float) -> None:
    if chunk in worker.queued:
        worker.queued.remove(chunk)
    elif worker.chunk == chunk:
        worker.chunk = worker.queued.pop(0) if worker.queued else None
        worker.since = time


def _speed(done: Sequence[tuple[float, int]]) -> float | None:
    """Frames a second between the first and the last of these chunks; the first only starts the clock."""
    if len(done) < 2 or done[-1][0] <= done[0][0]:
        return None
    return sum(frames for _, frames in done[1:]) / (done[-1][0] - done[0][0])


Summary = dict[str, Any]


LAST_TROUBLES = 5


def job_status(place: Location) -> Summary:
    """How far a job is, from its run directory alone. Raises RunDirError where there is no job."""
    with contextlib.closing(RunDir(place)) as rundir:
        planned = rundir.read_plan()
        if planned is None and rundir.events():
            raise RunDirError(f"{rundir}: no plan yet; `render logs {rundir}` tells what has happened so far")
        if planned is None:
            raise RunDirError(f"{rundir}: no plan.json in it, so no job has been started here")
        records, events, running = counting_records(planned, rundir), rundir.events(), rundir.locked()
        name = film_name(planned)
        there = name is not None and rundir.size(name) is not None
    frames = sum(len(record.pictures) for record in records)
    sizes = {chunk.name: len(chunk.frames) for chunk in planned.chunks}
    now = live(events, sizes, len(planned.chunks) - len(records))
    per_frame, speed = measured_s_per_frame(records), now.frames_per_s if running else None
    return {
        "dir": str(rundir),
        "name": planned.spec.name,
        "digest": planned.digest,
        "running": running,
        "draining": running and now.draining,
        "began": round(now.began, 3) if running else None,
        "frames_done": frames,
        "frames": planned.spec.num_frames,
        "chunks_done": len(records),
        "chunks": len(planned.chunks),
        "chunks_waiting": now.waiting,
        "worker_seconds_per_frame": None if per_frame is None else round(per_frame, 4),
        "frames_per_second": None if speed is None else round(speed, 4),
        "seconds_left": None if speed is None else round((planned.spec.num_frames - frames) / speed, 1),
        "workers": [asdict(worker) for worker in now.workers] if running else [],
        "failures": sum(event["event"] == "failed" for event in events),
        "troubles": [line_of(event) for event in problems(events)[-LAST_TROUBLES:]],
        "last_event": events[-1] if events else None,
        "film": str(rundir.place(name)) if name and there else None,
        "complete": len(records) == len(planned.chunks) and (there or name is None),
    }


def counting_records(planned: Plan, rundir: RunDir) -> list[Record]:
    """The records of the film's chunks that count for this plan."""
    records = rundir.records()
    found = (records.get(chunk) for chunk in planned.chunks)
    return [record for record in found if record is not None and record.digest == planned.digest]
