"""Keyframes -> the state of frame i. Pure: the state of a frame depends on the spec and its index only.

Every property (prompt, negative, seed, guidance) is a track of its own: the keyframes that pin it, in order.
Between keyframe k at frame a and k+1 at frame b the walk is half-open, ``u = ease((i - a) / (b - a))``, so every
keyframe is hit exactly once and no frame is doubled at a joint. Before its first and after its last
keyframe a track rests. A loop adds the first keyframe as the last target at the frame behind the film's end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Generic, TypeVar

from render.spec import Ease, JobSpec, Keyframe

__all__ = ["Blend", "FrameState", "Timeline"]

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
class FrameState:
    """All that decides the picture of one frame, beyond what is the same for the whole job."""

    index: int
    prompt: Blend[str]
    negative: Blend[str]
    seed: Blend[int]
    guidance: float


@dataclass(frozen=True)
class _Pin(Generic[T]):
    """A property's value at one keyframe. ``leave`` is the frame at which the walk to the next pin begins."""

    frame: int
    value: T
    ease: Ease
    leave: int


class _Track(Generic[T]):
    """One property over the film: its pins in order of frames."""

    def __init__(self, pins: list[_Pin[T]]) -> None:
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


def _progress(index: int, here: _Pin[T], end: int) -> float:
    if index <= here.leave:
        return 0.0
    return EASES[here.ease]((index - here.leave) / (end - here.leave))


class Timeline:
    """The states of all frames of a job, computed one by one when asked for."""

    def __init__(self, spec: JobSpec) -> None:
        self.num_frames = spec.num_frames
        self._prompt = _Track(_pins(spec, lambda keyframe: keyframe.prompt, ""))
        self._negative = _Track(_pins(spec, lambda keyframe: keyframe.negative, spec.negative))
        self._seed = _Track(_pins(spec, lambda keyframe: keyframe.seed, spec.seed))
        self._guidance = _Track(_pins(spec, lambda keyframe: keyframe.guidance, spec.guidance))

    def state(self, index: int) -> FrameState:
        """The state of frame ``index``, from 0 to ``num_frames - 1``."""
        assert 0 <= index < self.num_frames, f"frame {index} of {self.num_frames}"
        guidance = self._guidance.at(index)
        return FrameState(
            index,
            prompt=self._prompt.at(index),
            negative=self._negative.at(index),
            seed=self._seed.at(index),
            guidance=guidance.start + (guidance.end - guidance.start) * guidance.weight,
        )

    def tracks(self) -> dict[str, list[dict[str, Any]]]:
        """All pins of all tracks as plain data: what two timelines must share to be the same."""
        return {
            "prompt": [asdict(pin) for pin in self._prompt.pins],
            "negative": [asdict(pin) for pin in self._negative.pins],
            "seed": [asdict(pin) for pin in self._seed.pins],
            "guidance": [asdict(pin) for pin in self._guidance.pins],
        }

    def texts(self) -> tuple[str, ...]:
        """Every prompt and negative prompt that some frame may need, each once, in order of appearance."""
        values = [pin.value for track in (self._prompt, self._negative) for pin in track.pins]
        return tuple(dict.fromkeys(values))

    def cuts(self) -> tuple[int, ...]:
        """The frames, ascending, that do not continue the one before: some value has jumped there in one frame."""
        tracks = (self._prompt, self._negative, self._seed, self._guidance)
        found = {frame for track in tracks for frame in track.cuts()}
        return tuple(sorted(found - {self.num_frames}))

    @property
    def guided(self) -> bool:
        """Whether any frame needs the unconditional half: guidance 1 everywhere does not."""
        return any(pin.value != 1.0 for pin in self._guidance.pins)


def _pins(spec: JobSpec, value_of: Callable[[Keyframe], T | None], default: T) -> list[_Pin[T]]:
    """The pins of one property; the first keyframe pins the job's default where it names no value itself."""
    frames = [keyframe.at.at(spec.fps) for keyframe in spec.keyframes]
    pins: list[_Pin[T]] = []
    for index, keyframe in enumerate(spec.keyframes):
        value = value_of(keyframe)
        if value is None and index == 0:
            value = default
        if value is not None:
            rest = keyframe.hold.at(spec.fps) if keyframe.hold else 0
            pins.append(_Pin(frames[index], value, keyframe.ease, frames[index] + rest))
    if spec.loop:
        pins.append(_Pin(spec.num_frames, pins[0].value, "linear", spec.num_frames))
    return pins
