"""The denoiser: one UNet evaluation, behind one Protocol and a table of backends.

Shapes: N batch (twice the pictures under guidance), C channels, H height, W width of the latents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from render.engine.models import Conditioning, Models

__all__ = ["BACKENDS", "Denoiser"]


class Denoiser(Protocol):
    """Predicts the model output (noise or velocity) of a batch of latents."""

    def __call__(self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        """(N, C, H, W) like ``latents_NCHW``; ``timestep`` is a scalar on the device."""
        ...


def _eager(models: Models) -> Denoiser:
    """The UNet as diffusers runs it, kernel by kernel."""

    def denoise(latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        output: Tensor = models.unet(
            latents_NCHW.to(models.dtype, memory_format=torch.channels_last),
            timestep,
            encoder_hidden_states=conditioning.tokens_NLD,
            added_cond_kwargs=conditioning.added,
            return_dict=False,
        )[0]
        return output

    return denoise


BACKENDS: Mapping[str, Callable[[Models], Denoiser]] = {"eager": _eager}
