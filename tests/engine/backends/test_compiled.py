"""The compiled backend agrees with the eager one and keeps its promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from render import models as modelfiles
from render.engine.backends.base import SplitBackend
from render.engine.backends.compiled import Compiled
from render.engine.backends.eager import EagerModel
from render.engine.engine import Engine
from render.engine.engine import open_engine as open_again
from render.engine.inputs import latent_shape
from render.errors import EngineError
from render.plan import Stopwatch
from tests.engine.conftest import latents_of
from tests.engine.test_engine import sums
from tests.tiny import COMPILED, HALVES

Open = Callable[..., Engine]


@pytest.fixture(scope="module")
def compiled(tiny_sdxl: Path, open_engine: Open) -> Engine:
    """The tiny SDXL in two halves, 20 steps, compiled once for this file."""
    return open_engine(tiny_sdxl, *COMPILED, *HALVES, "steps=20", "engine.backend=compile")


@pytest.fixture(scope="module")
def eager(tiny_sdxl: Path, open_engine: Open) -> Engine:
    """The same, not compiled."""
    return open_engine(tiny_sdxl, *COMPILED, *HALVES, "steps=20", "engine.backend=eager")


def distance(one: Engine, other: Engine) -> float:
    """Between latents of an odd batch: both kinds of walk, odd frames and even ones."""
    a, b = (latents_of(engine, (2, 9, 17)) for engine in (one, other))
    return float((a - b).abs().max())


@pytest.mark.long
def test_latents_of_the_demo_model_agree_with_eager(open_engine: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Float32, 20 steps, a size that is not square, an odd batch: within 1e-4. So for SDXL below, whose VAE is compiled
    too."""
    monkeypatch.setattr(EagerModel, "paint", lambda _models, latents: latents)
    options = ("size=128x192", "engine.batch=3", "steps=20")
    assert distance(*(open_engine("demo", f"engine.backend={name}", *options) for name in ("eager", "compile"))) < 1e-4


@pytest.mark.slow
def test_latents_and_pictures_of_sdxl_agree_with_eager(compiled: Engine, eager: Engine) -> None:
    assert distance(compiled, eager) < 1e-4
    for found, expected in zip(*(engine.pictures(range(5), Stopwatch()) for engine in (compiled, eager)), strict=True):
        assert abs(found.pixels.astype(int) - expected.pixels).max() <= 1


@pytest.mark.slow
def test_both_halves_agree_with_the_whole(compiled: Engine, eager: Engine) -> None:
    states = [eager._plan.timeline.state(index) for index in range(3)]
    conditioning = eager._sampler.inputs.conditionings(states).both
    assert conditioning is not None
    backend = compiled._loaded.backend
    assert isinstance(backend, SplitBackend)
    latents, timestep = torch.randn((6, *latent_shape(eager._plan))), torch.tensor(481.0)
    with torch.no_grad():
        whole = eager._loaded.models.denoise(latents, timestep, conditioning)
        output, features = backend.denoise_with_deep(latents, timestep, conditioning)
        shallow = backend.denoise_shallow(latents, timestep, conditioning, features)
        expected = eager._loaded.models.denoise_with_deep(latents, timestep, conditioning)[1]
    assert torch.allclose(output, whole, atol=1e-4)
    assert torch.allclose(shallow, whole, atol=1e-4)
    assert features.shape == expected.shape


@pytest.mark.slow
def test_frames_do_not_depend_on_their_chunk_or_worker(compiled: Engine, tiny_sdxl: Path) -> None:
    """The second worker finds the kernels in the folder that the first one left."""
    whole = sums(compiled, range(10))
    assert sums(compiled, [7]) | sums(compiled, range(2, 7)) == {index: whole[index] for index in range(2, 8)}
    torch.compiler.reset()
    watch = Stopwatch()
    second = open_again(compiled._plan, modelfiles.find(str(tiny_sdxl), download=False), watch)
    assert watch.seconds["compile"] > 0
    assert sums(second, range(4)) == {index: whole[index] for index in range(4)}


@pytest.mark.slow
def test_nan_is_rendered_again_by_the_eager_backend(tiny_sd: Path, open_engine: Open) -> None:
    class Overflowing(Compiled):
        def __init__(self) -> None:
            """Of nothing: what it decodes is never looked at."""

        denoise = staticmethod(lambda latents, *_: latents)  # type: ignore[assignment]
        decode = staticmethod(lambda latents: torch.full((len(latents), 3, 64, 64), torch.nan))  # type: ignore[assignment]

    engine = open_engine(tiny_sd, "engine.dtype=bf16")
    engine._renderer._backend = overflowing = Overflowing()
    pictures = list(engine.pictures([0, 1], Stopwatch()))
    assert [(picture.remark or ("", ""))[0] for picture in pictures] == ["fp32", "fp32"]
    assert engine._renderer._backend is overflowing


def test_no_compiler_is_told(tiny_sd: Path, open_engine: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(*_args: object) -> None:
        raise RuntimeError("no working C++ compiler found")

    monkeypatch.setattr("render.engine.backends.compiled.Compiled.denoise", no_compiler)
    with pytest.raises(EngineError, match=r"cannot be compiled here: no working .* backend: eager"):
        open_engine(tiny_sd, "engine.backend=compile")
