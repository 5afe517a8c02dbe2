"""What a mode makes of its job spec: the states of all frames, and the chunks they are rendered in.

A file for every mode. Knows no other mode and no engine; the mode's fields are in `render/spec/modes`.
"""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from render.plan.chunks import Chunk
from render.plan.modes import dream
from render.plan.settings import Settings
from render.plan.timeline import Timeline

__all__ = ["MODES", "Mode"]

S = TypeVar("S", contravariant=True)  # the mode's job specs


class Mode(Protocol[S]):
    """What a mode's file offers."""

    def timeline(self, spec: S, /) -> Timeline:
        """The states of all frames."""

    def chunks(self, spec: S, settings: Settings, /) -> tuple[Chunk, ...]:
        """The film's chunks in order, without gap or overlap."""


MODES: Mapping[str, Mode[Any]] = {
    "dream": dream,
}
"""Mode, as the job file names it -> its file."""
