"""The state of frame i. Pure: it depends on the spec and the index only.

Every property of a picture is a track: the keyframes that pin it, in order. Between pins at frames a and b the walk is
half-open, ``u = ease((i - a) / (b - a))``, so every pin is hit exactly once and no frame is doubled at a joint. Before
its first and after its last pin a track rests. Which tracks a film has is the affair of its mode, what becomes of a
state the engine's.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Generic, TypeVar

from render.spec import Ease, PromptWalk

__all__ = ["Blend", "FrameState", "Pin", "Timeline", "Track"]

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


@dataclass(frozen=True)
class FrameState:
    """All that decides the picture of one frame, beyond what is the same for the whole job."""

    index: int
    prompt: Blend[str]
    negative: Blend[str]
    seed: Blend[int]
    guidance: float


@dataclass(frozen=True)
class Timeline:
    """The states of all frames of a job, computed one by one when asked for.

    ``prompt_walk`` says how the embeddings of a prompt's two ends are interpolated.
    """

    num_frames: int
    prompt: Track[str]
    negative: Track[str]
    seed: Track[int]
    guidance: Track[float]
    prompt_walk: PromptWalk = "lerp"

    def state(self, index: int) -> FrameState:
        """The state of frame ``index``, from 0 to ``num_frames - 1``."""
        assert 0 <= index < self.num_frames, f"frame {index} of {self.num_frames}"
        guidance = self.guidance.at(index)
        return FrameState(
            index,
            prompt=self.prompt.at(index),
            negative=self.negative.at(index),
            seed=self.seed.at(index),
            guidance=guidance.start + (guidance.end - guidance.start) * guidance.weight,
        )

    def tracks(self) -> dict[str, list[dict[str, Any]]]:
        """All pins of all tracks as plain data: what two timelines must share to be the same."""
        return {
            "prompt": [asdict(pin) for pin in self.prompt.pins],
            "negative": [asdict(pin) for pin in self.negative.pins],
            "seed": [asdict(pin) for pin in self.seed.pins],
            "guidance": [asdict(pin) for pin in self.guidance.pins],
        }

    def texts(self) -> tuple[str, ...]:
        """Every prompt and negative prompt that some frame may need, each once, in order of appearance."""
        values = [pin.value for track in (self.prompt, self.negative) for pin in track.pins]
        return tuple(dict.fromkeys(values))

    def cuts(self) -> tuple[int, ...]:
        """The frames, ascending, that do not continue the one before: some value has jumped there in one frame."""
        tracks = (self.prompt, self.negative, self.seed, self.guidance)
        found = {frame for track in tracks for frame in track.cuts()}
        return tuple(sorted(found - {self.num_frames}))

    @property
    def guided(self) -> bool:
        """Whether any frame needs the unconditional half: guidance 1 everywhere does not."""
        return any(pin.value != 1.0 for pin in self.guidance.pins)
