"""FLOPs of known networks, and the fused floor."""

from __future__ import annotations

import pytest
import torch

from render import models
from render.bench.case import Case, plan_of
from render.bench.probes.architectures import ARCHITECTURES
from render.bench.probes.flops import Operation, Work, decoder_work, picture_work, unet_work
from render.engine.device import machine
from render.engine.families import family_of


@pytest.mark.parametrize(
    ("model", "side", "tflop"), [("sd15", 64, 0.803), pytest.param("sdxl", 128, 6.76, marks=pytest.mark.slow)]
)
def test_unet(model: str, side: int, tflop: float) -> None:
    architecture = ARCHITECTURES[model]
    work = unet_work(family_of(architecture.family), architecture.parts["unet"], (1, 4, side, side), torch.float16)
    assert work.flops / 1e12 == pytest.approx(tflop, rel=2e-3)


@pytest.mark.parametrize(("side", "tflop"), [(64, 2.51), (128, 10.5)])
def test_decoder(side: int, tflop: float) -> None:
    work = decoder_work(ARCHITECTURES["sd15"].parts["vae"], (1, 4, side, side), torch.float16)
    assert work.flops / 1e12 == pytest.approx(tflop, rel=4e-3)


def test_floor_takes_the_longer_of_arithmetic_and_memory() -> None:
    work = Work((Operation(flops=100, bytes=1), Operation(flops=1, bytes=100)), times=2)
    assert work.flops == 202
    assert work.floor_s(flops_per_s=10, bytes_per_s=20) == pytest.approx(2 * (10 + 5))


@pytest.mark.slow
def test_a_larger_batch_is_the_same_work_and_a_lower_floor() -> None:
    info = models.describe("demo", fingerprint=False)
    works = {}
    for batch in (1, 16):
        plan = plan_of(Case("demo", "bf16", batch), 16, "demo", machine("cpu"), info)
        works[batch] = picture_work(plan, models.find("demo", download=False))
    for one, many in zip(works[1], works[16], strict=True):
        assert many.flops == pytest.approx(one.flops)
        assert many.floor_s(1e12, 1e10) < one.floor_s(1e12, 1e10)


@pytest.mark.slow
def test_guidance_doubles_the_unet_and_not_the_decoder() -> None:
    info = models.describe("demo", fingerprint=False)
    plans = [plan_of(Case("demo", "fp32", 4, guidance=g), 4, "demo", machine("cpu"), info) for g in (1.0, 7.5)]
    (plain, vae), (guided, same_vae) = (picture_work(plan, models.find("demo", download=False)) for plan in plans)
    assert guided.flops == pytest.approx(2 * plain.flops)
    assert same_vae.flops == vae.flops
