"""The land below the sky: mountains, hills, sea, forest, city, in layers with haze between. Legend in `canvas.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.demo_model.world import palette
from benchmarks.demo_model.world.canvas import Array, Canvas, mix, noise_1d, noise_2d, smoothstep, times
from benchmarks.demo_model.world.scene import Scene
from benchmarks.demo_model.world.sky import Body

HORIZON_Y: Final = 0.60  # of the sea


@dataclass(frozen=True)
class Layer:
    """One layer of land: how it is lit and how much air lies before it."""

    colour: palette.Rgb
    mist: palette.Rgb
    mist_depth: float  # over which the layer's foot dissolves into mist, in sides of the picture


def _layer(scene: Scene, depth: float) -> Layer:
    """The layer at a depth from 0 (near) to 1 (far)."""
    light = palette.LIGHTS[scene.time]
    air = mix(light.sky[3], light.sky[2], 0.25)
    ground = times(palette.GROUNDS[scene.ground], light.tint)
    shaded = mix(times(ground, (0.62, 0.62, 0.66)), ground, depth)
    return Layer(mix(shaded, air, light.haze * depth), mix(shaded, air, min(1.0, light.haze * (depth + 0.35))), 0.30)


def _paint_layer(canvas: Canvas, layer: Layer, profile_W: Array, tone_HW: Array | float = 0.0) -> Array:
    """Fill below the profile, dissolving into mist downwards; `tone` brightens (positive) or darkens. Returns alpha."""
    alpha = canvas.below(profile_W)
    foot = smoothstep(0.0, layer.mist_depth, canvas.y - profile_W[None, :])[..., None]
    colour = np.asarray(layer.colour, np.float32) * (1 + np.asarray(tone_HW, np.float32)[..., None])
    canvas.cover(np.clip(colour + (np.asarray(layer.mist, np.float32) - colour) * foot, 0, 1), alpha)
    return alpha


def _ridge(rng: np.random.Generator, canvas: Canvas, base: float, height: float) -> Array:
    """A jagged profile: a few straight-sided peaks, roughened by noise at finer and finer scales."""
    x = canvas.x[0]
    profile = np.full(canvas.side, base, np.float32)
    count = int(rng.integers(4, 6))
    for k in range(count):
        peak_x = (k + rng.uniform(0.15, 0.85)) / count
        top = base - height * rng.uniform(0.55, 1.0)
        profile = np.minimum(profile, top + np.abs(x - peak_x) * np.float32(rng.uniform(0.85, 1.35)))
    return profile + np.float32(0.10 * height) * noise_1d(rng, canvas.side, 12, 4, 0.6)


def _paint_mountains(canvas: Canvas, rng: np.random.Generator, scene: Scene, body: Body) -> None:
    for depth, base, height in ((1.0, 0.70, 0.22), (0.5, 0.82, 0.26), (0.0, 0.98, 0.24)):
        profile = _ridge(rng, canvas, base, height)
        slope = np.gradient(profile) * canvas.side
        wobble = (noise_2d(rng, canvas.side, 10, 10, 2) - 0.5) * 0.10
        columns = np.clip((canvas.x + wobble) * canvas.side, 0, canvas.side - 1).astype(int)
        facing = np.tanh(slope[columns] * 1.5) * np.tanh((canvas.x - body.x) * 8)
        layer = _layer(scene, depth)
        alpha = _paint_layer(canvas, layer, profile, -0.20 * facing.astype(np.float32))
        if depth > 0:
            _paint_snow(canvas, rng, scene, profile, alpha, base - height * 0.62, 0.75 - 0.2 * facing)


def _paint_snow(
    canvas: Canvas,
    rng: np.random.Generator,
    scene: Scene,
    profile_W: Array,
    alpha_HW: Array,
    line: float,
    light_HW: Array,
) -> None:
    """White above a ragged snow line, a little deeper than the ridge."""
    ragged = line + 0.05 * (noise_2d(rng, canvas.side, 12, 24, 2) - 0.5)
    cap = np.clip((ragged - canvas.y) * canvas.side / 4, 0, 1) * smoothstep(0.0, 0.01, canvas.y - profile_W[None, :])
    white = mix(palette.SNOW, palette.LIGHTS[scene.time].sky[3], 0.25)
    canvas.cover(
        times(white, palette.LIGHTS[scene.time].tint), (cap * alpha_HW * np.clip(light_HW, 0, 1)).astype(np.float32)
    )


def _paint_hills(canvas: Canvas, rng: np.random.Generator, scene: Scene, body: Body) -> None:
    for depth, base, height in ((1.0, 0.66, 0.10), (0.66, 0.73, 0.12), (0.33, 0.82, 0.13), (0.0, 0.93, 0.12)):
        phase, waves = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.7, 1.5)
        x = canvas.x[0]
        swell = np.sin(2 * np.pi * waves * x + phase[0]) + 0.35 * np.sin(2 * np.pi * 2.1 * waves * x + phase[1])
        profile = (base - height * 0.37 * (swell + 0.2)).astype(np.float32)
        depth_below = canvas.y - profile[None, :]
        rim = 0.34 * np.exp(-np.maximum(depth_below, 0) / 0.03) * np.exp(-(((canvas.x - body.x) / 0.45) ** 2))
        furrows = 0.05 * np.sin(depth_below * 95 + 5 * np.sin(canvas.x * 5 + phase[1])) * (1 - depth)
        _paint_layer(canvas, _layer(scene, depth), profile, (rim + furrows).astype(np.float32))


def _paint_sea(canvas: Canvas, rng: np.random.Generator, scene: Scene, body: Body) -> None:
    horizon = np.float32(HORIZON_Y)
    depth = np.clip((canvas.y - horizon) / (1 - horizon), 0, 1)
    far, near = np.asarray(_layer(scene, 0.8).colour, np.float32), np.asarray(_layer(scene, 0.0).colour, np.float32)
    water = far + (near - far) * smoothstep(0.0, 0.9, depth)[..., None]
    # Perspective: the waves' phase runs with the inverse of the depth, so that they shorten towards the horizon.
    ruffle = noise_2d(rng, canvas.side, 24, 5, 2) - 0.5
    waves = np.sin(26 / (depth + 0.16) + 9 * ruffle) * (0.25 + 0.75 * depth)
    alpha = np.broadcast_to(np.clip((canvas.y - horizon) * canvas.side + 0.5, 0, 1), (canvas.side, canvas.side))
    canvas.cover(np.clip(water * (1 + 0.10 * waves[..., None]), 0, 1), alpha.astype(np.float32))
    width = body.radius * (0.55 + 0.75 * depth)
    column = np.exp(-(((canvas.x - body.x) / width) ** 2) * 1.6)
    glitter = smoothstep(-0.55, 0.75, np.sin(26 / (depth + 0.16) + 14 * ruffle).astype(np.float32))
    canvas.cover(body.colour, (alpha * column * (0.22 + 0.62 * glitter) * (1 - 0.35 * depth)).astype(np.float32))


def _firs(rng: np.random.Generator, canvas: Canvas, base: float, height: float, count: int) -> Array:
    """The profile of a row of firs: steep cones whose flanks step outwards like tiers of branches."""
    x = canvas.x[0]
    profile = np.full(canvas.side, base, np.float32)
    for k in range(count + 1):
        away = np.abs(x - np.float32((k + rng.uniform(-0.3, 0.3)) / count))
        tiers = away + np.float32(0.006) * np.sin(away * np.float32(2 * np.pi / 0.017))
        top = base - height * rng.uniform(0.45, 1.0)
        profile = np.minimum(profile, top + tiers * np.float32(rng.uniform(2.9, 3.9)))
    return profile


def _paint_forest(canvas: Canvas, rng: np.random.Generator, scene: Scene, _body: Body) -> None:
    for depth, base, height, count in ((1.0, 0.70, 0.15, 15), (0.5, 0.83, 0.23, 10), (0.0, 1.04, 0.36, 6)):
        drift = 0.06 * noise_1d(rng, canvas.side, 3, 1)
        profile = _firs(rng, canvas, base, height, count) + drift
        rim = 0.22 * np.exp(-np.maximum(canvas.y - profile[None, :], 0) / 0.025)
        _paint_layer(canvas, _layer(scene, depth), profile, rim.astype(np.float32))


def _towers(rng: np.random.Generator, canvas: Canvas, base: float, height: float, count: int) -> Array:
    """A skyline: flat roofs of uneven width and height, some with a mast."""
    edges = np.cumsum(rng.uniform(0.6, 1.4, count))
    edges = (edges / edges[-1] * canvas.side).astype(int)
    profile = np.full(canvas.side, base, np.float32)
    start = 0
    for stop in edges.tolist():
        top = base - height * float(rng.uniform(0.3, 1.0))
        profile[start:stop] = top
        if rng.random() < 0.25 and stop - start > 12:
            mast = (start + stop) // 2
            profile[mast : mast + 2] = top - 0.05
        start = stop
    return profile


def _paint_windows(canvas: Canvas, rng: np.random.Generator, scene: Scene, profile_W: Array, cell: int) -> None:
    """A grid of windows, some lit; `cell` is its pitch in canvas pixels."""
    light = palette.LIGHTS[scene.time]
    cells = canvas.side // cell + 1
    lit = (rng.random((cells, cells)) < light.lamps).astype(np.float32)
    rows, columns = np.arange(canvas.side) // cell, np.arange(canvas.side) // cell
    inside = np.arange(canvas.side) % cell
    pane = ((inside[:, None] >= cell // 3) & (inside[None, :] >= cell // 3)).astype(np.float32)
    wall = smoothstep(0.012, 0.02, canvas.y - profile_W[None, :])
    shown = lit[rows][:, columns]
    canvas.rgb_HWC *= (1 - 0.16 * pane * wall * (1 - shown))[..., None]
    canvas.cover(palette.LAMP, (0.92 * pane * wall * shown).astype(np.float32))


def _paint_city(canvas: Canvas, rng: np.random.Generator, scene: Scene, body: Body) -> None:
    for depth, base, height, count, cell in (
        (1.0, 0.76, 0.24, 13, 0),
        (0.5, 0.88, 0.28, 10, 8),
        (0.0, 1.04, 0.32, 7, 12),
    ):
        profile = _towers(rng, canvas, base, height, count)
        layer = _layer(scene, depth)
        side_light = 0.10 * np.tanh((body.x - canvas.x) * 3)
        shade = np.repeat(rng.uniform(-0.10, 0.10, canvas.side // 16), 16)[None, :] * (0.3 + 0.7 * (1 - depth))
        _paint_layer(canvas, layer, profile, np.broadcast_to(side_light + shade, (canvas.side,) * 2).astype(np.float32))
        if cell:
            _paint_windows(canvas, rng, scene, profile, cell)


PAINTERS: Final = {
    "mountains": _paint_mountains,
    "hills": _paint_hills,
    "sea": _paint_sea,
    "forest": _paint_forest,
    "city": _paint_city,
}
