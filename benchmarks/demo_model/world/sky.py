"""The sky and what is in it: gradient, stars, sun or moon with its glow, clouds. Legend in `canvas.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.demo_model.world import palette
from benchmarks.demo_model.world.canvas import Array, Canvas, noise_2d, smoothstep
from benchmarks.demo_model.world.scene import Scene

# Units of the picture's side.
RADIUS: Final = {"small": 0.058, "big": 0.108, "huge": 0.170}
HEIGHT_Y: Final = {"dawn": (0.34, 0.43), "noon": (0.18, 0.26), "dusk": (0.36, 0.45), "night": (0.22, 0.32)}
PLACE_X: Final = {"left": 0.23, "middle": 0.50, "right": 0.77}
# x, y and width in radii of the moon, and how dark.
MOON_PATCHES: Final = (
    (-0.35, -0.25, 0.30, 0.14),
    (0.22, -0.38, 0.22, 0.11),
    (0.30, 0.22, 0.30, 0.13),
    (-0.2, 0.42, 0.2, 0.1),
)


@dataclass(frozen=True)
class Body:
    """Sun or moon: centre and radius in units of the picture's side, and its colour."""

    x: float
    y: float
    radius: float
    colour: palette.Rgb


def place_body(rng: np.random.Generator, scene: Scene) -> Body:
    """Where the sun or moon of the scene stands: low at dawn and dusk, always whole within the picture."""
    radius = RADIUS[scene.size] * float(rng.uniform(0.92, 1.08))
    x = PLACE_X[scene.place] + float(rng.uniform(-0.035, 0.035))
    low, high = HEIGHT_Y[scene.time]
    y = max(float(rng.uniform(low, high)) + 0.25 * radius, radius + 0.03)
    return Body(x, y, radius, palette.BODIES[scene.colour])


def paint_sky(canvas: Canvas, rng: np.random.Generator, light: palette.Light) -> None:
    """The gradient, a little different in colour and height from picture to picture."""
    stops = np.array(palette.SKY_STOPS) * rng.uniform(0.93, 1.05)
    sky = np.array(light.sky) * (1 + rng.normal(0, 0.018, (1, 3)))
    rows = np.stack([np.interp(canvas.y[:, 0], stops, sky[:, channel]) for channel in range(3)], 1)
    canvas.rgb_HWC[:] = rows[:, None, :]


def paint_stars(canvas: Canvas, rng: np.random.Generator, light: palette.Light) -> None:
    """Points of one final pixel's size, denser towards the zenith."""
    for _ in range(light.stars):
        x, y = rng.random() * canvas.side, rng.random() ** 1.4 * 0.62 * canvas.side
        i, j = int(y), int(x)
        canvas.rgb_HWC[i : i + 2, j : j + 2] += np.float32(rng.uniform(0.25, 0.9) * min(1.0, light.stars / 60))


def _distance(canvas: Canvas, body: Body) -> Array:
    """From the body's centre: (H, W)."""
    distance: Array = np.hypot(canvas.x - body.x, canvas.y - body.y).astype(np.float32)
    return distance


def paint_glow(canvas: Canvas, body: Body, strength: float, reach: float) -> None:
    """A halo that fades over `reach` plus the body's own radius."""
    beyond = np.maximum(_distance(canvas, body) - body.radius, 0)
    canvas.add(body.colour, (strength * np.exp(-beyond / (reach * (0.35 + 2.5 * body.radius)))).astype(np.float32))


def paint_body(canvas: Canvas, body: Body, light: palette.Light, *, is_moon: bool) -> None:
    """The disc and the glow behind it: a sun brightens to its middle, a moon has shade and patches."""
    paint_glow(canvas, body, light.glow, reach=0.26)
    distance = _distance(canvas, body)
    disc = np.clip((body.radius - distance) * canvas.side + 0.5, 0, 1)
    inward = np.clip(1 - distance / body.radius, 0, 1)
    colour = np.asarray(body.colour, np.float32)
    if is_moon:
        shade = (1 - 0.14 * (1 - inward) ** 3) * _seas_of_the_moon(canvas, body)
        canvas.cover(shade[..., None] * colour, disc)
    else:
        canvas.cover(colour + (1 - colour) * (0.30 * inward**1.5)[..., None], disc)


def _seas_of_the_moon(canvas: Canvas, body: Body) -> Array:
    """Soft dark patches, the same ones on every moon (it shows one face): (H, W) factors up to 1."""
    shade = np.ones((canvas.side, canvas.side), np.float32)
    for x, y, width, depth in MOON_PATCHES:
        away = np.hypot(canvas.x - body.x - x * body.radius, canvas.y - body.y - y * body.radius)
        shade -= np.float32(depth) * np.exp(-((away / (width * body.radius)) ** 2)).astype(np.float32)
    return shade


def paint_clouds(canvas: Canvas, rng: np.random.Generator, light: palette.Light, body: Body) -> None:
    """Soft, stretched clouds, some pictures with more; they thin out before the body so that its colour stays clear."""
    amount = float(rng.uniform(0.0, 0.75))
    noise = noise_2d(rng, canvas.side, 5, 2, octaves=4)
    band = np.exp(-(((canvas.y - rng.uniform(0.18, 0.42)) / 0.17) ** 2))
    clear = 0.25 + 0.75 * smoothstep(1.0, 1.5, _distance(canvas, body) / np.float32(body.radius))
    canvas.cover(light.cloud, (amount * smoothstep(0.48, 0.72, noise) * band * clear).astype(np.float32))
