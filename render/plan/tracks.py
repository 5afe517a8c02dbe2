"""One property over a film: the keyframes that pin it, in order, and how it walks from pin to pin. Pure.

Between pins at frames a and b the walk is half-open, ``u = ease((i - a) / (b - a))``, so every pin is hit exactly once
and no frame is doubled at a joint. Before its first and after its last pin a track rests.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

from render.spec import Ease

__all__ = ["Blend", "Pin", "Track"]

T = TypeVar("T")

EASES: Mapping[Ease, Callable[[float], float]] = {
    "linear": lambda t: t,
    "in": lambda t: t * t,
    "out": lambda t: t * (2.0 - t),
    "in-out": lambda t: t * t * (3.0 - 2.0 * t),  # smoothstep: at rest at both ends
    "hold": lambda _t: 0.0,
}


@dataclass(frozen=True)
class Blend(Generic[T]):
    """A value on the way from ``start`` to ``end``; ``weight`` in [0, 1) says how far. At rest both are the same."""

    start: T
    end: T
    weight: float


@dataclass(frozen=True)
class Pin(Generic[T]):
    """A property's value at one keyframe. ``leave`` is the frame at which the walk to the next pin begins."""

    frame: int
    value: T
    ease: Ease
    leave: int


class Track(Generic[T]):
    """One property over the film: its pins in order of frames."""

    def __init__(self, pins: list[Pin[T]]) -> None:
        self.pins = pins
        self.frames = [pin.frame for pin in pins]

    def at(self, index: int) -> Blend[T]:
        """The blend at frame ``index``; canonical, so that a value at rest is always ``Blend(v, v, 0.0)``."""
        after = bisect_right(self.frames, index)
        here = self.pins[max(after - 1, 0)]
        if after in (0, len(self.pins)):
            return Blend(here.value, here.value, 0.0)
        there = self.pins[after]
        weight = _progress(index, here, there.frame)
        if weight == 0.0 or here.value == there.value:
            return Blend(here.value, here.value, 0.0)
        return Blend(here.value, there.value, weight)

    def cuts(self) -> Iterator[int]:
        """The frames of pins that the walk does not approach: the value still rests one frame before."""
        for here, there in pairwise(self.pins):
            if here.value != there.value and _progress(there.frame - 1, here, there.frame) == 0.0:
                yield there.frame


def _progress(index: int, here: Pin[T], end: int) -> float:
    if index <= here.leave:
        return 0.0
    return EASES[here.ease]((index - here.leave) / (end - here.leave))
