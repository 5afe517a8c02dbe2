"""Reading a picture back: which time, body and terrain does it show? Simple statistics of pixels, no network.

It judges generated pictures, and is itself judged first on pictures whose scene is known.

Legend: N pictures, H, W height and width, C colours (RGB in [0, 1]).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.demo_model.world import palette
from benchmarks.demo_model.world.pictures import blur, draw_picture
from benchmarks.demo_model.world.scene import TERRAINS, TIMES, draw_scene

Floats = NDArray[np.float64]
Frame = NDArray[np.uint8]

SKY_ROWS: Final = ((0.0, 0.06), (0.15, 0.22), (0.30, 0.37))  # bands of the sky, in heights of the picture
BODY_ROWS: Final = 0.56  # a body's middle is never lower
TOLERANCE: Final = 0.24  # how far a disc's pixel may be from its colour, in RGB
DISC: Final = 0.086  # side of the square that must be full of one colour: the small body's inner square
THIRDS: Final = (0.365, 0.635)  # half way between the places' centres
SOFTNESS_PX: Final = (0.0, 0.8, 1.6)  # Gaussian sigmas
COLOURED: Final = 0.55  # how full a square must be to count as coloured; below, the body is white (as clouds are)


@dataclass(frozen=True)
class Reading:
    """What a picture seems to show."""

    time: str
    colour: str
    place: str
    terrain: str


class Discriminant:
    """Linear discriminant: the class whose mean is nearest, in units of the features' usual spread."""

    def __init__(self, names: tuple[str, ...], features_NF: Floats, labels: Sequence[str]) -> None:
        self.names = names
        index = np.array([names.index(label) for label in labels])
        self.means = np.stack([features_NF[index == k].mean(0) for k in range(len(names))])
        spread = np.cov((features_NF - self.means[index]).T)
        self.inverse = np.linalg.inv(spread + 1e-3 * np.diag(np.diag(spread)))

    def nearest(self, features_F: Floats) -> str:
        """The name of the nearest class."""
        away = self.means - features_F
        return self.names[int(np.argmin(np.einsum("kf,fg,kg->k", away, self.inverse, away)))]


class Reader:
    """Reads pictures; its two discriminants are calibrated once on `num_examples` scenes of the maker.

    Each is shown sharp and softened (`SOFTNESS_PX`): a decoder's edges are never as sharp as drawn ones, and the reader
    is to tell a forest from mountains, not a soft picture from a sharp one.
    """

    def __init__(self, num_examples: int = 400, seed: int = 77) -> None:
        rng = np.random.default_rng(seed)
        scenes = [draw_scene(rng) for _ in range(num_examples)]
        drawn = [draw_picture(scene) for scene in scenes]
        pictures = [blur(picture, sigma) if sigma else picture for sigma in SOFTNESS_PX for picture in drawn]
        labels = scenes * len(SOFTNESS_PX)
        self.times = Discriminant(TIMES, np.stack([sky(p) for p in pictures]), [s.time for s in labels])
        self.terrains = Discriminant(TERRAINS, np.stack([texture(p) for p in pictures]), [s.terrain for s in labels])

    def read(self, picture_HWC: Frame) -> Reading:
        """What one (H, W, 3) picture shows."""
        colour, place = read_body(picture_HWC)
        terrain = self.terrains.nearest(texture(picture_HWC))
        return Reading(self.times.nearest(sky(picture_HWC)), colour, place, terrain)


def sky(picture_HWC: Frame) -> Floats:
    """Dark, middle and bright quantile of each colour in three bands of the sky: 27 numbers."""
    rgb = picture_HWC / 255
    height = len(rgb)
    bands = [rgb[int(a * height) : int(b * height)] for a, b in SKY_ROWS]
    return np.concatenate([np.quantile(band, (0.1, 0.5, 0.8), axis=(0, 1)).ravel() for band in bands])


def read_body(picture_HWC: Frame) -> tuple[str, str]:
    """Colour and place of the disc: the colour that fills a small square of sky best, and where it does."""
    height = len(picture_HWC)
    above = picture_HWC[: int(BODY_ROWS * height)] / 255
    side = max(3, round(DISC * height))
    filled = {colour: _box(_closeness(above, np.array(rgb)), side) for colour, rgb in palette.BODIES.items()}
    fullest = {colour: float(values.max()) for colour, values in filled.items() if colour != "white"}
    colour = max(fullest, key=fullest.__getitem__)
    if fullest[colour] < COLOURED:
        colour = "white"
    best = filled[colour] >= 0.93 * filled[colour].max()
    x = (float(np.nonzero(best)[1].mean()) + side / 2) / height
    return colour, ("left", "middle", "right")[int(np.searchsorted(THIRDS, x))]


def _closeness(sky_HWC: Floats, colour: Floats) -> Floats:
    """1 where a pixel is exactly the body's colour, in shadow or lit, falling to 0 at `TOLERANCE`: (H, W)."""
    shades = [colour * 0.84, colour, colour + (1 - colour) * 0.2]
    distance = np.min([np.linalg.norm(sky_HWC - shade, axis=2) for shade in shades], axis=0)
    return np.asarray(np.clip(1 - distance / TOLERANCE, 0, None), np.float64)


def _box(values_HW: Floats, side: int) -> Floats:
    """Means over all `side` x `side` squares."""
    total = np.pad(values_HW.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    return np.asarray(sums / side**2, np.float64)


def texture(picture_HWC: Frame) -> Floats:
    """Statistics of the lower half, free of brightness and colour: how much it changes across and down, per band.

    Five bands from the skyline down, at a half and a quarter of the size (where a decoder's softness matters less);
    everything is relative to the picture's contrast. Last, how level the sharpest edge is: that tells the sea.
    """
    grey = (picture_HWC / 255).mean(2)
    low = grey[int(0.42 * len(grey)) :]
    low = (low - low.mean()) / (low.std() + 0.01)
    features = [_levelness(low)]
    for shrink in (2, 4):
        for band in np.array_split(_shrunk(low, shrink), 5):
            features += _slopes(band)
    return np.log(np.array(features) + 0.01)


def _shrunk(values_HW: Floats, times: int) -> Floats:
    """Means over `times` x `times` squares; rows and columns left over are dropped."""
    rows, columns = (side // times for side in values_HW.shape)
    squares = values_HW[: rows * times, : columns * times].reshape(rows, times, columns, times)
    return np.asarray(squares.mean((1, 3)), np.float64)


def _levelness(values_HW: Floats) -> float:
    """The largest step of the rows' means: an edge that runs level across the whole picture."""
    return float(np.abs(np.diff(_shrunk(values_HW, 2).mean(1))).max())


def _slopes(band_HW: Floats) -> list[float]:
    across, down = np.abs(np.diff(band_HW, axis=1)), np.abs(np.diff(band_HW, axis=0))
    bend = np.abs(np.diff(band_HW, 2, axis=1))
    return [
        float(across.mean()),
        float(down.mean()),
        float(bend.mean()),
        float(np.quantile(across, 0.95)),
        float(np.quantile(down, 0.95)),
        float(np.median(across)),
        float(np.median(down)),
    ]
