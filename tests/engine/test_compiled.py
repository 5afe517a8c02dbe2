"""The compiled backend agrees with the eager one and keeps its promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from render import modelfiles
from render.engine.compiled import Compiled
from render.engine.engine import Engine
from render.errors import EngineError
from render.picture import Stopwatch
from tests.engine.test_engine import sums

Open = Callable[..., Engine]

pytestmark = pytest.mark.slow

SMALL = ["size=64x128", "engine.batch=3"]


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("demo", ["size=128x192", "engine.batch=3"]),  # the shape that test_cluster.py renders, compiled once
        ("tiny_sdxl", SMALL),
    ],
)
def test_latents_agree_with_eager(
    model: str, options: list[str], open_engine: Open, request: pytest.FixtureRequest
) -> None:
    """Float32, 20 steps, sizes that are not square, odd batches: within 1e-4."""
    folder = "demo" if model == "demo" else request.getfixturevalue(model)
    eager, compiled = (
        open_engine(folder, "steps=20", f"engine.backend={backend}", *options) for backend in ("eager", "compile")
    )
    states = [eager._plan.timeline.state(index) for index in (1, 9, 17)]
    assert (eager.latents(states) - compiled.latents(states)).abs().max() < 1e-4


def test_frames_do_not_depend_on_their_chunk_or_worker(tiny_sdxl: Path, open_engine: Open) -> None:
    """The second worker finds the kernels in the folder that the first one left."""
    first = open_engine(tiny_sdxl, "engine.backend=compile", *SMALL)
    whole = sums(first, range(10))
    assert sums(first, [7]) | sums(first, range(2, 7)) == {index: whole[index] for index in range(2, 8)}
    torch.compiler.reset()
    watch = Stopwatch()
    second = Engine(first._plan, modelfiles.find(str(tiny_sdxl), download=False), watch)
    assert watch.seconds["compile"] > 0
    assert sums(second, range(4)) == {index: whole[index] for index in range(4)}


def test_nan_is_rendered_again_by_the_eager_backend(tiny_sd: Path, open_engine: Open) -> None:
    class Overflowing(Compiled):
        def __init__(self) -> None:
            """Of nothing: what it decodes is never looked at."""

        denoise = staticmethod(lambda latents, *_: latents)  # type: ignore[assignment]
        decode = staticmethod(lambda latents: torch.full((len(latents), 3, 64, 64), torch.nan))  # type: ignore[assignment]

    engine = open_engine(tiny_sd, "engine.dtype=bf16")
    engine._backend = overflowing = Overflowing()
    pictures = list(engine.pictures([0, 1], Stopwatch()))
    assert [(picture.remark or ("", ""))[0] for picture in pictures] == ["fp32", "fp32"]
    assert engine._backend is overflowing


def test_no_compiler_is_told(tiny_sd: Path, open_engine: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(*_args: object) -> None:
        raise RuntimeError("no working C++ compiler found")

    monkeypatch.setattr("render.engine.compiled.Compiled.denoise", no_compiler)
    with pytest.raises(EngineError, match=r"cannot be compiled here: no working .* backend: eager"):
        open_engine(tiny_sd, "engine.backend=compile")
