"""What a job asks of the driver, and what comes back: plain data between their threads."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from render.plan import Chunk, Plan
from render.spec import JobSpec
from render.store import Event, Segment

__all__ = ["Committed", "Delivery", "Finished", "Leave", "Logged", "MakePlan", "Render", "Request"]


@dataclass(frozen=True)
class MakePlan:
    """Have a worker resolve a plan; ``before`` is that of an earlier run."""

    job: int
    spec: JobSpec
    before: Plan | None = None

    @property
    def needs(self) -> tuple[JobSpec, str]:
        """What decides which workers can answer: the spec, and the device as far as it is resolved."""
        return self.spec, self.spec.engine.device


@dataclass(frozen=True)
class Render:
    """Have chunks of a plan rendered. ``done_before`` are the frames of earlier runs."""

    job: int
    plan: Plan
    chunks: Sequence[Chunk]
    done_before: int

    @property
    def needs(self) -> tuple[JobSpec, str]:
        """What decides which workers can render it: the spec, and its device."""
        return self.plan.spec, self.plan.settings.device


@dataclass(frozen=True)
class Committed:
    """A segment of the job is where it counts."""

    job: int
    frames: int
    size: int


@dataclass(frozen=True)
class Leave:
    """The job wants nothing more."""

    job: int


Request = MakePlan | Render | Committed | Leave


@dataclass(frozen=True)
class Logged:
    """A line for the job's log. ``time``: when it happened, in seconds since 1970; written it is later."""

    event: Event
    details: Mapping[str, Any] = field(default_factory=dict)
    time: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Finished:
    """All chunks of a ``Render`` were delivered."""


Delivery = Logged | Segment | Plan | Finished | BaseException
