"""A rendered frame, and what renders frames: all that a worker knows of the engine.

The engine (with torch) and the test card (without) are both a ``Renderer``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from render.plan import Stopwatch
from render.video.pixels import Pixels

__all__ = ["Frame", "Renderer"]


@dataclass(frozen=True)
class Frame:
    """Frame ``index`` of the film. ``remark`` is (kind, text) where the frame needs a word in the report."""

    index: int
    pixels: Pixels
    remark: tuple[str, str] | None = None


class Renderer(Protocol):
    """Renders frames of one plan."""

    sampler_table: str
    """sha256 of the numbers the sampler runs on; empty where there is no sampler."""
    warnings: tuple[str, ...]
    """What a person should know before the first picture."""

    def pictures(self, frames: Sequence[int], watch: Stopwatch) -> Iterator[Frame]:
        """The pictures of ``frames`` in that order. Raises EngineError for one that cannot be rendered."""
        ...
