"""Engines over tiny random models. Speed does not matter here, agreement does."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from torch import Tensor

from render import models as modelfiles
from render.engine.device import machine
from render.engine.engine import Engine
from render.engine.engine import open_engine as open_fresh
from render.plan import Machine, Plan, Stopwatch, resolve
from render.spec import validate
from render.spec.document import parse

JOB = """
version: 1
name: test
mode: dream
model: {model}
frames: 24
steps: 4
guidance: 5
negative: grey
keyframes:
  - {{at: 0, prompt: red hills, seed: 7}}
  - {{at: 8, prompt: blue sea, seed: 7}}
  - {{at: 16, prompt: a city, seed: 11}}
engine: {{device: cpu, dtype: fp32, batch: 4, threads: 1}}
"""


@pytest.fixture(scope="session")
def open_engine() -> Callable[..., Engine]:
    """``open_engine(model, "steps=8", …)``: an engine over a model with overrides of the test job."""

    def open_engine(model: Path | str, *overrides: str) -> Engine:
        plan = plan_for(model, *overrides)
        return open_fresh(plan, modelfiles.find(str(model), download=False), Stopwatch())

    return open_engine


def latents_of(engine: Engine, frames: Sequence[int]) -> Tensor:
    """Denoised latents (B, C, H, W), float32, of at most a batch of frames, before the VAE."""
    return next(engine._renderer._walk(frames, engine._plan.settings.batch))[: len(frames)]


def decoded(engine: Engine, latents: Tensor) -> Tensor:
    """Pictures (B, 3, height, width), about [-1, 1], before they are rounded to bytes."""
    return engine._renderer.decode(latents)


@functools.cache
def this_machine() -> Machine:
    """Asked once: versions are read from the disk."""
    return machine("cpu")


def plan_for(model: Path | str, *overrides: str) -> Plan:
    """A plan of the test job over ``model``."""
    source = parse(JOB.format(model=model), name="job.yaml")
    for override in overrides:
        source.override(override)
    spec = validate(source)
    info = modelfiles.describe(str(model), spec.engine.tiny_vae)
    return Plan(spec, resolve(spec, this_machine(), info), info)
