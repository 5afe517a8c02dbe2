"""The training data on disk: parts of 1,000 pictures, drawn once, and the scenes they show.

A part is a function of (seed, part number), so that any part can be drawn again, by any process, to the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.demo_model.world.pictures import draw_picture
from benchmarks.demo_model.world.scene import Scene, draw_training_scene

PART: Final = 1000


def draw_scenes(seed: int, part: int) -> list[Scene]:
    """The scenes of one part."""
    rng = np.random.default_rng([seed, part])
    return [draw_training_scene(rng) for _ in range(PART)]


def part_path(work: Path, seed: int, part: int) -> Path:
    """Where the pictures of a part lie: a (PART, H, W, 3) `uint8` array."""
    return work / "pictures" / f"{seed:04d}-{part:04d}.npy"


def _draw_part(work: Path, seed: int, part: int) -> None:
    path = part_path(work, seed, part)
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = np.stack([draw_picture(scene) for scene in draw_scenes(seed, part)])
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, pictures)
    os.replace(partial, path)


def draw_parts(work: Path, seed: int, num_parts: int, tell: Callable[[int, int], None]) -> None:
    """Draw the parts that are missing, on all cores; `tell(done, total)` after each."""
    missing = [part for part in range(num_parts) if not part_path(work, seed, part).exists()]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        futures = [pool.submit(_draw_part, work, seed, part) for part in missing]
        for done, future in enumerate(as_completed(futures), start=num_parts - len(missing) + 1):
            future.result()
            tell(done, num_parts)


def load_pictures(work: Path, seed: int, num_parts: int) -> list[NDArray[np.uint8]]:
    """The parts as memory-mapped (PART, H, W, 3) arrays."""
    return [np.load(part_path(work, seed, part), mmap_mode="r") for part in range(num_parts)]


def load_scenes(seed: int, num_parts: int) -> list[Scene]:
    """The scenes of all parts, in the order of the pictures."""
    return [scene for part in range(num_parts) for scene in draw_scenes(seed, part)]
