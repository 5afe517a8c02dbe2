"""``auto`` -> values. Pure: what a worker says of its machine and model goes in, settings and reasons come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["FAMILIES", "Layout", "ModelInfo"]


Family = Literal["testcard", "sd", "sdxl"]


FAMILIES: dict[str, Family] = {"StableDiffusionPipeline": "sd", "StableDiffusionXLPipeline": "sdxl"}


LOW_MEMORY_BYTES = {"sd": 4 << 30, "sdxl": 10 << 30}  # weights in 16 bits and one picture's activations, roughly


Layout = Literal["diffusers", "onnx"]


@dataclass(frozen=True)
class ModelInfo:
    """What a plan has to know of a model. ``fingerprint`` is a sha256 over the model's files, names and bytes.

    ``size_step``: pictures whose sides are multiples of it halve evenly on every level of the UNet. ``dtype`` is what
    an exported graph computes in; weights in diffusers' layout can be cast, there it is None.
    """

    family: Family
    native_size: tuple[int, int]
    latent_channels: int
    latent_scale: int
    scheduler: Mapping[str, Any]
    fingerprint: str
    revision: str | None = None
    size_step: int = 8
    layout: Layout = "diffusers"
    dtype: str | None = None
