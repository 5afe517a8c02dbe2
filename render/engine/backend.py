"""What computes a model: the denoiser (one UNet evaluation) and the VAE decoder, behind one Protocol and a table.

Shapes: N batch (twice the pictures under guidance), M the VAE's micro-batch, C channels, H height, W width of latents,
F channels of deep features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from render import modelfiles
from render.engine import deep
from render.engine.conditioning import Conditioning
from render.engine.device import DTYPES
from render.engine.models import Models, load, load_text
from render.engine.texts import Text, TextEncoder
from render.picture import Stopwatch
from render.plan import Plan
from render.resolve import GRAPH_BACKENDS

__all__ = ["BACKENDS", "Backend", "CutBackend", "Loaded", "Opening", "Warm", "open_model", "open_text"]


class Backend(Protocol):
    """One model, ready to be called with batches of the plan's shape."""

    def denoise(self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        """The model's output (noise or velocity), (N, C, H, W) like ``latents_NCHW``; ``timestep`` is a scalar."""
        ...

    def decode(self, latents_NCHW: Tensor) -> Tensor:
        """Pictures (N, 3, height, width) in float32, about [-1, 1], from latents of the sampler's scale."""
        ...


@runtime_checkable
class CutBackend(Backend, Protocol):
    """A backend whose UNet can be cut in two (`deep.py`): torch modules can, exported graphs cannot."""

    def denoise_with_deep(
        self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning
    ) -> tuple[Tensor, Tensor]:
        """The same output, and deep features (N, F, H, W) to keep for cheaper evaluations (`deep.py`)."""
        ...

    def denoise_shallow(
        self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning, deep_NFHW: Tensor
    ) -> Tensor:
        """The output that the model would give with these deep features; of any float type and layout."""
        ...


class Loaded(Backend, Protocol):
    """A model as it was loaded: torch modules or ONNX graphs. Renders by itself, if need be."""

    dtype: torch.dtype

    def condition(self, texts: list[Text], width: int, height: int) -> Conditioning:
        """The conditioning of a batch of pictures of ``width`` x ``height`` pixels, one text a picture."""
        ...

    def cast(self, dtype: torch.dtype) -> None:
        """Compute in ``dtype`` from now on. Raises EngineError where that is not possible."""
        ...


@dataclass(frozen=True)
class Opening:
    """What a backend is made of: models, and inputs of the shapes it will get. ``watch`` is told what it cost.

    ``evaluations``: latents and conditioning of each batch size N that the denoiser will be called with. ``deep``:
    whether it will be called for deep features, and then never without them.
    """

    models: Loaded
    evaluations: tuple[tuple[Tensor, Conditioning], ...]
    latents_MCHW: Tensor
    deep: bool
    watch: Stopwatch

    @property
    def shapes(self) -> tuple[object, ...]:
        """What the backend's calls look like."""
        evaluations = ((latents.shape, told.tokens_NLD.shape) for latents, told in self.evaluations)
        return (*evaluations, self.latents_MCHW.shape, self.deep)


def open_model(plan: Plan, folder: Path, watch: Stopwatch) -> tuple[Loaded, TextEncoder]:
    """The model as its backend wants it: graphs for ONNX Runtime, torch modules for all others.

    Raises ModelError, EngineError.
    """
    settings = plan.settings
    if settings.backend in GRAPH_BACKENDS:
        from render.engine.onnx import open_graphs

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
            from render.engine.onnx import text_encoder

            return text_encoder(plan, folder, device)
        return load_text(folder, plan.model.family, device)


@dataclass(frozen=True)
class Warm:
    """What stays loaded when a worker goes from one plan to another that loads the same (``Plan.loads``).

    The backend serves the next plan where the ``shapes`` are its as well: a compiled one has those it was made for.
    """

    models: Loaded
    backend: Backend
    shapes: tuple[object, ...]


def _torch(opening: Opening) -> Models:
    """The torch modules, able to do what they were told to."""
    assert isinstance(opening.models, Models)
    opening.models.prove_attention(*opening.evaluations[0])
    return opening.models


def _eager(opening: Opening) -> Backend:
    """As diffusers runs it, kernel by kernel."""
    return _torch(opening)


def _compiled(opening: Opening) -> Backend:
    from render.engine.compiled import Compiled

    models = _torch(opening)
    backend = Compiled(models, opening.evaluations, opening.latents_MCHW, deep=opening.deep)
    backend.warm_up(opening.watch)
    return backend


def _onnx(opening: Opening) -> Backend:
    """Graphs in ONNX Runtime, loaded already: what is left is to see whether they take the plan's shapes."""
    from render.engine.onnx import Graphs

    assert isinstance(opening.models, Graphs)
    for latents_NCHW, conditioning in opening.evaluations:
        opening.models.check(latents_NCHW, opening.latents_MCHW, conditioning)
    return opening.models


def _tensorrt(opening: Opening) -> Backend:
    """The same through TensorRT, which builds an engine at the first call of a shape: minutes of ``compile``."""
    backend = _onnx(opening)
    with opening.watch("compile"), torch.no_grad():
        for latents_NCHW, conditioning in opening.evaluations:
            backend.denoise(latents_NCHW, torch.zeros((), device=latents_NCHW.device), conditioning)
        backend.decode(opening.latents_MCHW)
    return backend


BACKENDS: Mapping[str, Callable[[Opening], Backend]] = {
    "eager": _eager,
    "compile": _compiled,
    "onnx": _onnx,
    "tensorrt": _tensorrt,
}
"""Name -> maker. Makers raise EngineError where the machine or the model does not allow the backend."""
