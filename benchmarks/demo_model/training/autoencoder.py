"""The autoencoder: a fixed projection into 16x16x16 numbers (`projection.py`), a trained decoder back.

Legend: B pictures, C channels, H, W height and width. Pictures are in [-1, 1], latents of unit variance on the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.demo_model.training.projection import LATENT_CHANNELS, Projection, write_encoder

LATENT_NOISE: Final = 0.07  # the decoder learns to forgive what the diffusion model gets slightly wrong


def build_autoencoder(projection: Projection) -> AutoencoderKL:
    """1.8 M parameters, 128x128x3 pixels to 16x16x16 latents; narrow where the picture is large, for speed."""
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 96),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=128,
        scaling_factor=1.0,  # the projection scales
        force_upcast=False,
    )
    write_encoder(vae, projection)
    for name, parameter in vae.decoder.named_parameters():
        if name.endswith(("conv2.weight", "conv2.bias")):
            nn.init.zeros_(parameter)  # residual branches start silent
    return vae


def decode(vae: AutoencoderKL, latents_BCHW: Tensor) -> Tensor:
    """Latents to pictures (B, 3, 8H, 8W)."""
    return vae.decoder(vae.post_quant_conv(latents_BCHW))  # type: ignore[no-any-return]


def to_tensor(pictures_BHWC: NDArray[np.uint8]) -> Tensor:
    """`uint8` pictures to [-1, 1], channels last in memory."""
    return torch.from_numpy(pictures_BHWC).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def draw_batch(parts: Sequence[NDArray[np.uint8]], rng: np.random.Generator, batch: int) -> Tensor:
    """`batch` whole pictures (crops would shift the statistics of the group norms): (B, 3, H, W)."""
    rows = [parts[int(rng.integers(len(parts)))] for _ in range(batch)]
    return to_tensor(np.stack([part[int(rng.integers(len(part)))] for part in rows]))


def picture_loss(out_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """L1 on pixels, on their differences (crisp edges) and on two coarser scales (right colours)."""
    error = out_BCHW.float() - target_BCHW
    across, down = error.diff(dim=3), error.diff(dim=2)
    loss = error.abs().mean() + 0.5 * (across.abs().mean() + down.abs().mean())
    for _ in range(2):
        error = functional.avg_pool2d(error, 2)
        loss = loss + 0.5 * error.abs().mean()
    return loss


@torch.inference_mode()
def reconstruct(vae: AutoencoderKL, pictures_BHWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Through the latents and back, in float32."""
    out = decode(vae, vae.encode(to_tensor(pictures_BHWC)).latent_dist.mode())
    return out.add(1).mul(127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def psnr_db(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio over all pictures, from their mean squared error."""
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / error))
