"""What the dispatcher hears: the farm's messages, the jobs' requests, and what the driver itself has to say."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from render.errors import RenderError
from render.farm.base import Message, Resources
from render.farm.requests import Committed, Leave, MakePlan, Render

__all__ = ["Denied", "Drain", "Event", "Requested", "Tick"]


@dataclass(frozen=True)
class Requested:
    """A job wants work done, by workers that need ``resources``; the farm has devices for ``capacity`` of them."""

    request: MakePlan | Render
    resources: Resources
    capacity: int


@dataclass(frozen=True)
class Denied:
    """A job wants work done and there is no farm for it."""

    job: int
    error: RenderError


@dataclass(frozen=True)
class Tick:
    """What the farm has: devices for so many workers of each kind, and room for one more now of those in ``has_room``.

    ``prefix`` begins the names of its workers.
    """

    capacity: Mapping[Resources, int]
    has_room: Set[Resources]
    prefix: str = "w"


@dataclass(frozen=True)
class Drain:
    """Begin nothing more."""


Event = Message | Requested | Denied | Committed | Leave | Tick | Drain
