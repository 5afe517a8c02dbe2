"""A warm model renders the next plan as a fresh one would, and what is not kept is gone."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from render import models as modelfiles
from render.engine.backends.compiled import OPTIONS, _graph
from render.engine.backends.eager import EagerModel
from render.engine.backends.loading import load
from render.engine.engine import Engine
from render.engine.engine import open_engine as open_warm
from render.engine.memory import release
from render.engine.text import Conditioning
from render.farm.worker import Worker
from render.plan import Stopwatch
from tests.engine.conftest import plan_for
from tests.engine.test_engine import sums

Open = Callable[..., Engine]
Graphs = list["weakref.ref[torch.fx.GraphModule]"]

MORE = ("memory=low", "dtype=fp32", "interpolate_frames=2", "threads=2", "tiny_vae=demo")
COMPILED = ("engine.backend=compile", "steps=1", "guidance=1")


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Graphs:
    """What is compiled from now on, graphs of a layer each: they are traced as ever, and run as they are traced."""

    def predict(models: EagerModel, latents: Tensor, _timestep: Tensor, _given: Conditioning) -> Tensor:
        return models.unet.conv_in(latents)[:, :4]  # type: ignore[no-any-return]

    def paint(models: EagerModel, latents: Tensor) -> Tensor:
        return interpolate(models.vae.post_quant_conv(latents)[:, :3], scale_factor=8.0)

    monkeypatch.setattr(EagerModel, "predict", predict)
    monkeypatch.setattr(EagerModel, "paint", paint)
    made: Graphs = []
    whole = torch.compile

    def keep(graph: torch.fx.GraphModule, _inputs: object) -> Callable[..., Any]:
        made.append(weakref.ref(graph))
        return graph.forward

    def compile_cheaply(method: Callable[..., Any], *, options: object, **given: Any) -> Callable[..., Any]:
        return whole(method, backend=keep, **given)

    monkeypatch.setattr(torch, "compile", compile_cheaply)
    return made


def then(engine: Engine, model: Path | str, *overrides: str) -> Engine:
    """The engine that a worker opens after this one."""
    plan = plan_for(model, *overrides)
    return open_warm(plan, modelfiles.find(str(model), download=False), Stopwatch(), engine.warm_for(plan))


@pytest.mark.parametrize(
    "loads",
    ["dtype=bf16", *(pytest.param(each, marks=pytest.mark.slow) for each in MORE)],
)
def test_a_warm_model_renders_the_next_plan_as_a_fresh_one_would(
    loads: str, tiny_sd: Path, open_engine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the first plan went through: a frame in float32, a batch that did not fit, another size and walk."""
    model = "demo" if loads == "tiny_vae=demo" else tiny_sd
    first = open_engine(model, f"engine.{loads}", "size=96x64", "sampler=euler-a")
    with monkeypatch.context() as patch:
        judged = iter([[0]])
        patch.setattr("render.engine.bad_frames.bad_pictures", lambda *_: next(judged, []))
        decode, most = first._loaded.models.decode, 2

        def small_device(latents: Tensor) -> Tensor:
            if len(latents) > most:
                raise torch.OutOfMemoryError("too much")
            return decode(latents)

        patch.setattr(first._loaded.models, "decode", small_device)
        remarks = {picture.remark[0] for picture in first.pictures(range(8), Stopwatch()) if picture.remark}
        assert remarks == {"batch"}
    fresh = open_engine(model, f"engine.{loads}", "guidance=3", "negative=blue")
    second = then(first, model, f"engine.{loads}", "guidance=3", "negative=blue")
    assert second._loaded.models is first._loaded.models
    assert sums(second, range(6)) == sums(fresh, range(6))


def test_plans_that_load_something_else_get_nothing_warm(tiny_sd: Path, open_engine: Open) -> None:
    engine = open_engine(tiny_sd)
    assert engine.warm_for(plan_for(tiny_sd, "engine.dtype=bf16")) is None
    assert engine.warm_for(plan_for(tiny_sd, "engine.threads=2")) is None


def test_a_compiled_decoder_is_brought_to_its_device(
    tiny_sd: Path, open_engine: Open, graphs: Graphs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``memory: low`` keeps one of UNet and VAE on a GPU: also where both are compiled."""
    engine = open_engine(tiny_sd, *COMPILED)
    brought: list[object] = []
    monkeypatch.setattr(engine._loaded.models, "_offload", True)
    monkeypatch.setattr(engine._loaded.models, "_bring", lambda wanted, _other: brought.append(wanted))
    sums(engine, range(4))
    assert brought == [engine._loaded.models.unet, engine._loaded.models.vae]  # type: ignore[attr-defined]


@pytest.mark.slow
def test_ten_plans_of_as_many_shapes_compile_in_one_process(tiny_sd: Path, open_engine: Open, graphs: Graphs) -> None:
    """Dynamo gives up at the ninth graph of one function."""
    engine = open_engine(tiny_sd, *COMPILED, "engine.batch=1")
    for batch in range(2, 11):
        engine = then(engine, tiny_sd, *COMPILED, f"engine.batch={batch}")
    assert len(graphs) >= 10
    assert len(sums(engine, range(3))) == 3
    release()
    assert sum(graph() is not None for graph in graphs) <= 2, "the graphs of plans that are closed stay in memory"


@pytest.mark.slow
def test_a_backend_that_stays_warm_compiles_nothing_again(tiny_sd: Path, open_engine: Open, graphs: Graphs) -> None:
    """Neither for another walk, nor after a backend was made beside it, nor after a frame was tried in float32."""
    bf16 = (*COMPILED, "engine.dtype=bf16")
    engine = open_engine(tiny_sd, *bf16)
    expected, made = sums(engine, range(4)), len(graphs)
    second = then(engine, tiny_sd, *bf16, "sampler=euler", "keyframes[0].seed=3", "fps=30")
    assert second._loaded.backend is engine._loaded.backend
    assert sums(second, range(4)) != expected
    other = then(engine, tiny_sd, *bf16, "size=96x64")
    assert other._loaded.models is engine._loaded.models
    assert len(sums(other, range(4))) == 4
    assert len(graphs) > made
    made = len(graphs)
    third = then(other, tiny_sd, *bf16, "size=96x64")
    third._loaded.models.cast(torch.float32)
    third._loaded.models.cast(torch.bfloat16)
    assert sums(engine, range(4)) == expected
    assert sums(third, range(4)) == sums(other, range(4))
    assert len(graphs) == made


@pytest.mark.slow
def test_weights_frozen_into_one_models_graphs_are_not_anothers() -> None:
    """Two checkpoints of one architecture have the same graphs, in Inductor's cache too; only the constants differ."""

    class Layers:
        def __init__(self, seed: int) -> None:
            torch.manual_seed(seed)
            self.unet = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3), torch.nn.SiLU(), torch.nn.Conv2d(8, 4, 3)).eval()

        def predict(self, latents: Tensor) -> Tensor:
            output: Tensor = self.unet(latents)
            return output

    latents = torch.randn((2, 4, 8, 8))
    with torch.no_grad():
        for layers in (Layers(1), Layers(2), Layers(3)):
            found = _graph(layers.predict, OPTIONS["cpu"])(latents)
            assert torch.allclose(found, layers.predict(latents), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("measured", [False, True], ids=["opened", "measured"])
def test_a_worker_lets_go_of_a_model_before_it_loads_another(
    measured: bool, tiny_sd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, one, other = Worker("w"), plan_for(tiny_sd), plan_for(tiny_sd, "engine.dtype=bf16")
    worker.open(one.to_json())
    expected = worker.render(one.chunks[0]).record.pictures
    assert isinstance(worker._source, Engine)
    before = weakref.ref(worker._source._loaded.models)
    alive: list[bool] = []

    def watched(*given: Any) -> Any:
        alive.append(before() is not None)
        return load(*given)

    monkeypatch.setattr("render.engine.backends.load", watched)
    if measured:
        worker._measure(other)
    worker.open(other.to_json())
    assert alive == [False] * (1 + measured)
    worker.open(one.to_json())
    assert worker.render(one.chunks[0]).record.pictures == expected
