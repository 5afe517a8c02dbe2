"""Latents of the sampler's scale -> those that a VAE's decoder wants, as diffusers' pipelines bring them there.

Shapes: N batch, C, H, W channels and size of latents.
"""

import torch
from torch import Tensor

from render.engine.device import upload
from render.engine.families.base import Config

__all__ = ["decoder_scaled"]

SCALE = 0.18215  # where a configuration says nothing: that of Stable Diffusion 1, and diffusers' default


def decoder_scaled(latents_NCHW: Tensor, config: Config) -> Tensor:
    """Latents (N, C, H, W) for the decoder of a VAE of that configuration.

    Divided by its ``scaling_factor``; where latents have a mean and a deviation of their own (``latents_mean``,
    ``latents_std``, one number a channel), as Playground 2.5's have, they get them back.
    """
    scale = config.get("scaling_factor", SCALE)
    mean, deviation = config.get("latents_mean"), config.get("latents_std")
    if mean is None or deviation is None:
        scaled: Tensor = latents_NCHW / scale
        return scaled
    mean_1C11, deviation_1C11 = (
        upload(torch.tensor(values, dtype=latents_NCHW.dtype), latents_NCHW.device).reshape(1, -1, 1, 1)
        for values in (mean, deviation)
    )
    spread: Tensor = latents_NCHW * deviation_1C11 / scale
    return spread + mean_1C11
