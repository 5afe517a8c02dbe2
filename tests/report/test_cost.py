"""Costs: rough before, measured after; right in order of magnitude where real figures are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from render.models import ModelInfo
from render.plan import Plan
from render.report import estimate
from render.report.cost import SHALLOW_SHARE, measured_s_per_frame
from render.store import Record
from render.video.codecs import CODECS

Make = Callable[..., Plan]

SD = ModelInfo("sd", (512, 512), 4, 8, {}, "f" * 64)
UNET, VAE = 860_000_000, 50_000_000


def record(plan: Plan, place: int, seconds: float) -> Record:
    chunk = plan.chunks[place]
    return Record(
        digest=plan.digest,
        chunk=chunk,
        pictures=("0" * 64,) * len(chunk.frames),
        file="",
        bytes=0,
        sha256="",
        stills=None,
        stills_bytes={},
        worker="w",
        device="",
        began=10.0,
        ended=10.0 + seconds,
        timings_s={},
        versions={},
        sampler_table="",
    )


def on_gpu(plan: Plan) -> Plan:
    return replace(plan, settings=replace(plan.settings, device="cuda"))


def test_sd_15_on_an_h100_within_a_factor_of_three(plan_of: Make) -> None:
    """By its FLOPs and bytes 68 ms a frame, kernels not fused, 512x512, 20 steps with guidance."""
    plan = on_gpu(plan_of("size=512x512", "frames=100", "steps=20", model=SD))
    assert 100 * 0.068 / 3 < estimate(plan, UNET, VAE, []).seconds < 100 * 0.068 * 3


@pytest.mark.parametrize(
    ("assignment", "factor"),
    [
        ("frames=24", 2.0),
        ("steps=40", 2.0),
        ("guidance=1", 0.5),
        ("size=256x144", 4.0),
        ("engine.interpolate_frames=4", 0.25 + 0.75 * SHALLOW_SHARE),
        ("engine.guidance_interval=[0, 0.5]", 0.75),
    ],
)
def test_costs_grow_with_the_work(assignment: str, factor: float, plan_of: Make) -> None:
    one, other = (estimate(plan_of(*given, model=SD), UNET, 0, []) for given in ((), (assignment,)))
    assert other.seconds / one.seconds == pytest.approx(factor)
    assert not one.measured


def test_measured_speed_counts_more_than_a_guess(plan_of: Make) -> None:
    plan = plan_of("frames=10", model=SD)
    cost = estimate(plan, UNET, VAE, [record(plan, 0, 8.0), record(plan, 2, 1.0)])
    assert cost.measured
    assert cost.seconds == pytest.approx(10 * 9.0 / 6), "six frames in nine seconds; the last chunk has two"


def test_nothing_measured_yet() -> None:
    assert measured_s_per_frame([]) is None


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("frames", ["null", "png", "jpg", "webp"])
def test_every_codec_and_still_has_a_size(codec: str, frames: str, plan_of: Make) -> None:
    plan = plan_of(f"output={{codec: {codec}, frames: {frames}, video: {CODECS[codec].containers[0]}}}", "frames=100")
    cost = estimate(plan, 0, 0, [])
    assert cost.film_bytes > 0
    assert (cost.stills_bytes > 0) == (frames != "null")


def test_a_test_card_costs_nothing(plan_of: Make) -> None:
    assert estimate(plan_of(), 0, 0, []).seconds == 0.0
