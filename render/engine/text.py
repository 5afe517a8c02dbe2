"""Prompts -> embeddings, and the conditioning of a batch made of them.

Shapes: N batch, L tokens, D width of the text embedding, P width of the pooled one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from render.engine import device as device_module
from render.engine.noise import lerp, slerp_text

__all__ = ["Conditioning", "Text", "TextEncoder", "blend_texts", "condition"]


@dataclass(frozen=True)
class Text:
    """One encoded prompt, float32 on the device. ``pooled_1P`` is SDXL's second conditioning, None elsewhere."""

    tokens_1LD: Tensor
    pooled_1P: Tensor | None = None


def condition(texts: list[Text], width: int, height: int, dtype: torch.dtype) -> Conditioning:
    """The conditioning of a batch of pictures of ``width`` x ``height`` pixels, one text a picture."""
    tokens_NLD = torch.cat([text.tokens_1LD for text in texts]).to(dtype)
    pooled = [text.pooled_1P for text in texts if text.pooled_1P is not None]
    if not pooled:
        return Conditioning(tokens_NLD)
    sizes = torch.tensor([height, width, 0, 0, height, width], dtype=dtype)  # original, crop corner, target
    time_ids = device_module.upload(sizes, tokens_NLD.device).expand(len(texts), -1)
    return Conditioning(tokens_NLD, {"text_embeds": torch.cat(pooled).to(dtype), "time_ids": time_ids})


def blend_texts(a: Text, b: Text, weight: float, how: str) -> Text:
    """The text ``weight`` of the way from ``a`` to ``b``; ``how`` is lerp or slerp. Exactly ``a`` at weight 0."""
    if weight == 0.0:
        return a
    blend = slerp_text if how == "slerp" else lerp
    pooled = None
    if a.pooled_1P is not None and b.pooled_1P is not None:
        pooled = blend(a.pooled_1P, b.pooled_1P, weight)
    return Text(blend(a.tokens_1LD, b.tokens_1LD, weight), pooled)


class TextEncoder:
    """Prompts -> embeddings, through the pipeline's own ``encode_prompt``, in float32: it happens once a job."""

    def __init__(self, pipeline: Any, device: torch.device) -> None:
        self._pipeline = pipeline
        self._device = device

    def encode(self, texts: Iterable[str]) -> dict[str, Text]:
        """Every text by itself, so that no embedding depends on its company."""
        with torch.no_grad():
            return {text: self._encode(text) for text in texts}

    def no_negative(self) -> dict[str, Text]:
        """What an empty negative prompt means: zeros where the model says so (SDXL, by default)."""
        [(empty, text)] = self.encode([""]).items()
        zeros = self._pipeline.config.get("force_zeros_for_empty_prompt", False)
        return {empty: _zeros_like(text) if zeros else text}

    def _encode(self, text: str) -> Text:
        encoded = self._pipeline.encode_prompt(
            prompt=text, device=self._device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        pooled = encoded[2] if len(encoded) == 4 else None  # SDXL: prompt, negative, pooled, negative pooled
        return Text(encoded[0].float(), None if pooled is None else pooled.float())

    def cut_off(self, text: str) -> str:
        """The end of ``text`` that is beyond the model's length and has no effect; empty when all of it fits."""
        tokenizer = self._pipeline.tokenizer
        tokens = tokenizer(text, verbose=False).input_ids
        if len(tokens) <= tokenizer.model_max_length:
            return ""
        return str(tokenizer.decode(tokens[tokenizer.model_max_length - 1 : -1]))


def _zeros_like(text: Text) -> Text:
    pooled = None if text.pooled_1P is None else torch.zeros_like(text.pooled_1P)
    return Text(torch.zeros_like(text.tokens_1LD), pooled)


@dataclass(frozen=True)
class Conditioning:
    """Text embeddings, one a picture. ``added`` is SDXL's second conditioning, None elsewhere."""

    tokens_NLD: Tensor
    added: dict[str, Tensor] | None = None

    def first(self, rows: int) -> Conditioning:
        """That of the first ``rows`` of the batch."""
        added = {name: values[:rows] for name, values in self.added.items()} if self.added else None
        return Conditioning(self.tokens_NLD[:rows], added)
