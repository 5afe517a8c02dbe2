"""What computes a model: the denoiser (one UNet evaluation) and the VAE decoder, behind one Protocol and a table.

Shapes: N batch (twice the pictures under guidance), M the VAE's micro-batch, C channels, H height, W width of latents,
F channels of deep features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from render.engine.conditioning import Conditioning
from render.engine.models import Models
from render.picture import Stopwatch

__all__ = ["BACKENDS", "Backend", "Opening"]


class Backend(Protocol):
    """One model, ready to be called with batches of the plan's shape."""

    def denoise(self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        """The model's output (noise or velocity), (N, C, H, W) like ``latents_NCHW``; ``timestep`` is a scalar."""
        ...

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

    def decode(self, latents_NCHW: Tensor) -> Tensor:
        """Pictures (N, 3, height, width) in float32, about [-1, 1], from latents of the sampler's scale."""
        ...


@dataclass(frozen=True)
class Opening:
    """What a backend is made of: models, and inputs of the shapes it will get. ``watch`` is told what it cost.

    ``evaluations``: latents and conditioning of each batch size N that the denoiser will be called with. ``deep``:
    whether it will be called for deep features, and then never without them.
    """

    models: Models
    evaluations: tuple[tuple[Tensor, Conditioning], ...]
    latents_MCHW: Tensor
    deep: bool
    watch: Stopwatch


def _eager(opening: Opening) -> Backend:
    """As diffusers runs it, kernel by kernel."""
    return opening.models


def _compiled(opening: Opening) -> Backend:
    from render.engine.compiled import Compiled

    backend = Compiled(opening.models, opening.evaluations, opening.latents_MCHW, deep=opening.deep)
    backend.warm_up(opening.watch)
    return backend


BACKENDS: Mapping[str, Callable[[Opening], Backend]] = {"eager": _eager, "compile": _compiled}
"""Name -> maker. Makers raise EngineError where the machine or the model does not allow the backend."""
