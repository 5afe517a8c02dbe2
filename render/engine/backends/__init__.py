"""What computes a model: kernel by kernel, compiled, or as ONNX graphs. Knows no frames and no sampler.

Begin with base.py (what a backend is) and the table below; eager.py and loading.py are the plain one, compiled.py and
onnx.py stand on it; deepcache.py, onnx_session.py and onnx_export.py are what those two use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch

from render import models as modelfiles
from render.engine.backends import deepcache
from render.engine.backends.base import Backend, LoadedBackend, WarmupShapes
from render.engine.backends.eager import EagerModel
from render.engine.backends.loading import Source, load, load_text
from render.engine.device import DTYPES
from render.engine.families import family_of
from render.engine.text_encoder import TextEncoder
from render.plan import Plan, Stopwatch

if TYPE_CHECKING:
    from render.engine.backends.onnx import Graphs

__all__ = ["BACKENDS", "BackendKind", "open_model", "open_text"]

Model = TypeVar("Model", bound=LoadedBackend)


@dataclass(frozen=True)
class BackendKind(Generic[Model]):
    """One row of the table: how the model of a plan is loaded, and what is made of it once the shapes are known.

    Both raise EngineError where the machine or the model does not allow the backend, ``load`` ModelError too.
    """

    load: Callable[[Plan, Source, Stopwatch], tuple[Model, TextEncoder]]
    make: Callable[[Model, WarmupShapes], Backend]


def open_model(plan: Plan, folder: Path, watch: Stopwatch, *, trust: bool = False) -> tuple[LoadedBackend, TextEncoder]:
    """The model as its backend wants it: graphs for ONNX Runtime, torch modules for all others.

    With ``trust`` also what could run code is loaded.
    Raises ModelError, EngineError.
    """
    return BACKENDS[plan.settings.backend].load(plan, Source(folder, family_of(plan.model.family), trust), watch)


def open_text(plan: Plan, folder: Path, watch: Stopwatch, *, trust: bool = False) -> TextEncoder:
    """The text encoder alone, for a plan whose other models are loaded already. Raises ModelError."""
    device = torch.device(plan.settings.device)
    with watch("load"):
        if plan.model.layout == "onnx":
            from render.engine.backends.onnx import text_encoder

            return text_encoder(plan, folder, device)
        return load_text(Source(folder, family_of(plan.model.family), trust), device)


def _load_modules(plan: Plan, source: Source, watch: Stopwatch) -> tuple[EagerModel, TextEncoder]:
    settings = plan.settings
    with watch("load"):
        tiny = modelfiles.find_tiny(settings.tiny_vae, download=True) if settings.tiny_vae else None
        device = torch.device(settings.device)
        models, encoder = load(source, DTYPES[settings.dtype], device, tiny)
        models.use(settings.attention, settings.memory)
    if settings.cuts_unet:
        deepcache.check(models.unet)
    return models, encoder


def _load_graphs(plan: Plan, source: Source, watch: Stopwatch) -> tuple[Graphs, TextEncoder]:
    from render.engine.backends.onnx import open_graphs

    return open_graphs(plan, source, watch)


def _eager(models: EagerModel, warmup: WarmupShapes) -> Backend:
    """As diffusers runs it, kernel by kernel."""
    models.prove_attention(*warmup.evaluations[0])
    return models


def _compiled(models: EagerModel, warmup: WarmupShapes) -> Backend:
    from render.engine.backends.compiled import Compiled

    models.prove_attention(*warmup.evaluations[0])
    backend = Compiled(models, warmup.evaluations, warmup.latents_MCHW, deep=warmup.deep)
    backend.warm_up(warmup.watch)
    return backend


def _onnx(graphs: Graphs, warmup: WarmupShapes) -> Backend:
    """Loaded already: what is left is to see whether the graphs take the plan's shapes."""
    for latents_NCHW, conditioning in warmup.evaluations:
        graphs.check(latents_NCHW, warmup.latents_MCHW, conditioning)
    return graphs


def _tensorrt(graphs: Graphs, warmup: WarmupShapes) -> Backend:
    """The same through TensorRT, which builds an engine at the first call of a shape: minutes of ``compile``."""
    backend = _onnx(graphs, warmup)
    with warmup.watch("compile"), torch.no_grad():
        for latents_NCHW, conditioning in warmup.evaluations:
            backend.denoise(latents_NCHW, torch.zeros((), device=latents_NCHW.device), conditioning)
        backend.decode(warmup.latents_MCHW)
    return backend


BACKENDS: Mapping[str, BackendKind[Any]] = {
    "eager": BackendKind(_load_modules, _eager),
    "compile": BackendKind(_load_modules, _compiled),
    "onnx": BackendKind(_load_graphs, _onnx),
    "tensorrt": BackendKind(_load_graphs, _tensorrt),
}
"""Name -> how to load and make it."""
