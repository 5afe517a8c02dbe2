"""Encoded prompts as data: blended for a frame, by the ways of `noise.py`, and gathered for a batch. Knows no encoders.

Shapes: N batch, L tokens, D width of the text embedding, P width of the pooled one, G width of the embedded guidance.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from render.engine.noise import lerp, slerp_text

__all__ = ["Conditioning", "Text", "blend_texts"]


@dataclass(frozen=True)
class Text:
    """One encoded prompt, float32 on the device. ``pooled_1P`` is None where a family has no second conditioning."""

    tokens_1LD: Tensor
    pooled_1P: Tensor | None = None

    def to(self, dtype: torch.dtype) -> Self:
        """The same in another dtype."""
        pooled_1P = None if self.pooled_1P is None else self.pooled_1P.to(dtype)
        return replace(self, tokens_1LD=self.tokens_1LD.to(dtype), pooled_1P=pooled_1P)


@dataclass(frozen=True)
class Conditioning:
    """Text embeddings, one a picture, and what else a family's denoiser wants, by the names of its arguments."""

    tokens_NLD: Tensor
    added: dict[str, Tensor] | None = None
    guidance_NG: Tensor | None = None
    """The guidance, embedded, where the denoiser is told it (`guidance.py`)."""

    def first(self, rows: int) -> Self:
        """That of the first ``rows`` of the batch."""
        added = {name: values[:rows] for name, values in self.added.items()} if self.added else None
        guidance_NG = None if self.guidance_NG is None else self.guidance_NG[:rows]
        return replace(self, tokens_NLD=self.tokens_NLD[:rows], added=added, guidance_NG=guidance_NG)

    def inputs(self) -> dict[str, Tensor]:
        """All of it, by the names that the inputs of exported graphs have."""
        told = {} if self.guidance_NG is None else {"timestep_cond": self.guidance_NG}
        return {"encoder_hidden_states": self.tokens_NLD, **(self.added or {}), **told}


def blend_texts(a: Text, b: Text, weight: float, how: str) -> Text:
    """The text ``weight`` of the way from ``a`` to ``b``; ``how`` is lerp or slerp. Exactly ``a`` at weight 0."""
    if weight == 0.0:
        return a
    blend = slerp_text if how == "slerp" else lerp
    pooled = None
    if a.pooled_1P is not None and b.pooled_1P is not None:
        pooled = blend(a.pooled_1P, b.pooled_1P, weight)
    return Text(blend(a.tokens_1LD, b.tokens_1LD, weight), pooled)
