"""Up to 64 worker processes that only sleep, over Ray on this machine: ``make bench-farm``, some minutes.

All workers begin together, so that starting their processes is not measured: on two cores that takes 64 of them a
minute or two. Ideal is the time that the sleeping takes, shared out evenly. A chunk is one picture: with more of them
the cores of a small machine would be measured, which draw and encode the cards of all workers at the same moment. In
the first rounds they are all the same, so the later ones are told apart.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from render.farm.base import Answered, Farm, Message, Opened
from render.farm.progress import Silent
from render.farm.runner import run_job
from render.spec import load
from render.store import RunDir

JOBS = Path(__file__).parent.parent / "jobs"
CHUNK_S, ROUNDS = 5.0, 4


class Together:
    """A farm whose workers begin together: it tells of open plans when the last one is open."""

    def __init__(self, farm: Farm, workers: int) -> None:
        self._farm, self._missing = farm, workers
        self._held: list[Message] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._farm, name)

    def wait(self, timeout_s: float) -> list[Message]:
        """Messages; those of open plans together."""
        messages = self._farm.wait(timeout_s)
        opened = [heard for heard in messages if isinstance(heard, Answered) and isinstance(heard.answer, Opened)]
        self._missing -= len(opened)
        self._held += opened
        others = [heard for heard in messages if heard not in opened]
        if self._missing > 0:
            return others
        told, self._held = self._held, []
        return [*others, *told]


@pytest.fixture(scope="module")
def ray_farm() -> Iterator[Callable[[], Farm]]:
    """Farms over one Ray of this machine, which is started once and not measured."""
    from render.farm.ray.connection import connected
    from render.farm.ray.farm import RayFarm

    with connected(None):
        yield RayFarm


@pytest.mark.parametrize("workers", [1, 2, 4, 16, 64])
def test_workers_that_sleep(
    benchmark: BenchmarkFixture, tmp_path: Path, ray_farm: Callable[[], Farm], workers: int
) -> None:
    """Four chunks of five seconds for each worker."""
    chunks = ROUNDS * workers
    settings = [
        *(f"frames={chunks}", f"farm.workers={workers}", "farm.chunk=1", "size=64x64"),
        *(f"model=testcard:{1000 * CHUNK_S:.0f}ms", f"output.dir={tmp_path}"),
    ]
    job = load(JOBS / "testcard.yaml", settings)
    benchmark.pedantic(lambda: run_job(job, lambda: Together(ray_farm(), workers), Silent()), rounds=1)
    records = RunDir(tmp_path).records().values()
    taken_s = max(record.ended for record in records) - min(record.began for record in records)
    ends = [sorted(record.ended for record in records if record.worker == f"w{worker}") for worker in range(workers)]
    later_s = mean((mine[-1] - mine[1]) / (len(mine) - 2) for mine in ends if len(mine) > 2)
    ideal_s = ROUNDS * CHUNK_S
    benchmark.extra_info |= {
        "workers": workers,
        "chunks": chunks,
        "rendering_s": round(taken_s, 3),
        "ideal_s": ideal_s,
        "efficiency": round(ideal_s / taken_s, 4),
        "efficiency_of_later_rounds": round(CHUNK_S / later_s, 4),
        "overhead_of_a_chunk": round((taken_s - ideal_s) / ideal_s, 4),
        "load": os.getloadavg()[0],
    }
