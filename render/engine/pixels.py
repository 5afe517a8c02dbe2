"""Decoded pictures as bytes, and which of them are no pictures: found here, dealt with in `bad_frames.py`.

Shapes: B batch, H, W height and width of pictures.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from render.video.pixels import Pixels

__all__ = ["Flags", "bad_pictures", "to_uint8"]

FLAT = 2  # a picture whose pixels all lie within so many levels shows nothing

Flags = NDArray[np.bool_]


def to_uint8(pictures_B3HW: Tensor) -> Tensor:
    """[-1, 1] -> (B, H, W, 3) bytes, rounded as diffusers' image processor does; NaN becomes 0."""
    scaled = (pictures_B3HW / 2 + 0.5).clamp(0, 1).nan_to_num(0.0).mul(255).round()
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def bad_pictures(pixels: Pixels, finite: Flags, dtype: str) -> list[int]:
    """Pictures with NaN, and in 16 bits flat ones: each judged by itself, or its bits would depend on its neighbours.

    In float32 a flat picture is what the prompt asked for.
    """
    values = pixels.reshape(len(pixels), -1)
    flat = (values.max(1).astype(int) - values.min(1) <= FLAT) & (dtype != "fp32")
    return [int(place) for place in np.flatnonzero(~finite | flat)]
