"""The log of a run directory -> its runs, each with its records, and the attempts that came to nothing. Pure.

A crash may tear the log anywhere; records are the truth and events only add to them.
"""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from render.plan import OPENING_STAGES, Plan
from render.store import Event, LogEntry, Record

__all__ = ["Attempt", "Run", "attempts_of", "runs_of", "start_s"]

CLOCKS_DIFFER_S = 5.0  # a record so much older than the first logged run is of a run whose beginning the log has lost


@dataclass
class Run:
    """One life of the driver: what it logged, and the records of what it rendered. Times in seconds since 1970."""

    began: float
    ended: float
    finished: bool = False
    entries: list[LogEntry] = field(default_factory=list)
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


def runs_of(plan: Plan, records: Sequence[Record], entries: Sequence[LogEntry]) -> list[Run]:
    """The runs of the driver, oldest first, each with its records; those of ``--frames`` selections are left out."""
    names = {chunk.name for chunk in plan.chunks} | {record.chunk.name for record in records}
    runs = [run for run in _logged_runs(entries) if _is_of(run, names)]
    starts = [run.began for run in runs]
    whole = bool(runs) and runs[0].entries[0].event == Event.RUN_STARTED
    logged_since = starts[0] - CLOCKS_DIFFER_S if whole else -math.inf
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


def _logged_runs(entries: Sequence[LogEntry]) -> list[Run]:
    """Cut the log at every ``run-started``.

    A crash may tear a line, and the next one written, a ``run-started``, hangs on it and is lost with it. Within a run
    no worker's name is given twice: the same name once more is another run.
    """
    runs: list[Run] = []
    started: set[str | None] = set()
    for entry in entries:
        starting = entry.event == Event.WORKER_STARTING
        again = starting and entry.worker in started
        if entry.event == Event.RUN_STARTED or again or not runs or runs[-1].finished:
            runs.append(Run(entry.time, entry.time))
            started.clear()
        if starting:
            started.add(entry.worker)
        runs[-1].entries.append(entry)
        runs[-1].ended = max(runs[-1].ended, entry.time)
        runs[-1].finished = entry.event == Event.RUN_FINISHED
    return runs


def _is_of(run: Run, names: set[str]) -> bool:
    sent = {entry.chunk or "" for entry in run.entries if entry.event == Event.SENT}
    return not sent or not sent.isdisjoint(names)


def attempts_of(entries: Iterable[LogEntry]) -> dict[int, Attempt]:
    """Unfinished attempts of one run, by the index of the entry that ended each.

    A worker renders what it was sent in order.
    """
    found: dict[int, Attempt] = {}
    sent: dict[str, dict[str, float]] = defaultdict(dict)
    free: dict[str, float] = {}
    for index, entry in enumerate(entries):
        time, worker, chunk = entry.time, str(entry.worker), str(entry.chunk)
        match entry.event:
            case Event.SENT:
                sent[worker][chunk] = time
            case Event.DONE:
                sent[worker].pop(chunk, None)
                free[worker] = time
            case Event.FAILED:
                began = max(sent[worker].pop(chunk, time), free.get(worker, 0.0))
                free[worker] = time
                found[index] = Attempt(worker, chunk, began, time)
            case Event.WORKER_LOST if entry.details.get("preempted") and sent[worker]:
                chunk, since = next(iter(sent.pop(worker).items()))
                found[index] = Attempt(worker, chunk, max(since, free.get(worker, 0.0)), time)
    return found


def start_s(record: Record) -> float:
    """Seconds before the chunk began that its worker took to load: recorded with a worker's first chunk only."""
    return sum(record.timings_s.get(stage, 0.0) for stage in OPENING_STAGES)
