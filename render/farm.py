"""What a farm is to the driver: something that starts workers, takes chunks and sends messages back.

Two farms exist, ``local.py`` in the driver's own process and ``cluster.py`` over Ray; the driver cannot tell them
apart. Messages are facts, not decisions: who renders what next is ``dispatch.py``'s alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from render.errors import RenderError
from render.plan import Chunk, Plan
from render.record import Segment
from render.resolve import Machine, ModelInfo, Saturation
from render.spec import JobSpec
from render.worker import Opened

__all__ = ["ChunkDone", "ChunkFailed", "Farm", "Message", "WorkerLost", "WorkerReady"]


@dataclass(frozen=True)
class WorkerReady:
    """A worker has loaded its model and waits for chunks."""

    worker: str
    opened: Opened


@dataclass(frozen=True)
class WorkerLost:
    """A worker's process is gone, or could not start.

    ``preempted``: the cluster took it away; no one is to blame. ``error`` is what starting it raised, if it did.
    ``details`` is for the log: a stack trace, say.
    """

    worker: str
    cause: str
    preempted: bool = False
    error: RenderError | None = None
    details: str = ""


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


Message = WorkerReady | WorkerLost | ChunkDone | ChunkFailed


class Farm(Protocol):
    """Workers somewhere. Whoever made a farm calls ``close`` when done with it."""

    def describe(self, spec: JobSpec) -> tuple[Machine, ModelInfo]:
        """What a worker's machine says of itself and the model. Raises ModelError, EngineError or FarmError."""
        ...

    def measure(self, plan_json: str) -> Saturation:
        """How many pictures at a time keep a worker's device busy. Raises ModelError, EngineError or FarmError."""
        ...

    def size(self, plan: Plan) -> int:
        """How many workers the job gets: as many as asked for, never more than devices."""
        ...

    def start_worker(self, plan_json: str) -> str:
        """Begin to start a worker and return its name; WorkerReady or WorkerLost follows."""
        ...

    def send(self, worker: str, chunk: Chunk) -> None:
        """Queue a chunk on a worker; ChunkDone, ChunkFailed or WorkerLost follows."""
        ...

    def stop_worker(self, worker: str) -> None:
        """Kill a worker; no message follows."""
        ...

    def wait(self, timeout_s: float) -> list[Message]:
        """Messages that have arrived, in order; an empty list after ``timeout_s`` without any."""
        ...

    def close(self) -> None:
        """Stop every worker."""
        ...
