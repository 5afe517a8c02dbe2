"""What the farm costs, without a model: ``make bench-farm``. Test cards of a known time show what is lost beside them.

``extra_info`` has the figures to remember: how much faster two workers are, and seconds of overhead a chunk.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import random
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.simulated import SimulatedFarm, dispatch
from render import models
from render.farm.base import Farm
from render.farm.local import LocalFarm
from render.farm.progress import Silent
from render.farm.runner import run_job
from render.plan import Chunk, Machine, Plan, resolve
from render.spec import load
from render.store import Record, RunDir

JOBS = Path(__file__).parent.parent / "jobs"
FRAMES, CHUNK, CARD_S = 96, 8, 0.05


def render(out: Path, make_farm: Callable[[], Farm], *overrides: str) -> dict[str, Any]:
    """Run the test card job; its report."""
    run_job(load(JOBS / "testcard.yaml", [f"output.dir={out}", *overrides]), make_farm, Silent())
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return report


@pytest.fixture(scope="module")
def ray_farm() -> Iterator[Callable[[], Farm]]:
    """Farms over one Ray of this machine, which is started once and not measured."""
    from render.farm.ray.connection import connected
    from render.farm.ray.farm import RayFarm

    with connected(None):
        yield RayFarm


def test_film_of_test_cards(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """The farm in one process: 240 test cards encoded, committed, joined, reported."""
    runs = iter(range(100))
    benchmark.extra_info |= {"frames": 240, "size": "256x144"}
    benchmark.pedantic(lambda: render(tmp_path / str(next(runs)), LocalFarm), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("workers", [1, 2])
def test_scaling_over_workers(
    benchmark: BenchmarkFixture, tmp_path: Path, ray_farm: Callable[[], Farm], workers: int
) -> None:
    """96 cards of 50 ms each through Ray, workers' start included. A card's time is slept, so cores do not bind."""
    runs = iter(range(100))
    settings = (f"frames={FRAMES}", f"farm.workers={workers}", f"farm.chunk={CHUNK}", "model=testcard:50ms")
    reports: list[dict[str, Any]] = []
    benchmark.pedantic(
        lambda: reports.append(render(tmp_path / str(next(runs)), ray_farm, *settings)), rounds=2, warmup_rounds=0
    )
    chunks = [[item["began_s"] for item in report["timeline"]] for report in reports]
    ended = [[item["ended_s"] for item in report["timeline"]] for report in reports]
    rendering_s = min(max(last) - min(first) for first, last in zip(chunks, ended, strict=True))
    ideal_s = FRAMES * CARD_S / workers
    benchmark.extra_info |= {
        "workers": workers,
        "frames": FRAMES,
        "rendering_s": round(rendering_s, 3),
        "ideal_s": ideal_s,
        "efficiency": round(ideal_s / rendering_s, 3),
        "overhead_s_a_chunk": round((rendering_s - ideal_s) * workers / (FRAMES / CHUNK), 4),
    }


def test_overhead_of_a_chunk(benchmark: BenchmarkFixture, tmp_path: Path, ray_farm: Callable[[], Farm]) -> None:
    """64 chunks of one test card each on one worker of Ray: what a chunk costs beside its picture."""
    runs = iter(range(100))
    settings = ("frames=64", "farm.workers=1", "farm.chunk=1")
    reports: list[dict[str, Any]] = []
    benchmark.pedantic(lambda: reports.append(render(tmp_path / str(next(runs)), ray_farm, *settings)), rounds=2)
    busy = [sum(worker["busy_s"] for worker in report["workers"]) for report in reports]
    idle = [sum(worker["idle_s"] for worker in report["workers"]) for report in reports]
    benchmark.extra_info |= {"chunks": 64, "busy_ms": 1000 * min(busy) / 64, "idle_ms": 1000 * min(idle) / 64}


def plan_of(chunks: int) -> Plan:
    """A plan of test cards with so many chunks of eight."""
    spec = load(JOBS / "testcard.yaml", [f"frames={8 * chunks}", "farm.chunk=8"]).spec
    machine = Machine("cpu", "simulated", cores=1, memory_bytes=1 << 30, bf16=False, versions={})
    model = models.describe("testcard")
    return Plan(spec, resolve(spec, machine, model), model)


class Begun(Exception):  # noqa: N818 (no error: a job has come so far)
    """The first chunk was sent."""


class Beginning(LocalFarm):
    """Ends where rendering begins."""

    def send(self, worker: str, chunk: Chunk) -> None:
        """Enough."""
        raise Begun


def test_resume_of_10_000_chunks(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """From the command to the first chunk sent, with 10,000 chunks of 8 pictures committed on a disk before it."""
    job = load(JOBS / "testcard.yaml", [f"output.dir={tmp_path}", "frames=80008", "farm.chunk=8"])

    def resume() -> None:
        with contextlib.suppress(Begun):
            run_job(job, Beginning, Silent())

    resume()
    plan = RunDir(tmp_path).read_plan()
    assert plan is not None
    data = bytes(1000)
    for chunk in plan.chunks[:-1]:
        record = Record(
            digest=plan.digest,
            chunk=chunk,
            pictures=tuple(hashlib.sha256(str(index).encode()).hexdigest() for index in chunk.frames),
            file=f"segments/{chunk.name}.mp4",
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            stills=None,
            stills_bytes={},
            worker="w0",
            device="cpu",
            began=1.0,
            ended=2.0,
            timings_s={"denoise": 0.7, "decode": 0.2, "encode": 0.1},
            versions={"render": "0.1.0", "torch": "2.13.0", "diffusers": "0.42.1", "ray": "2.60.0", "av": "18.1.0"},
            sampler_table="0" * 64,
        )
        (tmp_path / "segments" / f"{chunk.name}.mp4").write_bytes(data)
        (tmp_path / "segments" / f"{chunk.name}.json").write_text(record.to_json())
    assert len(RunDir(tmp_path).records()) == 10_000
    benchmark.extra_info |= {"chunks": 10_000}
    benchmark.pedantic(resume, rounds=3)
    assert benchmark.stats.stats.max < 10


def test_plan_of_10_000_chunks(benchmark: BenchmarkFixture) -> None:
    """From a loaded spec to chunks, digest and the text of plan.json."""

    def plan() -> None:
        made = plan_of(10_000)
        assert len(made.chunks) == 10_000
        assert made.digest in made.to_json()

    benchmark.pedantic(plan, rounds=3)
    benchmark.extra_info |= {"chunks": 10_000}
    assert benchmark.stats["min"] < 2.0


SPEEDS = {"alike": (1,), "unlike": (1, 1, 2, 4)}


@pytest.mark.parametrize("speeds", SPEEDS)
@pytest.mark.parametrize("workers", [1, 100, 1000])
def test_dispatch_of_10_000_chunks(benchmark: BenchmarkFixture, workers: int, speeds: str) -> None:
    """The driver itself, over simulated workers: five seconds a chunk, scattered by 5 %, some workers faster."""
    plan = plan_of(10_000)
    farms: list[SimulatedFarm] = []
    speed = [SPEEDS[speeds][worker % len(SPEEDS[speeds])] for worker in range(workers)]

    def drive() -> float:
        dice = random.Random(1)
        seconds = lambda worker, _chunk: 5.0 / speed[worker] * dice.uniform(0.95, 1.05)  # noqa: E731
        farms.append(SimulatedFarm(workers, seconds, plan.digest))
        return dispatch(plan, farms[-1])

    cpu_s = benchmark.pedantic(drive, rounds=1)
    taken_s = farms[-1].ended - farms[-1].began
    ideal_s = 5.0 * len(plan.chunks) / sum(speed)
    benchmark.extra_info |= {
        "workers": workers,
        "ms_a_chunk": round(1000 * cpu_s / len(plan.chunks), 4),
        "efficiency": round(ideal_s / taken_s, 4),
        "load": os.getloadavg()[0],
    }
    last_s = 5.0 * (1 if speeds == "alike" else 2)  # a slow worker may hold two of the last chunks
    assert taken_s <= ideal_s + last_s * 1.05, "within a chunk of what is possible"


def test_memory_of_a_long_dispatch(benchmark: BenchmarkFixture) -> None:
    """What Python holds while 10,000 chunks go through 1,000 simulated workers; each tenth of the way is looked at."""
    plan = plan_of(10_000)
    held: list[int] = []

    def look(done: int) -> None:
        if done % 1000 == 0:
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])

    def drive() -> None:
        tracemalloc.start()
        dispatch(plan, SimulatedFarm(1000, lambda _worker, _chunk: 5.0, plan.digest), look)
        tracemalloc.stop()

    benchmark.pedantic(drive, rounds=1)
    benchmark.extra_info |= {"held_mb": [round(size / 1e6, 2) for size in held]}
    assert max(held[2:]) <= 1.1 * held[1], "it is flat once all workers are there"
