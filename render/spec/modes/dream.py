"""Mode ``dream``: a walk from keyframe to keyframe. Its fields, its rules, its template."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from render.errors import count
from render.spec.fields import Ease, Guidance, Prompt, PromptWalk, Section, Seed
from render.spec.mistakes import Mistake
from render.spec.schema import Header, JobSpec, Sampling
from render.spec.units import MAX_FRAMES, Time
from render.spec.yaml_reader import KeyPath

__all__ = ["DreamSpec", "Keyframe"]

MAX_KEYFRAMES = 10_000

TEMPLATE = """\
# A latent walk: the film dreams its way from one prompt to the next. Render it with: render run job.yaml
version: 1
name: my-dream
mode: dream
model: demo                  # demo | testcard | a hub id (org/name) | a folder in diffusers' layout
fps: 24
duration: 8s                 # or frames: 192
sampler: dpm++2m             # render schema lists them all
steps: 20
guidance: 3.5                # 3 to 4 suits the demo model, 7 to 8 most others
negative: "blurry"
loop: true                   # walk back to the first keyframe, so that the film repeats without a seam
keyframes:                   # at: a frame number or a time; what a keyframe leaves out walks on to the next that has it
  - {at: 0,     prompt: "a big red sun on the left over violet mountains at dawn", seed: 1}
  - {at: 2.5s,  prompt: "a big golden sun in the middle over green hills at noon", seed: 1, ease: in-out}
  - {at: 5s,    prompt: "a huge white moon on the right over blue sea at night",   seed: 21}
"""


class Keyframe(Section):
    """A frame at which some properties are pinned. What a keyframe leaves out is not pinned there: it walks on."""

    at: Annotated[Time, Field(description="where the keyframe stands; the first one stands at 0")]
    prompt: Annotated[Prompt | None, Field(description="what the picture shows")] = None
    negative: Annotated[Prompt | None, Field(description="what the picture must not show")] = None
    seed: Annotated[Seed | None, Field(description="the picture diffusers gives with manual_seed(seed)")] = None
    guidance: Annotated[Guidance | None, Field(description="classifier-free guidance scale")] = None
    ease: Annotated[Ease, Field(description="how the walk leaves this keyframe; hold: stay, then cut to the next")] = (
        "linear"
    )
    hold: Annotated[Time | None, Field(description="rest at this keyframe for so long before the walk leaves it")] = (
        None
    )


class _Length(Header):
    """The header of a film."""

    frames: Annotated[int | None, Field(ge=1, le=MAX_FRAMES, description="length of the film in frames")] = None
    duration: Annotated[Time | None, Field(description="length of the film as a time, instead of frames")] = None


class _Walk(Sampling):
    """What is sampled, frame by frame."""

    prompt_walk: Annotated[PromptWalk, Field(description="how text embeddings are interpolated")] = "lerp"
    loop: Annotated[
        bool, Field(description="walk back to the first keyframe, so that the film repeats without a seam")
    ] = False
    keyframes: Annotated[tuple[Keyframe, ...], Field(strict=False, min_length=1, max_length=MAX_KEYFRAMES)]


class DreamSpec(JobSpec, _Walk, _Length):
    """A latent walk through keyframes that pin prompt, negative, seed and guidance."""

    mode: Literal["dream"]
    template: ClassVar[str] = TEMPLATE

    @property
    def num_frames(self) -> int:
        """Length of the film: ``frames``, else ``duration``, else the last keyframe + 1."""
        if self.frames is not None:
            return self.frames
        if self.duration is not None:
            return self.duration.at(self.fps)
        return self.keyframes[-1].at.at(self.fps) + 1

    @property
    def num_keyframes(self) -> int:
        """How many keyframes the walk passes."""
        return len(self.keyframes)

    def mistakes(self) -> Iterator[Mistake]:
        """What is wrong with the length, with the order of the keyframes and with their rests."""
        yield from list(_length_mistakes(self)) or _keyframe_mistakes(self)  # no length, nothing to stand in


def _length_mistakes(spec: DreamSpec) -> Iterator[Mistake]:
    if spec.frames is not None and spec.duration is not None:
        yield ("duration",), "frames is given too; keep one of the two"
    if spec.loop and spec.frames is None and spec.duration is None:
        yield ("loop",), "a loop needs frames or duration: the walk back to the first keyframe has no length otherwise"
    if not 1 <= spec.num_frames <= MAX_FRAMES:
        path: KeyPath = ("duration",) if spec.duration else ("keyframes", len(spec.keyframes) - 1, "at")
        yield path, f"that makes {count(spec.num_frames, 'frame')}; a job has from 1 to {MAX_FRAMES:,}"


def _keyframe_mistakes(spec: DreamSpec) -> Iterator[Mistake]:
    first = spec.keyframes[0]
    if first.at.at(spec.fps) != 0:
        yield ("keyframes", 0, "at"), f"the first keyframe stands at {first.at}; it must stand at 0"
    if first.prompt is None:
        yield ("keyframes", 0), "the first keyframe needs a prompt"
    before, in_order = -1, True
    for index, keyframe in enumerate(spec.keyframes):
        frame = keyframe.at.at(spec.fps)
        path: KeyPath = ("keyframes", index, "at")
        if frame <= before:
            in_order = False
            yield (
                path,
                f"{keyframe.at} is frame {frame}, not after the one before (frame {before}); keyframes go in order",
            )
        elif frame >= spec.num_frames and (spec.frames or spec.duration):
            yield path, f"{keyframe.at} is frame {frame}, but the film has frames 0 to {spec.num_frames - 1}"
        before = max(frame, before)
    if in_order:
        yield from _hold_mistakes(spec)


def _hold_mistakes(spec: DreamSpec) -> Iterator[Mistake]:
    ends = [keyframe.at.at(spec.fps) for keyframe in spec.keyframes[1:]] + [spec.num_frames]
    for index, (keyframe, end) in enumerate(zip(spec.keyframes, ends, strict=True)):
        frame = keyframe.at.at(spec.fps)
        if keyframe.hold and frame + keyframe.hold.at(spec.fps) > end:
            yield (
                ("keyframes", index, "hold"),
                f"{keyframe.hold} reaches past frame {end}, where the next keyframe or the end stands",
            )
