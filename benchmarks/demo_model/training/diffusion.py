"""What the UNet learns: to tell noise from latents, at every noise level, guided by a caption.

Legend: B batch, C channels, H, W latent height and width, L tokens, D text width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from benchmarks.demo_model.world.captions import draw_caption
from benchmarks.demo_model.world.scene import Scene

Predictor = Callable[..., Any]  # a UNet2DConditionModel, or the same compiled

CAPTION_DROPOUT: Final = 0.1  # the empty prompt must be known too: guidance leads away from it
# A velocity's error counts SNR + 1 times as an error of the picture. Capped at 5, as min-SNR weighting does
# (https://arxiv.org/abs/2303.09556), but with full weight left where noise is high: there the caption decides.
MAX_WEIGHT: Final = 5.0


def draw_captions(rng: np.random.Generator, scenes: Sequence[Scene]) -> list[str]:
    """A fresh caption for each scene; some are empty."""
    return ["" if rng.random() < CAPTION_DROPOUT else draw_caption(rng, scene) for scene in scenes]


def diffusion_loss(
    unet: Predictor, scheduler: DDIMScheduler, latents_BCHW: Tensor, text_BLD: Tensor, rng: torch.Generator
) -> Tensor:
    """Squared error of the predicted velocity at random noise levels, weighted so that easy levels do not dominate."""
    batch = len(latents_BCHW)
    device = latents_BCHW.device
    noise = torch.randn(latents_BCHW.shape, generator=rng).to(device)
    timesteps = torch.randint(0, scheduler.config.num_train_timesteps, (batch,), generator=rng).to(device)
    noisy = scheduler.add_noise(latents_BCHW, noise, timesteps)
    velocity = scheduler.get_velocity(latents_BCHW, noise, timesteps)
    predicted = unet(noisy.contiguous(memory_format=torch.channels_last), timesteps, text_BLD).sample.float()
    kept = scheduler.alphas_cumprod.to(device)[timesteps]
    weight = (MAX_WEIGHT * (1 - kept)).clamp(max=1)
    loss: Tensor = (weight * (predicted - velocity).square().mean((1, 2, 3))).mean()
    return loss
