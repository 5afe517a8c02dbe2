"""Pieces of a film: chunks, and the ranges of frames that ``--frames`` names. Pure: numbers and text."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from render.errors import SpecError
from render.spec.units import MAX_FRAMES

__all__ = ["Chunk", "parse_frames", "tiles"]


@dataclass(frozen=True, order=True)
class Chunk:
    """Frames ``start, start + step, …`` below ``stop``: the unit of dispatch, retry, durability and assembly.

    The chunks of a film have step 1 and tile ``[0, num_frames)``; only ``--frames`` makes others.
    """

    start: Annotated[int, Field(ge=0)]
    stop: Annotated[int, Field(le=MAX_FRAMES)]
    step: Annotated[int, Field(ge=1)] = 1

    @property
    def frames(self) -> range:
        """The frame indices, ascending."""
        return range(self.start, self.stop, self.step)

    @property
    def name(self) -> str:
        """``000000-000008``, the half-open range; with ``x2`` behind it where the step is 2."""
        return f"{self.start:06}-{self.stop:06}" + (f"x{self.step}" if self.step > 1 else "")

    def computed(self, batch: int) -> int:
        """How many frames are computed for it, ``batch`` at a time: a few at its end take as long as a whole batch."""
        return -(-len(self.frames) // batch) * batch

    def __str__(self) -> str:
        if len(self.frames) == 1:
            return f"frame {self.start}"
        return f"frames {self.start}-{self.frames[-1]}" + (f" by {self.step}" if self.step > 1 else "")


def tiles(num_frames: int, size: int) -> tuple[Chunk, ...]:
    """The chunks of ``size`` frames that cover a film without gap or overlap; only the last may be shorter."""
    return tuple(Chunk(start, min(start + size, num_frames)) for start in range(0, num_frames, size))


_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9})(?:x(\d{1,9}))?)?")


def parse_frames(text: str, num_frames: int) -> list[range]:
    """The frames that ``0-99,200-300x2`` names, ends included, ``x`` the step.

    Raises SpecError with the column for what cannot be read, is beyond the film, descends or overlaps.
    """
    ranges: list[range] = []
    column, taken = 1, -1
    for part in text.split(","):
        where = f"--frames {text}: column {column}"
        match = _RANGE.fullmatch(part.strip())
        if not match:
            raise SpecError(f"{where}: {part.strip()!r} is not a range; write for example 0-99,200-300x2")
        frames = range(int(match[1]), int(match[2] or match[1]) + 1, int(match[3] or 1) or 1)
        if match[3] is not None and not int(match[3]):
            raise SpecError(f"{where}: the step must be at least 1")
        _check_range(frames, taken, num_frames, where)
        ranges.append(frames)
        taken, column = frames.stop - 1, column + len(part) + 1
    return ranges


def _check_range(frames: range, taken: int, total: int, where: str) -> None:
    start, last = frames.start, frames.stop - 1
    if last < start:
        raise SpecError(f"{where}: {start}-{last} descends; write {last}-{start}")
    if start <= taken:
        raise SpecError(
            f"{where}: frame {start} is at or before frame {taken}, named already; ranges ascend without overlap"
        )
    if last >= total:
        raise SpecError(f"{where}: frame {last} is beyond the film, which has frames 0-{total - 1}")
