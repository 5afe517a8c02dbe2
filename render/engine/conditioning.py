"""What a UNet is told about a batch beside latents and timestep.

Shapes: N batch, L tokens, D width of the text embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Conditioning"]


@dataclass(frozen=True)
class Conditioning:
    """Text embeddings, one a picture. ``added`` is SDXL's second conditioning, None elsewhere."""

    tokens_NLD: Tensor
    added: dict[str, Tensor] | None = None

    def first(self, rows: int) -> Conditioning:
        """That of the first ``rows`` of the batch."""
        added = {name: values[:rows] for name, values in self.added.items()} if self.added else None
        return Conditioning(self.tokens_NLD[:rows], added)
