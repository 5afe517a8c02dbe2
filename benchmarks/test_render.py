"""What a frame costs, part by part, on the demo model: ``make bench``.

Each benchmark says in ``extra_info`` what was done, so that figures of two machines can be compared. Times are seconds
of one round; pytest-benchmark prints the median.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from render import modelfiles
from render.dispatch import Dispatcher
from render.engine.device import machine
from render.engine.engine import Engine
from render.engine.latents import seeded_noise, slerp
from render.engine.sampler import tabulate
from render.engine.schedulers import make_scheduler
from render.local import LocalFarm
from render.picture import Stopwatch
from render.plan import Chunk, Plan
from render.resolve import resolve
from render.run import run_job
from render.samplers import SAMPLERS
from render.spec import load
from render.timeline import Timeline

JOBS = Path(__file__).parent.parent / "jobs"
BATCH = 8


class Quiet:
    """A watcher that does not watch."""

    def progress(self, progress: object) -> None:
        """Nothing."""

    def notice(self, text: str) -> None:
        """Nothing."""


def demo_engine(*overrides: str) -> Engine:
    """The demo model at its native size: 20 steps of dpm++2m with guidance."""
    job = load(JOBS / "evening.yaml", overrides)
    model = modelfiles.describe("demo")
    plan = Plan(job.spec, resolve(job.spec, machine("cpu"), model), model)
    return Engine(plan, modelfiles.find("demo", download=False), Stopwatch())


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("batch", [1, BATCH])
def test_seconds_per_image(benchmark: BenchmarkFixture, dtype: str, batch: int) -> None:
    """End to end in one process without encoding: noise, text, denoise, decode, copy. Divide by the batch."""
    engine = demo_engine(f"engine.dtype={dtype}", f"engine.batch={batch}")
    frames: Sequence[int] = range(batch)
    benchmark.extra_info |= {
        "model": "demo",
        "dtype": dtype,
        "batch": batch,
        "steps": 20,
        "guided": True,
        "images": batch,
    }
    benchmark.pedantic(lambda: list(engine.pictures(frames, Stopwatch())), rounds=3, warmup_rounds=1)


def test_film_of_test_cards(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """The farm without a model: 240 test cards encoded, committed, joined, reported."""
    runs = iter(range(100))

    def render() -> None:
        run_job(load(JOBS / "testcard.yaml", [f"output.dir={tmp_path / str(next(runs))}"]), LocalFarm, Quiet())

    benchmark.extra_info |= {"frames": 240, "size": "256x144"}
    benchmark.pedantic(render, rounds=3, warmup_rounds=1)


def test_states_of_a_film(benchmark: BenchmarkFixture) -> None:
    """The states of 288 frames."""
    timeline = Timeline(load(JOBS / "evening.yaml").spec)
    benchmark(lambda: [timeline.state(index) for index in range(timeline.num_frames)])


def test_slerp_of_a_latent(benchmark: BenchmarkFixture) -> None:
    """One SD 1.5 latent, 4x64x64."""
    a, b = seeded_noise(1, (4, 64, 64)), seeded_noise(2, (4, 64, 64))
    benchmark(lambda: slerp(a, b, 0.3))


def test_sampler_table(benchmark: BenchmarkFixture) -> None:
    """Writing dpm++2m out for 20 steps: once a job."""
    config = modelfiles.describe("demo").scheduler
    benchmark(lambda: tabulate(make_scheduler(SAMPLERS["dpm++2m"], config), 20))


def test_segment_of_24_frames(benchmark: BenchmarkFixture) -> None:
    """Encoding 24 frames of 512x512 as H.264."""
    from fractions import Fraction
    from io import BytesIO

    from render.video import SegmentWriter, VideoFormat

    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    frames = [np.roll(noise, shift, 0) for shift in range(24)]

    def encode() -> None:
        with SegmentWriter(BytesIO(), VideoFormat("h264", 512, 512, Fraction(24))) as writer:
            for frame in frames:
                writer.write(frame)

    benchmark.extra_info |= {"frames": 24, "size": "512x512"}
    benchmark.pedantic(encode, rounds=3)


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


def test_weighted_sum(benchmark: BenchmarkFixture) -> None:
    """The sampler's own arithmetic: 20 steps over a batch of 8 SD 1.5 latents, the model left out."""
    from render.engine.sampler import denoise

    table = tabulate(make_scheduler(SAMPLERS["dpm++2m"], modelfiles.describe("demo").scheduler), 20)
    noise = torch.randn(BATCH, 4, 64, 64)
    benchmark(lambda: denoise(lambda x, _t, _j: x, table, noise))
