"""What the dispatcher knows of jobs and workers, and the steps it can tell the driver to take. Plain data."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from render.ledger import Ledger
from render.plan import Chunk

__all__ = ["Ask", "JobState", "Kind", "Open", "Send", "Step", "WorkerState", "end_of"]

UNCOMMITTED_BYTES = 256 << 20  # of segments that wait for a slow store; beyond that no more chunks of the job go out


@dataclass(frozen=True)
class Kind:
    """What a worker needs of a machine: a GPU or CPUs, of which ``share`` workers have equal parts."""

    gpu: bool
    share: int = 1

    def __str__(self) -> str:
        what = "a GPU" if self.gpu else "a node's CPUs"
        return what if self.share == 1 else f"1/{self.share} of {what}"


@dataclass(frozen=True)
class Ask:
    """Put the job's question to the worker."""

    worker: str
    job: int


@dataclass(frozen=True)
class Open:
    """Have the worker open the job's plan."""

    worker: str
    job: int


@dataclass(frozen=True)
class Send:
    """Send the worker a chunk of the plan that it has open."""

    worker: str
    job: int
    chunk: Chunk


Step = Ask | Open | Send


@dataclass
class JobState:
    """A job that may have work: a question, or the chunks of its ledger."""

    number: int
    kind: Kind
    priority: int
    question: bool = False
    ledger: Ledger | None = None
    model: str = ""
    max_workers: int | None = None
    uncommitted: int = 0  # bytes
    opening: int = 0
    unfit: set[str] = field(default_factory=set)

    @property
    def waiting(self) -> int:
        """Chunks that could be sent now."""
        return self.ledger.waiting if self.ledger and self.uncommitted < UNCOMMITTED_BYTES else 0


@dataclass
class WorkerState:
    """A worker: what it holds and does, and what it has done so far."""

    kind: Kind
    errand: Step | None = None  # asked or opening
    holds: int | None = None  # the job whose plan is open
    model: str = ""
    queue: deque[Chunk] = field(default_factory=deque)
    since: float = 0.0  # when what it does began
    done_here: int = 0  # chunks of the plan it holds
    mean_s: float | None = None  # of those
    completed: int = 0
    in_a_row: int = 0  # failures since the last chunk it completed
    retired: bool = False

    @property
    def busy(self) -> bool:
        """Whether it has anything to do."""
        return bool(self.queue) or self.errand is not None

    @property
    def job(self) -> int | None:
        """The job it is busy for, or whose plan it has open."""
        return self.errand.job if self.errand is not None else self.holds


def end_of(waiting: int, workers: Iterable[WorkerState], now: float) -> float:
    """When so many waiting chunks will be done if each goes to the worker that is through with it first.

    Workers nobody has measured yet do not count, nor does one that is late: it may hang.
    """
    through: list[tuple[float, float]] = []  # when a worker would be through with one more, its seconds a chunk
    for worker in workers:
        if not worker.mean_s:
            continue
        rest_s = len(worker.queue) * worker.mean_s - (now - worker.since) if worker.queue else 0.0
        if rest_s >= 0:
            through.append((now + rest_s + worker.mean_s, worker.mean_s))
    if not through:
        return math.inf
    heapq.heapify(through)
    for _ in range(waiting - 1):
        end, mean_s = through[0]
        heapq.heapreplace(through, (end + mean_s, mean_s))
    return through[0][0]
