"""The state of frame i. Pure: it depends on the spec and the index only.

Every property of a picture is a track of its own. Which tracks a film has is the affair of its mode, what becomes of a
state the engine's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from render.plan.tracks import Blend, Track
from render.spec import PromptWalk

__all__ = ["FrameState", "Timeline"]


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
