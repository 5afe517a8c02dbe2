"""The values that every worker of a job uses, and why they are what they are. Data alone: `auto.py` finds them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from render.plan.presets import Approximations

__all__ = ["GRAPH_BACKENDS", "Attention", "Backend", "BatchTimings", "Choice", "Dtype", "Memory", "Settings"]

T = TypeVar("T")

Attention = Literal["sdpa", "flash", "cudnn", "efficient", "sliced", "xformers"]
Backend = Literal["eager", "compile", "onnx", "tensorrt"]
Dtype = Literal["fp32", "bf16", "fp16"]
Memory = Literal["normal", "low"]

GRAPH_BACKENDS = ("onnx", "tensorrt")  # both run the model as an ONNX graph


@dataclass(frozen=True)
class Choice(Generic[T]):
    """A setting and why it has that value. No reason: it is at rest, as an approximation that nobody asked for."""

    value: T
    reason: str


@dataclass(frozen=True)
class BatchTimings:
    """What a worker measured of its device: one denoiser evaluation of each batch size, guidance included.

    ``seconds`` a picture, ``peak_bytes`` in all, for each of ``batches``; ``free_bytes`` of the device before that.
    """

    batches: tuple[int, ...]
    seconds: tuple[float, ...]
    peak_bytes: tuple[int, ...]
    free_bytes: int


@dataclass(frozen=True)
class Settings:
    """The values every worker of a job uses. ``reasons`` are for people; they are no part of the digest."""

    width: int
    height: int
    device: Literal["cpu", "cuda"]
    backend: Backend
    dtype: Dtype
    batch: int
    threads: int
    attention: Attention
    memory: Memory
    chunk: int
    guidance_from: float = 0.0
    guidance_until: float = 1.0
    reuse_steps: int = 1
    interpolate_frames: int = 1
    tiny_vae: str | None = None
    reasons: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def cuts_unet(self) -> bool:
        """Whether the UNet is run in two halves, the deep one not always."""
        return self.reuse_steps > 1 or self.interpolate_frames > 1

    @property
    def approximations(self) -> tuple[str, ...]:
        """What is not computed exactly, in words; nothing where all of it is."""
        exact, found = Approximations(), []
        if (self.guidance_from, self.guidance_until) != (exact.guidance_from, exact.guidance_until):
            found.append(f"guidance in {100 * self.guidance_from:g}–{100 * self.guidance_until:g} % of the steps")
        if self.reuse_steps > 1:
            found.append(f"deep features kept for {self.reuse_steps} steps")
        if self.interpolate_frames > 1:
            found.append(f"deep features of every {self.interpolate_frames}. frame, interpolated between")
        if self.tiny_vae is not None:
            found.append(f"decoded by the tiny VAE {self.tiny_vae}")
        return tuple(found)
