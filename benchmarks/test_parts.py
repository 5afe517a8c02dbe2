"""The parts of a frame outside the networks, one by one: ``make bench``. The networks are ``render bench``'s.

Each benchmark says in ``extra_info`` what was done, so that figures of two machines can be compared. Times are seconds
of one round; pytest-benchmark prints the median.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from render import models
from render.engine.noise import seeded_noise, slerp
from render.engine.sampler.schedulers import make_scheduler
from render.engine.sampler.table import tabulate
from render.plan.modes import MODES
from render.spec import SAMPLERS, load

JOBS = Path(__file__).parent.parent / "jobs"
BATCH = 8


def test_states_of_a_film(benchmark: BenchmarkFixture) -> None:
    """The states of 288 frames."""
    spec = load(JOBS / "evening.yaml").spec
    timeline = MODES[spec.mode].timeline(spec)
    benchmark(lambda: [timeline.state(index) for index in range(spec.num_frames)])


def test_slerp_of_a_latent(benchmark: BenchmarkFixture) -> None:
    """One SD 1.5 latent, 4x64x64."""
    a, b = seeded_noise(1, (4, 64, 64)), seeded_noise(2, (4, 64, 64))
    benchmark(lambda: slerp(a, b, 0.3))


def test_sampler_table(benchmark: BenchmarkFixture) -> None:
    """Writing dpm++2m out for 20 steps: once a job."""
    config = models.describe("demo").scheduler
    benchmark(lambda: tabulate(make_scheduler(SAMPLERS["dpm++2m"], config), 20))


def test_segment_of_24_frames(benchmark: BenchmarkFixture) -> None:
    """Encoding 24 frames of 512x512 as H.264."""
    from fractions import Fraction
    from io import BytesIO

    from render.video.codecs import VideoFormat
    from render.video.segment import SegmentWriter

    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    frames = [np.roll(noise, shift, 0) for shift in range(24)]

    def encode() -> None:
        with SegmentWriter(BytesIO(), VideoFormat("h264", 512, 512, Fraction(24))) as writer:
            for frame in frames:
                writer.write(frame)

    benchmark.extra_info |= {"frames": 24, "size": "512x512"}
    benchmark.pedantic(encode, rounds=3)


def test_weighted_sum(benchmark: BenchmarkFixture) -> None:
    """The sampler's own arithmetic: 20 steps over a batch of 8 SD 1.5 latents, the model left out."""
    from render.engine.sampler.denoise import denoise

    table = tabulate(make_scheduler(SAMPLERS["dpm++2m"], models.describe("demo").scheduler), 20)
    noise = torch.randn(BATCH, 4, 64, 64)
    benchmark(lambda: denoise(lambda x, _t, _j: x, table, noise))
