"""What the picture maker paints with: a canvas of coordinates, noise, and colours mixed.

Legend: H, W height and width of the canvas in pixels; C the three colours, RGB in [0, 1]. `x` runs from 0 (left) to
1 (right), `y` from 0 (top) to 1 (bottom). A *profile* (W,) is the height `y` of a layer's upper edge.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.demo_model.world.palette import Rgb

Array = NDArray[np.float32]

OVERSAMPLE: Final = 2  # everything is painted at twice the size and averaged down, which antialiases all edges


class Canvas:
    """A square RGB picture being painted, with the coordinates of its pixel centres."""

    def __init__(self, side: int) -> None:
        self.side = side
        centres = ((np.arange(side) + 0.5) / side).astype(np.float32)
        self.x: Array = centres[None, :]
        self.y: Array = centres[:, None]
        self.rgb_HWC: Array = np.zeros((side, side, 3), np.float32)

    def cover(self, colour: Array | Rgb, alpha_HW: Array) -> None:
        """Lay `colour` (one, or one a pixel) over the picture."""
        self.rgb_HWC += (np.asarray(colour, np.float32) - self.rgb_HWC) * alpha_HW[..., None]

    def add(self, colour: Rgb, strength_HW: Array) -> None:
        """Add light, as a screen: never beyond white."""
        self.rgb_HWC += (1 - self.rgb_HWC) * np.asarray(colour, np.float32) * strength_HW[..., None]

    def below(self, profile_W: Array) -> Array:
        """How far (0 to 1) each pixel lies below a profile: an edge one pixel soft."""
        alpha: Array = np.clip((self.y - profile_W[None, :]) * self.side + 0.5, 0, 1).astype(np.float32)
        return alpha

    def pixels(self) -> NDArray[np.uint8]:
        """Average down to the final size and round: (H, W, C) `uint8`."""
        side = self.side // OVERSAMPLE
        small = self.rgb_HWC.reshape(side, OVERSAMPLE, side, OVERSAMPLE, 3).mean((1, 3))
        rounded: NDArray[np.uint8] = (np.clip(small, 0, 1) * 255 + 0.5).astype(np.uint8)
        return rounded


def smoothstep(edge0: float, edge1: float, value: Array) -> Array:
    """0 up to `edge0`, 1 from `edge1` on, a smooth S between."""
    t = np.clip((value - edge0) / (edge1 - edge0), 0, 1)
    eased: Array = (t * t * (3 - 2 * t)).astype(np.float32)
    return eased


def _lattice(cells: int, side: int) -> Array:
    """(side, cells + 1) weights that blend neighbouring lattice values smoothly."""
    position = (np.arange(side) + 0.5) / side * cells
    left = position.astype(int)
    t = position - left
    t = t * t * (3 - 2 * t)
    weights = np.zeros((side, cells + 1), np.float32)
    rows = np.arange(side)
    weights[rows, left] = 1 - t
    weights[rows, left + 1] += t
    return weights


def noise_2d(rng: np.random.Generator, side: int, rows: int, columns: int, octaves: int = 3) -> Array:
    """Value noise (side, side) in [0, 1], stretched as `rows` x `columns` cells say."""
    total = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        r, c = rows << octave, columns << octave
        values = rng.random((r + 1, c + 1), np.float32)
        total += 0.5**octave * (_lattice(r, side) @ values @ _lattice(c, side).T)
    return total / np.float32(2 - 0.5 ** (octaves - 1))


def noise_1d(rng: np.random.Generator, side: int, cells: int, octaves: int, gain: float = 0.5) -> Array:
    """Value noise (side,), mean about zero, amplitude about one half in its lowest octave."""
    total = np.zeros(side, np.float32)
    for octave in range(octaves):
        values = rng.random((cells << octave) + 1, np.float32) - np.float32(0.5)
        total += np.float32(gain**octave) * (_lattice(cells << octave, side) @ values)
    return total


def mix(a: Rgb, b: Rgb, t: float) -> Rgb:
    """From `a` (t = 0) to `b` (t = 1)."""
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t


def times(a: Rgb, b: Rgb) -> Rgb:
    """A surface of colour `a` in light of colour `b`."""
    return a[0] * b[0], a[1] * b[1], a[2] * b[2]
