"""What a backend is: a denoiser (one UNet evaluation) and a VAE decoder, and what it takes to make one.

Shapes: N batch (twice the pictures under guidance), M the VAE's micro-batch, C channels, H height, W width of latents,
F channels of deep features.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from render.engine.text import Conditioning, Text
from render.plan import Stopwatch

__all__ = ["Backend", "LoadedBackend", "LoadedModel", "SplitBackend", "WarmupShapes"]


class Backend(Protocol):
    """One model, ready to be called with batches of the plan's shape."""

    def denoise(self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        """The model's output (noise or velocity), (N, C, H, W) like ``latents_NCHW``; ``timestep`` is a scalar."""
        ...

    def decode(self, latents_NCHW: Tensor) -> Tensor:
        """Pictures (N, 3, height, width) in float32, about [-1, 1], from latents of the sampler's scale."""
        ...


@runtime_checkable
class SplitBackend(Backend, Protocol):
    """A backend whose UNet can be cut in two (`deepcache.py`): torch modules can, exported graphs cannot."""

    def denoise_with_deep(
        self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning
    ) -> tuple[Tensor, Tensor]:
        """The same output, and deep features (N, F, H, W) to keep for cheaper evaluations (`deepcache.py`)."""
        ...

    def denoise_shallow(
        self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning, deep_NFHW: Tensor
    ) -> Tensor:
        """The output that the model would give with these deep features; of any float type and layout."""
        ...


class LoadedBackend(Backend, Protocol):
    """A model as it was loaded: torch modules or ONNX graphs. Renders by itself, if need be."""

    dtype: torch.dtype

    def condition(self, texts: list[Text], width: int, height: int) -> Conditioning:
        """The conditioning of a batch of pictures of ``width`` x ``height`` pixels, one text a picture."""
        ...

    def cast(self, dtype: torch.dtype) -> None:
        """Compute in ``dtype`` from now on. Raises EngineError where that is not possible."""
        ...

    def computes_in(self, dtype: torch.dtype) -> bool:
        """Whether all of it does: a cast that ran out of memory leaves some of it behind."""
        ...


@dataclass(frozen=True)
class WarmupShapes:
    """Inputs of the shapes that a backend will get; what making it costs is charged to ``watch``.

    ``evaluations``: latents and conditioning of each batch size N that the denoiser will be called with. ``deep``:
    whether it will be called for deep features, and then never without them.
    """

    evaluations: tuple[tuple[Tensor, Conditioning], ...]
    latents_MCHW: Tensor
    deep: bool
    watch: Stopwatch

    @property
    def shapes(self) -> tuple[object, ...]:
        """What the backend's calls look like."""
        evaluations = ((latents.shape, condition.tokens_NLD.shape) for latents, condition in self.evaluations)
        return (*evaluations, self.latents_MCHW.shape, self.deep)


@dataclass(frozen=True)
class LoadedModel:
    """What stays loaded when a worker goes from one plan to another that loads the same (``Plan.model_key``).

    The backend serves the next plan where the ``shapes`` are its as well: a compiled one has those it was made for.
    """

    models: LoadedBackend
    backend: Backend
    shapes: tuple[object, ...]
