"""What goes on in a job just now, told by its log alone, so from any machine that can read the run directory. Pure.

And the log's lines as people read them. A log may be torn anywhere: what it does not tell is not guessed.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from render.words import frames_of, span

__all__ = ["Busy", "Live", "line_of", "live", "troubles"]

RECENT = 24  # chunks that the speed is taken over
TROUBLE = (
    *("failed", "worker-lost", "worker-retired", "open-failed", "starts-paused", "damaged", "note", "warning"),
    "run-failed",
)

Event = Mapping[str, Any]


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


def troubles(events: Iterable[Event]) -> list[Event]:
    """The events that a person wants to see the morning after."""
    return [event for event in events if event["event"] in TROUBLE]


def line_of(event: Event) -> str:
    """``2026-11-21 09:14:01  failed          w1  frames 96–119: out of memory``."""
    time = event.get("time")
    when = f"{datetime.datetime.fromtimestamp(time):%Y-%m-%d %H:%M:%S}" if isinstance(time, int | float) else " " * 19
    chunk = frames_of(str(event["chunk"])) if "chunk" in event else ""
    if "frame" in event:
        chunk = f"frame {event['frame']}"
    told = str(event.get("cause") or event.get("text") or "") or _rest(event)
    what = ": ".join(part for part in (chunk, told) if part)
    return f"{when}  {event['event']:<15} {event.get('worker', ''):<4} {what}".rstrip()


def _rest(event: Event) -> str:
    """The other values of an event, as ``host box, pid 4711``."""
    told = []
    for key, value in event.items():
        if key in ("time", "event", "worker", "chunk", "frame", "details"):
            continue
        if key == "seconds":
            told.append(span(float(value)))
        elif key == "digest":
            told.append(f"plan {str(value)[:12]}")
        else:
            told.append(f"{key} {value}")
    return ", ".join(told)
