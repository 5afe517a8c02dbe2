"""What computes a model: the denoiser (one UNet evaluation) and the VAE decoder, behind one Protocol and a table.

Shapes: N batch (twice the pictures under guidance), M the VAE's micro-batch, C channels, H height, W width of latents,
F channels of deep features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from render import models as modelfiles
from render.engine.backends import deepcache as deep
from render.engine.backends.base import Backend, LoadedBackend, WarmupShapes
from render.engine.backends.eager import EagerModel
from render.engine.backends.loading import load, load_text
from render.engine.device import DTYPES
from render.engine.text import TextEncoder
from render.plan import GRAPH_BACKENDS, Plan, Stopwatch

__all__ = ["BACKENDS", "open_model", "open_text"]


def open_model(plan: Plan, folder: Path, watch: Stopwatch) -> tuple[LoadedBackend, TextEncoder]:
    """The model as its backend wants it: graphs for ONNX Runtime, torch modules for all others.

    Raises ModelError, EngineError.
    """
    settings = plan.settings
    if settings.backend in GRAPH_BACKENDS:
        from render.engine.backends.onnx import open_graphs

        return open_graphs(plan, folder, watch)
    with watch("load"):
        tiny = modelfiles.find_tiny(settings.tiny_vae, download=True) if settings.tiny_vae else None
        device = torch.device(settings.device)
        models, encoder = load(folder, plan.model.family, DTYPES[settings.dtype], device, tiny)
        models.use(settings.attention, settings.memory)
    if settings.cuts_unet:
        deep.check(models.unet)
    return models, encoder


def open_text(plan: Plan, folder: Path, watch: Stopwatch) -> TextEncoder:
    """The text encoder alone, for a plan whose other models are loaded already. Raises ModelError."""
    device = torch.device(plan.settings.device)
    with watch("load"):
        if plan.model.layout == "onnx":
            from render.engine.backends.onnx import text_encoder

            return text_encoder(plan, folder, device)
        return load_text(folder, plan.model.family, device)


def _torch(opening: WarmupShapes) -> EagerModel:
    """The torch modules, able to do what they were told to."""
    assert isinstance(opening.models, EagerModel)
    opening.models.prove_attention(*opening.evaluations[0])
    return opening.models


def _eager(opening: WarmupShapes) -> Backend:
    """As diffusers runs it, kernel by kernel."""
    return _torch(opening)


def _compiled(opening: WarmupShapes) -> Backend:
    from render.engine.backends.compiled import Compiled

    models = _torch(opening)
    backend = Compiled(models, opening.evaluations, opening.latents_MCHW, deep=opening.deep)
    backend.warm_up(opening.watch)
    return backend


def _onnx(opening: WarmupShapes) -> Backend:
    """Graphs in ONNX Runtime, loaded already: what is left is to see whether they take the plan's shapes."""
    from render.engine.backends.onnx import Graphs

    assert isinstance(opening.models, Graphs)
    for latents_NCHW, conditioning in opening.evaluations:
        opening.models.check(latents_NCHW, opening.latents_MCHW, conditioning)
    return opening.models


def _tensorrt(opening: WarmupShapes) -> Backend:
    """The same through TensorRT, which builds an engine at the first call of a shape: minutes of ``compile``."""
    backend = _onnx(opening)
    with opening.watch("compile"), torch.no_grad():
        for latents_NCHW, conditioning in opening.evaluations:
            backend.denoise(latents_NCHW, torch.zeros((), device=latents_NCHW.device), conditioning)
        backend.decode(opening.latents_MCHW)
    return backend


BACKENDS: Mapping[str, Callable[[WarmupShapes], Backend]] = {
    "eager": _eager,
    "compile": _compiled,
    "onnx": _onnx,
    "tensorrt": _tensorrt,
}
"""Name -> maker. Makers raise EngineError where the machine or the model does not allow the backend."""
