"""What the engine has to know of a family of models, beside the files and numbers of its row in `render.models`.

Shapes: N batch, L tokens, D width of the text embedding, P width of the pooled one, C, H, W channels and size
of latents.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from render.engine.text import Conditioning, Text
from render.models import Family as FamilyRow

__all__ = ["Config", "Family"]

Config = Mapping[str, Any]
"""What diffusers keeps beside a model's weights, in its ``config.json``."""


class Family(Protocol):
    """One kind of model. Every file of this folder but `base` ends with one, as ``FAMILY``."""

    row: FamilyRow
    """The files and numbers that are known without torch."""
    reads_hidden_states: bool
    """Whether it reads its text encoders between their layers, so that an export has to give all of them."""

    def pipeline_arguments(self, index: Config) -> dict[str, Any]:
        """What diffusers' pipeline wants beside models, tokenizers and scheduler; ``index`` is model_index.json."""
        ...

    def encode(self, pipeline: Any, text: str, device: torch.device) -> Text:
        """One prompt, encoded by diffusers' own pipeline."""
        ...

    def no_negative(self, pipeline: Any, empty: Text) -> Text:
        """What an empty negative prompt means; ``empty`` is the empty prompt, encoded."""
        ...

    def condition(self, texts: Sequence[Text], width: int, height: int, dtype: torch.dtype) -> Conditioning:
        """The conditioning of a batch of pictures of ``width`` x ``height`` pixels, one text a picture."""
        ...

    def predict(self, network: Any, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        """The denoiser's output (N, C, H, W). Compiles as one graph."""
        ...

    def vae_dtype(self, config: Config, dtype: torch.dtype) -> torch.dtype:
        """What a VAE of that configuration computes in where the denoiser does in ``dtype``."""
        ...

    def blank(self, config: Config, rows: int, dtype: torch.dtype, device: str = "cpu") -> Conditioning:
        """Zeros of the shapes that a denoiser of that configuration is conditioned on, ``rows`` pictures."""
        ...

    def prompts(self, positive: Sequence[Text], negative: Sequence[Text]) -> dict[str, Tensor]:
        """Encoded prompts as arguments of diffusers' pipeline."""
        ...
