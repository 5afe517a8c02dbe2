"""How far pictures are from those they should be: three distances, computed in float64 with numpy alone.

Pictures are (height, width, 3) bytes. Higher is better for PSNR and SSIM, lower for the structure distance.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from render.bench.schema import Distances
from render.video.pixels import Pixels

__all__ = ["compare", "psnr", "ssim", "structure_distance"]

Plane = NDArray[np.float64]

WINDOW, SIGMA = 11, 1.5  # of SSIM's Gaussian, as in its paper
SCALES = 4
LUMA = np.array([0.2126, 0.7152, 0.0722])  # BT.709


def psnr(a: Pixels, b: Pixels) -> float:
    """Peak signal-to-noise ratio in dB over all three channels; infinite where the pictures are equal."""
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def ssim(a: Pixels, b: Pixels) -> float:
    """Structural similarity of the luma, 1 where equal. Wang et al., "Image quality assessment", 2004: a Gaussian
    window of 11 pixels with sigma 1.5, K1 = 0.01, K2 = 0.03, the mean over windows that lie inside."""
    x, y = _luma(a) * 255, _luma(b) * 255
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_x, mean_y = _blurred(x), _blurred(y)
    variance_x, variance_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float(np.mean(likeness / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))))


def structure_distance(a: Pixels, b: Pixels) -> float:
    """A stand-in for LPIPS without a network: 0 where equal, about 1 for unrelated pictures. It is not LPIPS, and its
    numbers cannot be compared with LPIPS's.

    On four scales, each half the one before, the gradients of the three channels (where edges are, and which way they
    go) are set in relation to their own strength: ``|ga - gb|^2 / (|ga|^2 + |gb|^2)`` over the picture; the distance is
    the root of the mean over the scales. It sees moved and lost structure, and hardly a change of brightness.
    """
    x, y, shares = a / 255.0, b / 255.0, []
    for _ in range(SCALES):
        if min(x.shape[:2]) < 2:
            break
        of_x, of_y = np.stack(_gradients(x)), np.stack(_gradients(y))
        strength = float(np.sum(of_x**2) + np.sum(of_y**2))
        shares.append(float(np.sum((of_x - of_y) ** 2)) / strength if strength else 0.0)
        x, y = _halved(x), _halved(y)
    return math.sqrt(sum(shares) / len(shares)) if shares else 0.0


def compare(pictures: Sequence[Pixels], exact: Sequence[Pixels]) -> Distances:
    """Means over pairs of frames, and the worst PSNR. PSNR is of the mean squared error over all frames, None where
    all are equal."""
    errors = [np.mean((a.astype(np.float64) - b) ** 2) for a, b in zip(pictures, exact, strict=True)]
    pairs = list(zip(pictures, exact, strict=True))
    return {
        "psnr_db": _db(float(np.mean(errors))),
        "worst_psnr_db": _db(float(np.max(errors))),
        "ssim": float(np.mean([ssim(a, b) for a, b in pairs])),
        "structure_distance": float(np.mean([structure_distance(a, b) for a, b in pairs])),
    }


def _db(error: float) -> float | None:
    return 10 * math.log10(255**2 / error) if error else None


def _luma(picture: Pixels) -> Plane:
    plane: Plane = (picture / 255.0) @ LUMA
    return plane


def _blurred(plane: Plane) -> Plane:
    """The weighted mean of every window that lies inside, (height - 10, width - 10)."""
    at = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(at**2) / (2 * SIGMA**2))
    weights /= weights.sum()
    for axis in (0, 1):
        plane = np.lib.stride_tricks.sliding_window_view(plane, WINDOW, axis) @ weights
    return plane


def _gradients(picture: Plane) -> tuple[Plane, Plane]:
    """Differences to the right and downwards, both (height - 1, width - 1, 3)."""
    return picture[:-1, 1:] - picture[:-1, :-1], picture[1:, :-1] - picture[:-1, :-1]


def _halved(picture: Plane) -> Plane:
    """Means of 2x2 pixels; an odd last row or column is dropped."""
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    cut = picture[:height, :width]
    mean: Plane = (cut[::2, ::2] + cut[1::2, ::2] + cut[::2, 1::2] + cut[1::2, 1::2]) / 4
    return mean
