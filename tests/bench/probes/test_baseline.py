"""diffusers' pipeline does the engine's work: the same pictures, as far as float32 agrees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from render import models
from render.bench.case import Case, plan_of
from render.bench.probes.baseline import Baseline
from render.engine.device import machine
from render.engine.engine import open_engine
from render.plan import Stopwatch


@pytest.mark.parametrize("model", [pytest.param("tiny_sd", marks=pytest.mark.slow), "tiny_sdxl"])
def test_baseline_and_engine_make_the_same_pictures(model: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(model)
    info = models.describe(str(folder))
    plan = plan_of(Case(model, "fp32", 2, steps=3), 50, str(folder), machine("cpu"), info)
    frames = [0, 7, 49]
    sources = [maker(plan, folder, Stopwatch()) for maker in (open_engine, Baseline)]
    ours, theirs = ([picture.pixels for picture in source.pictures(frames, Stopwatch())] for source in sources)
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 2
