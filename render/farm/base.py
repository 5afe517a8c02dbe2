"""What a farm is to the driver: something that starts workers, carries work to them and messages back.

Two farms exist, ``local.py`` in the driver's own process and ``ray/`` over a cluster; the driver cannot tell them
apart. Messages are facts, not decisions: who does what next is for ``dispatch/`` alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from render.errors import RenderError
from render.farm.progress import Sample
from render.plan import Chunk, Plan
from render.spec import JobSpec
from render.store import Segment

__all__ = [
    "Answer",
    "Answered",
    "ChunkDone",
    "ChunkFailed",
    "Doing",
    "Farm",
    "Message",
    "Opened",
    "Refused",
    "Resources",
    "WorkerInfo",
    "WorkerLost",
    "WorkerReady",
]


@dataclass(frozen=True)
class Resources:
    """What a worker needs of a machine: a GPU or CPUs, of which ``share`` workers have equal parts."""

    gpu: bool
    share: int = 1

    def __str__(self) -> str:
        what = "a GPU" if self.gpu else "a node's CPUs"
        return what if self.share == 1 else f"1/{self.share} of {what}"


@dataclass(frozen=True)
class WorkerInfo:
    """The process that a worker is, and the node of the cluster it runs on."""

    host: str
    pid: int
    node: str = ""


@dataclass(frozen=True)
class WorkerReady:
    """A worker's process is up and waits for work."""

    worker: str
    hello: WorkerInfo


@dataclass(frozen=True)
class WorkerLost:
    """A worker's process is gone, or could not start.

    ``preempted``: the cluster took it away, or its machine died; no one is to blame. ``details`` is for the log: a
    stack trace, say.
    """

    worker: str
    cause: str
    preempted: bool = False
    details: str = ""


@dataclass(frozen=True)
class Opened:
    """A plan is open: what a person should know of it there, and the seconds it took."""

    warnings: tuple[str, ...]
    seconds: float


Answer = Plan | Opened


@dataclass(frozen=True)
class Answered:
    """A worker has made a plan, or opened one."""

    worker: str
    answer: Answer


@dataclass(frozen=True)
class Refused:
    """A worker could not do that and lives on. ``error`` is set where it is one of ours, made for people."""

    worker: str
    cause: str
    error: RenderError | None = None
    details: str = ""


@dataclass(frozen=True)
class Doing:
    """How far a worker is with a question or with opening a plan, in words for people: comes every second or so."""

    worker: str
    text: str


@dataclass(frozen=True)
class ChunkDone:
    """A worker rendered a chunk."""

    worker: str
    segment: Segment


@dataclass(frozen=True)
class ChunkFailed:
    """A worker raised an error over a chunk and lives on. ``details`` is for the log: a stack trace, say."""

    worker: str
    chunk: Chunk
    cause: str
    details: str = ""


Message = WorkerReady | WorkerLost | Doing | Answered | Refused | ChunkDone | ChunkFailed


class Farm(Protocol):
    """Workers somewhere. Whoever made a farm calls ``close`` when done with it.

    Nothing here waits for a worker: what a call leads to comes as a message. A worker gets one question or plan at a
    time, and chunks only of the plan it has opened.
    """

    @property
    def prefix(self) -> str:
        """What the names of its workers begin with."""
        ...

    def resources(self, spec: JobSpec, device: str) -> Resources:
        """What the job's workers need of a machine; ``device`` is auto until a plan has resolved it."""
        ...

    def capacity(self, resources: Resources) -> int:
        """How many workers of a kind the farm has devices for now; it may grow and shrink."""
        ...

    def has_room(self, resources: Resources) -> bool:
        """Whether one more worker of a kind would find room now, beside all that runs there."""
        ...

    def start(self, name: str, resources: Resources) -> None:
        """Begin to start a worker; WorkerReady or WorkerLost follows."""
        ...

    def plan(self, worker: str, spec: JobSpec, before: Plan | None) -> None:
        """Ask for a plan, or for that of a rerun; Answered, Refused or WorkerLost follows."""
        ...

    def open(self, worker: str, plan_json: str) -> None:
        """Have the plan opened; Answered, Refused or WorkerLost follows."""
        ...

    def send(self, worker: str, chunk: Chunk) -> None:
        """Queue a chunk; ChunkDone, ChunkFailed or WorkerLost follows."""
        ...

    def stop(self, worker: str) -> None:
        """Kill a worker; no message follows."""
        ...

    def wait(self, timeout_s: float) -> list[Message]:
        """Messages that have arrived, in order; an empty list after ``timeout_s`` without any."""
        ...

    def publish(self, samples: Sequence[Sample]) -> None:
        """Carry the jobs' metrics to whoever monitors the farm."""
        ...

    def close(self) -> None:
        """Stop every worker."""
        ...
