"""The log of a run directory -> its runs, each with its records, and the attempts that came to nothing. Pure.

A crash may tear the log anywhere; records are the truth and events only add to them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from render.plan import OPENING_STAGES, Plan
from render.store import Record

__all__ = ["Attempt", "Event", "Run", "attempts_of", "runs_of", "start_s"]


CLOCKS_DIFFER_S = 5.0  # a record so much older than the first logged run is of a run whose beginning the log has lost


Event = Mapping[str, Any]


@dataclass
class Run:
    """One life of the driver: its events, and the records of what it rendered. Times in seconds since 1970."""

    began: float
    ended: float
    finished: bool = False
    events: list[Event] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    def add(self, record: Record) -> None:
        self.records.append(record)
        self.began = min(self.began, record.began - start_s(record))
        self.ended = max(self.ended, record.ended)


@dataclass(frozen=True)
class Attempt:
    """A chunk that a worker began and did not finish. ``began`` is a guess: sent, and the chunk before it done."""

    worker: str
    chunk: str
    began: float
    ended: float


def runs_of(plan: Plan, records: Sequence[Record], events: Sequence[Event]) -> list[Run]:
    """The runs of the driver, oldest first, each with its records; those of ``--frames`` selections are left out."""
    names = {chunk.name for chunk in plan.chunks} | {record.chunk.name for record in records}
    runs = [run for run in _logged_runs(events) if _is_of(run, names)]
    starts = [run.began for run in runs]
    logged_since = starts[0] - CLOCKS_DIFFER_S if runs and runs[0].events[0]["event"] == "run-started" else -math.inf
    before: list[Record] = []
    for record in records:
        if not runs or record.ended < logged_since:
            before.append(record)
        else:
            runs[max(bisect_right(starts, record.ended) - 1, 0)].add(record)
    if before:
        runs.insert(0, Run(before[0].began, before[0].ended))
        for record in before:
            runs[0].add(record)
    return runs


def _logged_runs(events: Sequence[Event]) -> list[Run]:
    """Cut the log at every ``run-started``.

    A crash may tear a line, and the next one written, a ``run-started``, hangs on it and is lost with it. Within a run
    no worker's name is given twice: the same name once more is another run.
    """
    runs: list[Run] = []
    started: set[str] = set()
    for event in events:
        if not isinstance(event.get("time"), int | float) or not isinstance(event.get("event"), str):
            continue
        name = str(event.get("worker")) if event["event"] == "worker-starting" else None
        if event["event"] == "run-started" or name in started or not runs or runs[-1].finished:
            runs.append(Run(event["time"], event["time"]))
            started.clear()
        if name is not None:
            started.add(name)
        runs[-1].events.append(event)
        runs[-1].ended = max(runs[-1].ended, event["time"])
        runs[-1].finished = event["event"] == "run-finished"
    return runs


def _is_of(run: Run, names: set[str]) -> bool:
    sent = {str(event.get("chunk")) for event in run.events if event["event"] == "sent"}
    return not sent or not sent.isdisjoint(names)


def attempts_of(events: Iterable[Event]) -> Iterator[tuple[Event, Attempt]]:
    """Unfinished attempts of one run, each with the event that ended it. A worker renders what it was sent in order."""
    sent: dict[str, dict[str, float]] = defaultdict(dict)
    free: dict[str, float] = {}
    for event in events:
        time, worker, chunk = event["time"], str(event.get("worker")), str(event.get("chunk"))
        match event["event"]:
            case "sent":
                sent[worker][chunk] = time
            case "done":
                sent[worker].pop(chunk, None)
                free[worker] = time
            case "failed":
                began = max(sent[worker].pop(chunk, time), free.get(worker, 0.0))
                free[worker] = time
                yield event, Attempt(worker, chunk, began, time)
            case "worker-lost" if event.get("preempted") and sent[worker]:
                chunk, since = next(iter(sent.pop(worker).items()))
                yield event, Attempt(worker, chunk, max(since, free.get(worker, 0.0)), time)


def start_s(record: Record) -> float:
    """Seconds before the chunk began that its worker took to load: told with a worker's first chunk only."""
    return sum(record.timings_s.get(stage, 0.0) for stage in OPENING_STAGES)
