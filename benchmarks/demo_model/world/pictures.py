"""The picture maker: a `Scene` in, a picture out. Pure `numpy`: the same scene gives the same bytes."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.demo_model.world import palette, sky
from benchmarks.demo_model.world.canvas import OVERSAMPLE, Canvas
from benchmarks.demo_model.world.land import PAINTERS
from benchmarks.demo_model.world.scene import Scene

SIZE_PX: Final = 128


def draw_picture(scene: Scene, size_px: int = SIZE_PX) -> NDArray[np.uint8]:
    """Draw the scene: (size_px, size_px, 3) `uint8`."""
    rng = np.random.default_rng(scene.detail)
    light = palette.LIGHTS[scene.time]
    canvas = Canvas(size_px * OVERSAMPLE)
    body = sky.place_body(rng, scene)
    sky.paint_sky(canvas, rng, light)
    sky.paint_stars(canvas, rng, light)
    sky.paint_body(canvas, body, light, is_moon=scene.body == "moon")
    sky.paint_clouds(canvas, rng, light, body)
    PAINTERS[scene.terrain](canvas, rng, scene, body)
    sky.paint_glow(canvas, body, light.glow * 0.22, reach=0.34)
    picture = canvas.pixels()
    return blur(picture, scene.blur_px) if scene.blur_px > 0 else picture


def blur(picture_HWC: NDArray[np.uint8], sigma_px: float) -> NDArray[np.uint8]:
    """Gaussian blur, edges repeated."""
    reach = int(3 * sigma_px + 1)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma_px) ** 2)
    weights /= weights.sum()
    out = picture_HWC.astype(np.float32)
    for axis in (0, 1):
        pad = [(reach, reach) if a == axis else (0, 0) for a in range(3)]
        padded = np.pad(out, pad, mode="edge")
        length = out.shape[axis]
        out = sum(w * np.take(padded, range(k, k + length), axis) for k, w in enumerate(weights.tolist()))
    return (out + 0.5).astype(np.uint8)
