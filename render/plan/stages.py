"""A rendered picture, and what makes pictures: the seam between a chunk and whatever draws it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping

__all__ = ["OPENING_STAGES", "STAGES", "Stopwatch"]


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


OPENING_STAGES = ("load", "prompt", "export", "compile")  # once a worker, before its first chunk


STAGES: Mapping[str, str] = {
    **dict.fromkeys(OPENING_STAGES, "start"),
    "denoise": "render",
    "decode": "render",
    "copy": "render",
    "wait": "render",
    "rest": "render",
    "encode": "beside",
}
"""Stage -> part. ``start``: once a worker, before its first chunk. ``render``: the chunk itself, one stage after
another; ``rest`` is what no stage was charged with. ``beside``: in a thread of its own, so it overlaps ``render`` and
is in no total. ``wait`` is the render thread waiting for that thread."""
