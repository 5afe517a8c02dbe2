"""The scenes of the demo model: what a landscape can be, how to draw one by lot, how to say it in words.

Knows no pixels (`pictures.py` draws) and no tensors. Randomness is always an explicit `numpy` generator.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np

TIMES: Final = ("dawn", "noon", "dusk", "night")
SIZES: Final = ("small", "big", "huge")
COLOURS: Final = ("red", "golden", "white", "pink")
PLACES: Final = ("left", "middle", "right")
TERRAINS: Final = ("mountains", "hills", "sea", "forest", "city")
GROUNDS: Final = ("blue", "green", "violet", "red", "golden", "grey")

BLUR_SHARE: Final = 0.04  # enough for "blurry" to mean something as a negative prompt, few enough to cost nothing
HELD_OUT_SHARE: Final = 0.1  # of the 480 (colour, ground, terrain, time) combinations


@dataclass(frozen=True)
class Scene:
    """One landscape in words. `detail` seeds everything the words leave open; `blur_px` is a Gaussian sigma."""

    time: str
    size: str
    colour: str
    place: str
    terrain: str
    ground: str
    detail: int = 0
    blur_px: float = 0.0

    @property
    def body(self) -> str:
        """The moon belongs to the night, the sun to every other time."""
        return "moon" if self.time == "night" else "sun"


def is_held_out(scene: Scene) -> bool:
    """Whether training never sees this (colour, ground, terrain, time): a fixed tenth of all combinations."""
    key = f"render demo {scene.colour} {scene.ground} {scene.terrain} {scene.time}"
    return zlib.crc32(key.encode()) % 1000 < HELD_OUT_SHARE * 1000


def draw_scene(rng: np.random.Generator, *, held_out: bool = False) -> Scene:
    """Draw a sharp scene uniformly among the combinations that are (or are not) held out of training."""
    while True:
        scene = Scene(
            time=str(rng.choice(TIMES)),
            size=str(rng.choice(SIZES)),
            colour=str(rng.choice(COLOURS)),
            place=str(rng.choice(PLACES)),
            terrain=str(rng.choice(TERRAINS)),
            ground=str(rng.choice(GROUNDS)),
            detail=int(rng.integers(2**31)),
        )
        if is_held_out(scene) == held_out:
            return scene


def draw_training_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene for training: never a held-out combination, now and then (`BLUR_SHARE`) a blurred one."""
    scene = draw_scene(rng)
    if rng.random() >= BLUR_SHARE:
        return scene
    return Scene(**{**vars(scene), "blur_px": float(rng.uniform(1.5, 4.0))})
