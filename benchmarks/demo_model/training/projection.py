"""The way into the latents: principal components of 8x8 patches, written into the encoder's convolutions.

Our pictures are simple: 16 components of 192 keep 31 dB of them, more than a small encoder learns in half an hour. So
the encoder is not trained; its weights are set so that it computes the projection, and all training goes into the
decoder, which learns what the components leave out. (Why not whitened: `SPREAD`.)

Legend: N pictures, C channels, H, W height and width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

LATENT_CHANNELS: Final = 16
HALFWAY_CHANNELS: Final = 32  # of 48 numbers in a 4x4 patch: what the encoder's third level holds
# A component of variance v becomes a channel of variance v ** SPREAD: 1 would drown edges, 0 (whitening) would make
# an error in an edge as bad as one in the brightness of the sky.
SPREAD: Final = 0.5
POSTERIOR_STD: Final = 0.05  # what `vae.encode(...).sample()` adds; the decoder is trained to forgive more
CARRIER: Final = 128.0  # see _pass_through


@dataclass(frozen=True)
class Projection:
    """Linear map from pictures to latents, in two steps; `offset` centres the latents."""

    halfway: Tensor  # (32, 48), 4x4 patches
    final: Tensor  # (16, 128), 2x2 blocks of halfway channels
    offset: Tensor  # (16,)


def fold(values_NCHW: Tensor) -> Tensor:
    """Every 2x2 block becomes 4 channels: (N, 4C, H/2, W/2), channel 4c + 2dy + dx."""
    return nn.functional.pixel_unshuffle(values_NCHW, 2)


def fit_projection(pictures_NCHW: Tensor) -> Projection:
    """Principal components of the pictures (in [-1, 1])."""
    folded = fold(fold(pictures_NCHW))
    halfway, _, _ = _components(folded, HALFWAY_CHANNELS)
    blocks = fold(torch.einsum("kc,nchw->nkhw", halfway, folded))
    basis, variances, mean = _components(blocks, LATENT_CHANNELS)
    final = basis * variances[:, None] ** ((SPREAD - 1) / 2)
    final = final / (variances**SPREAD).mean().sqrt()
    return Projection(halfway, final, -final @ mean)


def project(projection: Projection, pictures_NCHW: Tensor) -> Tensor:
    """Pictures to latents (N, 16, H/8, W/8)."""
    halfway = torch.einsum("kc,nchw->nkhw", projection.halfway, fold(fold(pictures_NCHW)))
    return torch.einsum("kc,nchw->nkhw", projection.final, fold(halfway)) + projection.offset[:, None, None]


def _components(values_NCHW: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The `count` strongest components (count, C), their variances, and the mean (C,)."""
    flat = values_NCHW.movedim(1, -1).flatten(0, 2).double()
    variances, basis = torch.linalg.eigh(torch.cov(flat.T))
    strongest = torch.arange(len(variances) - 1, len(variances) - 1 - count, -1)
    return basis[:, strongest].T.float(), variances[strongest].float(), flat.mean(0).float()


@torch.no_grad()
def write_encoder(vae: AutoencoderKL, projection: Projection) -> None:
    """Set the encoder's weights so that its posterior mean is `project`, up to about a thousandth."""
    encoder = vae.encoder
    for parameter in [*encoder.parameters(), *vae.quant_conv.parameters()]:
        parameter.zero_()  # residual branches add nothing: what remains is a chain of plain convolutions
    levels = encoder.down_blocks
    _put(encoder.conv_in, torch.eye(3), (1, 1))
    _put_folded(levels[0].downsamplers[0].conv, torch.eye(12))
    _put(levels[1].resnets[0].conv_shortcut, torch.eye(12), (0, 0))
    _put_folded(levels[1].downsamplers[0].conv, projection.halfway)
    _put(levels[2].resnets[0].conv_shortcut, torch.eye(HALFWAY_CHANNELS), (0, 0))
    _put_folded(levels[2].downsamplers[0].conv, projection.final)
    levels[2].downsamplers[0].conv.bias[:LATENT_CHANNELS] = projection.offset
    _pass_through(vae)
    _put(vae.quant_conv, torch.eye(LATENT_CHANNELS), (0, 0))
    vae.quant_conv.bias[LATENT_CHANNELS:] = 2 * torch.tensor(POSTERIOR_STD).log()


def _pass_through(vae: AutoencoderKL) -> None:
    """Bring 16 channels unchanged through the last group norm and SiLU.

    Each group holds two carriers, +CARRIER and -CARRIER, and its channels as pairs (x, -x): so its mean is 0 and its
    variance all but constant, and the norm is a known factor. And silu(x) - silu(-x) = x.
    """
    encoder = vae.encoder
    shortcut, norm, out = encoder.down_blocks[3].resnets[0].conv_shortcut, encoder.conv_norm_out, encoder.conv_out
    size = norm.num_channels // norm.num_groups
    norm.weight.fill_(CARRIER * (2 / size) ** 0.5)
    for group in range(norm.num_groups):
        shortcut.bias[group * size] = CARRIER
        shortcut.bias[group * size + 1] = -CARRIER
    for channel in range(LATENT_CHANNELS):
        place = channel % norm.num_groups * size + 2 + 2 * (channel // norm.num_groups)
        for sign in (0, 1):
            shortcut.weight[place + sign, channel] = 1 - 2 * sign
            out.weight[channel, place + sign, 1, 1] = 1 - 2 * sign


def _put(convolution: nn.Conv2d, matrix: Tensor, tap: tuple[int, int]) -> None:
    """A matrix (out, in) at one tap of the kernel."""
    rows, columns = matrix.shape
    convolution.weight[:rows, :columns, tap[0], tap[1]] = matrix


def _put_folded(convolution: nn.Conv2d, matrix: Tensor) -> None:
    """A matrix (out, 4 in) over 2x2 blocks in a convolution of stride 2, which sees three rows and columns."""
    rows, columns = matrix.shape
    convolution.weight[:rows, : columns // 4, :2, :2] = matrix.reshape(rows, columns // 4, 2, 2)
