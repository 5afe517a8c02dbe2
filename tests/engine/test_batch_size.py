"""The measured curve behind ``batch: auto``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from render.engine import batch_size as saturation
from render.engine.backends.eager import EagerModel
from render.errors import EngineError
from tests.engine.conftest import plan_for


@pytest.mark.slow
def test_a_curve_doubles_from_one(tiny_sd: Path) -> None:
    curve = saturation.measure(plan_for(tiny_sd, "frames=6", "keyframes=[{at: 0, prompt: a}]"), tiny_sd)
    assert curve.batches in ((1, 2, 4), (1, 2))
    assert all(seconds > 0 for seconds in curve.seconds)
    assert all(peak >= 0 for peak in curve.peak_bytes)
    assert curve.free_bytes > 100 << 20


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("too much"), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")],
    ids=["gpu", "cpu"],
)
def test_it_ends_where_memory_does(error: Exception, tiny_sd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = EagerModel.denoise

    def small_device(models: EagerModel, latents: torch.Tensor, *rest: object) -> torch.Tensor:
        if len(latents) > most:
            raise error
        return whole(models, latents, *rest)

    monkeypatch.setattr(EagerModel, "denoise", small_device)
    most = 4  # two pictures under guidance
    assert saturation.measure(plan_for(tiny_sd), tiny_sd).batches == (1, 2)
    most = 0
    with pytest.raises(EngineError, match="batch of one picture"):
        saturation.measure(plan_for(tiny_sd), tiny_sd)
