"""Mode ``dream``: keyframes -> tracks. A property is pinned where a keyframe names it, and walks from pin to pin."""

from collections.abc import Callable
from typing import TypeVar

from render.plan.chunks import Chunk, tiles
from render.plan.settings import Settings
from render.plan.timeline import Pin, Timeline, Track
from render.spec import DreamSpec, Keyframe

__all__ = ["chunks", "timeline"]

T = TypeVar("T")


def timeline(spec: DreamSpec) -> Timeline:
    """The walk through a job's keyframes."""
    return Timeline(
        spec.num_frames,
        prompt=_track(spec, lambda keyframe: keyframe.prompt, ""),
        negative=_track(spec, lambda keyframe: keyframe.negative, spec.negative),
        seed=_track(spec, lambda keyframe: keyframe.seed, spec.seed),
        guidance=_track(spec, lambda keyframe: keyframe.guidance, spec.guidance),
        prompt_walk=spec.prompt_walk,
    )


def chunks(spec: DreamSpec, settings: Settings) -> tuple[Chunk, ...]:
    """The film cut into equal pieces: no frame needs another."""
    return tiles(spec.num_frames, settings.chunk)


def _track(spec: DreamSpec, value_of: Callable[[Keyframe], T | None], default: T) -> Track[T]:
    """One property; the first keyframe pins the job's default where it names no value itself.

    A loop adds the first pin as the last target, at the frame behind the film's end.
    """
    frames = [keyframe.at.at(spec.fps) for keyframe in spec.keyframes]
    pins: list[Pin[T]] = []
    for index, keyframe in enumerate(spec.keyframes):
        value = value_of(keyframe)
        if value is None and index == 0:
            value = default
        if value is not None:
            rest = keyframe.hold.at(spec.fps) if keyframe.hold else 0
            pins.append(Pin(frames[index], value, keyframe.ease, frames[index] + rest))
    if spec.loop:
        pins.append(Pin(spec.num_frames, pins[0].value, "linear", spec.num_frames))
    return Track(pins)
