"""What computes a model: the denoiser (one UNet evaluation) and the VAE decoder, behind one Protocol and a table.

Shapes: N batch (twice the pictures under guidance), M the VAE's micro-batch, C channels, H height, W width of latents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from render.engine.models import Conditioning, Models, Text
from render.picture import Stopwatch

__all__ = ["BACKENDS", "Backend", "Loaded", "Opening"]


class Backend(Protocol):
    """One model, ready to be called with batches of the plan's shape."""

    def denoise(self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        """The model's output (noise or velocity), (N, C, H, W) like ``latents_NCHW``; ``timestep`` is a scalar."""
        ...

    def decode(self, latents_NCHW: Tensor) -> Tensor:
        """Pictures (N, 3, height, width) in float32, about [-1, 1], from latents of the sampler's scale."""
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
    """What a backend is made of: models, and inputs of the shapes it will get. ``watch`` is told what it cost."""

    models: Loaded
    latents_NCHW: Tensor
    latents_MCHW: Tensor
    conditioning: Conditioning
    watch: Stopwatch


def _eager(opening: Opening) -> Backend:
    """As diffusers runs it, kernel by kernel."""
    return opening.models


def _compiled(opening: Opening) -> Backend:
    from render.engine.compiled import Compiled

    assert isinstance(opening.models, Models)
    backend = Compiled(opening.models, opening.latents_NCHW, opening.latents_MCHW, opening.conditioning)
    backend.warm_up(opening.watch)
    return backend


def _onnx(opening: Opening) -> Backend:
    """Graphs in ONNX Runtime, loaded already: what is left is to see whether they take the plan's shapes."""
    from render.engine.onnx import Graphs

    assert isinstance(opening.models, Graphs)
    opening.models.check(opening.latents_NCHW, opening.latents_MCHW, opening.conditioning)
    return opening.models


def _tensorrt(opening: Opening) -> Backend:
    """The same through TensorRT, which builds an engine at the first call of a shape: minutes of ``compile``."""
    backend = _onnx(opening)
    with opening.watch("compile"), torch.no_grad():
        timestep = torch.zeros((), device=opening.latents_NCHW.device)
        backend.denoise(opening.latents_NCHW, timestep, opening.conditioning)
        backend.decode(opening.latents_MCHW)
    return backend


BACKENDS: Mapping[str, Callable[[Opening], Backend]] = {
    "eager": _eager,
    "compile": _compiled,
    "onnx": _onnx,
    "tensorrt": _tensorrt,
}
"""Name -> maker. Makers raise EngineError where the machine or the model does not allow the backend."""
