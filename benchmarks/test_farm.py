"""What the farm costs, without a model: ``make bench``. Test cards of a known time show what is lost beside them.

``extra_info`` has the figures to remember: how much faster two workers are, and seconds of overhead a chunk.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from render.dispatch import Dispatcher
from render.farm import Farm
from render.local import LocalFarm
from render.plan import Chunk
from render.record import Record
from render.run import run_job
from render.rundir import RunDir
from render.spec import load

JOBS = Path(__file__).parent.parent / "jobs"
FRAMES, CHUNK, CARD_S = 96, 8, 0.05


class Quiet:
    """A watcher that does not watch."""

    def progress(self, progress: object) -> None:
        """Nothing."""

    def notice(self, text: str) -> None:
        """Nothing."""


def render(out: Path, make_farm: Callable[[], Farm], *overrides: str) -> dict[str, Any]:
    """Run the test card job; its report."""
    run_job(load(JOBS / "testcard.yaml", [f"output.dir={out}", *overrides]), make_farm, Quiet())
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return report


@pytest.fixture(scope="module")
def ray_farm() -> Iterator[Callable[[], Farm]]:
    """Farms over one Ray of this machine, which is started once and not measured."""
    from render.cluster import RayFarm, connected

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


def test_dispatch_of_10_000_chunks(benchmark: BenchmarkFixture) -> None:
    """The dispatcher alone: 10,000 chunks over 100 workers that finish at once."""

    def dispatch() -> None:
        dispatcher = Dispatcher([Chunk(start, start + 1) for start in range(10_000)], attempts=3)
        for worker in range(100):
            dispatcher.add_worker(f"w{worker}")
        while not dispatcher.finished:
            for worker, chunk in dispatcher.assign(0.0):
                dispatcher.completed(worker, chunk, 1.0)

    benchmark.pedantic(dispatch, rounds=3)


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
            run_job(job, Beginning, Quiet())

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
