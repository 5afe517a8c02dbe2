"""What the dispatcher knows of jobs and workers, and the steps it can tell the driver to take. Plain data."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from render.ledger import Ledger
from render.plan import Chunk

__all__ = ["Ask", "JobState", "Kind", "Open", "Send", "Step", "WorkerState"]

UNCOMMITTED = 64  # segments that wait for a slow store; beyond that its job gets no more chunks out


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
    uncommitted: int = 0
    opening: int = 0
    unfit: set[str] = field(default_factory=set)

    @property
    def waiting(self) -> int:
        """Chunks that could be sent now."""
        return self.ledger.waiting if self.ledger and self.uncommitted < UNCOMMITTED else 0


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
    failures: int = 0
    retired: bool = False

    @property
    def busy(self) -> bool:
        """Whether it has anything to do."""
        return bool(self.queue) or self.errand is not None

    @property
    def job(self) -> int | None:
        """The job it is busy for, or whose plan it has open."""
        return self.errand.job if self.errand is not None else self.holds
