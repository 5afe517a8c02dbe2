"""What the dispatcher has the driver do. Plain data: nothing happens here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from render.farm.base import Resources
from render.farm.progress import Progress, Sample
from render.farm.requests import Delivery, MakePlan
from render.plan import Chunk
from render.store import Event as LogEvent

__all__ = [
    "Action",
    "Ask",
    "Assignment",
    "Deliver",
    "Forget",
    "Log",
    "Notice",
    "OpenPlan",
    "Publish",
    "SendChunk",
    "Show",
    "StartWorker",
    "StopWorker",
]


@dataclass(frozen=True)
class StartWorker:
    """Begin to start a worker of this name."""

    name: str
    resources: Resources


@dataclass(frozen=True)
class StopWorker:
    """Kill a worker, or take back its start."""

    name: str


@dataclass(frozen=True)
class Ask:
    """Put the job's question to the worker."""

    worker: str
    job: int
    question: MakePlan


@dataclass(frozen=True)
class OpenPlan:
    """Have the worker open the job's plan."""

    worker: str
    job: int
    plan_json: str


@dataclass(frozen=True)
class SendChunk:
    """Send the worker a chunk of the plan that it has open."""

    worker: str
    job: int
    chunk: Chunk


@dataclass(frozen=True)
class Deliver:
    """Hand the job what it waits for: an answer, a segment, its end. An exception is raised where it waits."""

    job: int
    item: Delivery


@dataclass(frozen=True)
class Log:
    """A line for the job's log."""

    job: int
    event: LogEvent
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Notice:
    """A line for the person at the terminal."""

    job: int
    text: str


@dataclass(frozen=True)
class Show:
    """Let the job's watcher know how far it is."""

    job: int
    progress: Progress


@dataclass(frozen=True)
class Publish:
    """Carry metrics to whoever monitors the farm."""

    samples: Sequence[Sample]


@dataclass(frozen=True)
class Forget:
    """The job has left: nothing more is for it."""

    job: int


Assignment = Ask | OpenPlan | SendChunk
Action = Assignment | StartWorker | StopWorker | Deliver | Log | Notice | Show | Publish | Forget
