"""Attention kernels and low memory: the same pictures, or a clear refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from render.engine.engine import Engine
from render.errors import EngineError
from tests.engine.conftest import latents_of
from tests.engine.test_engine import by_engine, psnr

Open = Callable[..., Engine]


@pytest.mark.parametrize("kernel", [pytest.param("flash", marks=pytest.mark.slow), "sliced"])
def test_another_kernel_makes_the_same_picture(kernel: str, tiny_sd: Path, open_engine: Open) -> None:
    usual, other = open_engine(tiny_sd), open_engine(tiny_sd, f"engine.attention={kernel}")
    assert psnr(by_engine(usual, [3]), by_engine(other, [3])) > 90


@pytest.mark.parametrize("kernel", ["cudnn", "efficient", "xformers"])
def test_a_kernel_that_is_not_there_is_refused(kernel: str, tiny_sd: Path, open_engine: Open) -> None:
    with pytest.raises(EngineError, match=f"engine.attention is {kernel}, which .* write auto"):
        open_engine(tiny_sd, f"engine.attention={kernel}")


def test_out_of_memory_is_no_fault_of_the_kernels(
    tiny_sd: Path, open_engine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise torch.OutOfMemoryError("too much")

    monkeypatch.setattr("render.engine.backends.eager.EagerModel.denoise", full)
    with pytest.raises(torch.OutOfMemoryError):
        open_engine(tiny_sd, "engine.attention=flash")


def test_the_chosen_kernel_is_the_one_that_runs(tiny_sd: Path, open_engine: Open) -> None:
    """Not a silent no-op, as diffusers' own switch is on these UNets."""
    from torch.profiler import ProfilerActivity, profile

    engine = open_engine(tiny_sd, "engine.attention=flash", "steps=1")
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        latents_of(engine, [0])
    assert any("flash_attention" in event.key for event in seen.key_averages())


def test_low_memory_slices_and_tiles(tiny_sd: Path, open_engine: Open) -> None:
    usual, low = open_engine(tiny_sd), open_engine(tiny_sd, "engine.memory=low")
    assert low._plan.settings.attention == "sliced"
    assert low._loaded.models.vae.use_slicing
    assert low._loaded.models.vae.use_tiling
    assert psnr(by_engine(usual, [3]), by_engine(low, [3])) > 90


@pytest.mark.slow
def test_low_memory_tiles_a_large_picture(tiny_sd: Path, open_engine: Open) -> None:
    """Beyond a tile the VAE blends at the seams: near the whole picture, not equal to it."""
    usual, low = (open_engine(tiny_sd, "size=128x128", f"engine.memory={memory}") for memory in ("normal", "low"))
    a, b = by_engine(usual, [3]), by_engine(low, [3])
    assert not torch.equal(a, b)
    assert psnr(a, b) > 20
