"""Folders of ONNX graphs: Optimum's run here, ours run there. `make optimum` has the versions that Optimum needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from render.cli import main
from render.engine.engine import Engine
from tests.engine.conftest import decoded, latents_of

ort = pytest.importorskip("optimum.onnxruntime", reason="optimum-onnx is not installed: `make optimum` runs this")

pytestmark = [pytest.mark.optimum, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Optimum's own

Open = Callable[..., Engine]

FRAMES = (0, 4, 11)


@pytest.mark.parametrize("model", ["tiny_sd", "tiny_sdxl"])
def test_a_folder_of_optimum_runs_here(
    model: str, request: pytest.FixtureRequest, tmp_path: Path, open_engine: Open
) -> None:
    source = request.getfixturevalue(model)
    assert main(["export", str(source), str(tmp_path / "graphs"), "--with", "optimum"]) == 0
    job = ("size=64x96", "engine.batch=3", "steps=20")
    eager, graphs = (open_engine(folder, *job) for folder in (source, tmp_path / "graphs"))
    assert graphs._plan.settings.backend == "onnx"
    ours, theirs = latents_of(eager, FRAMES), latents_of(graphs, FRAMES)
    assert (ours - theirs).abs().max() < 1e-4
    with torch.no_grad():
        assert (decoded(eager, ours) - decoded(graphs, theirs)).abs().max() < 1e-4


@pytest.mark.parametrize("dtype", ["fp32", "fp16"])
@pytest.mark.parametrize("model", ["tiny_sd", "tiny_sdxl"])
def test_our_folder_runs_in_optimum(
    model: str, dtype: str, request: pytest.FixtureRequest, tmp_path: Path, open_engine: Open
) -> None:
    """Pictures in [0, 1] agree to 1e-4 in fp32, and to five levels of 255 in fp16."""
    source = request.getfixturevalue(model)
    assert main(["export", str(source), str(tmp_path / "graphs"), "--dtype", dtype]) == 0
    named = json.loads((source / "model_index.json").read_text())["_class_name"]
    pipeline = getattr(ort, f"ORT{named}").from_pretrained(tmp_path / "graphs")
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline(
        "red hills",
        negative_prompt="grey",
        num_inference_steps=4,
        guidance_scale=5.0,
        width=96,
        height=64,
        generator=torch.Generator("cpu").manual_seed(7),
        output_type="np",
    ).images
    engine = open_engine(source, "size=96x64", "sampler=pndm", "engine.batch=1")
    with torch.no_grad():
        picture_B3HW = decoded(engine, latents_of(engine, [0]))
    ours = (picture_B3HW / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    assert np.abs(picture - ours).max() < (1e-4 if dtype == "fp32" else 5 / 255)
