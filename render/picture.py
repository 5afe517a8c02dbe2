"""A rendered picture, and what makes pictures: the seam between a chunk and whatever draws it.

The engine (with torch) and the test card (without) are both a ``PictureSource``; a worker knows no more than that.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Picture", "PictureSource", "Pixels", "Stopwatch"]

Pixels = NDArray[np.uint8]
"""A picture as (height, width, 3) RGB bytes."""


@dataclass(frozen=True)
class Picture:
    """Frame ``index`` of the film. ``remark`` is (kind, text) where the frame needs a word in the report."""

    index: int
    pixels: Pixels
    remark: tuple[str, str] | None = None


class Stopwatch:
    """Seconds by stage. Stages of one thread must not nest: they would be counted twice."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Charge what happens inside the with-block to ``stage``."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - began)

    def add(self, stage: str, seconds: float) -> None:
        """Charge seconds that were measured elsewhere."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


class PictureSource(Protocol):
    """Renders frames of one plan."""

    sampler_table: str
    """sha256 of the numbers the sampler runs on; empty where there is no sampler."""
    warnings: tuple[str, ...]
    """What a person should know before the first picture."""

    def pictures(self, frames: Sequence[int], watch: Stopwatch) -> Iterator[Picture]:
        """The pictures of ``frames`` in that order. Raises EngineError for one that cannot be rendered."""
        ...
