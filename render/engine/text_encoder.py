"""Prompts -> embeddings, through diffusers' own ``encode_prompt``, in float32: it happens once a job."""

from collections.abc import Iterable
from typing import Any

import torch

from render.engine.families.base import Family
from render.engine.families.sd import CLIP_TOKENS
from render.engine.text import Text

__all__ = ["TextEncoder"]


class TextEncoder:
    """The text encoders of one model on a device."""

    def __init__(self, pipeline: Any, family: Family, device: torch.device) -> None:
        """``pipeline`` is diffusers', with text encoders and tokenizers; it needs no other parts."""
        self._pipeline = pipeline
        self._family = family
        self._device = device
        for tokenizer, encoder in zip(family.row.tokenizers, family.row.text_encoders, strict=True):
            _limit(getattr(pipeline, tokenizer), getattr(pipeline, encoder))

    @torch.no_grad()
    def encode(self, texts: Iterable[str]) -> dict[str, Text]:
        """Every text by itself, so that no embedding depends on its company."""
        return {text: self._family.encode(self._pipeline, text, self._device) for text in texts}

    def no_negative(self) -> dict[str, Text]:
        """What an empty negative prompt means."""
        [(empty, text)] = self.encode([""]).items()
        return {empty: self._family.no_negative(self._pipeline, text)}

    def cut_off(self, text: str) -> str:
        """The end of ``text`` that is beyond the model's length and has no effect; empty when all of it fits."""
        tokenizer = self._pipeline.tokenizer
        tokens = tokenizer(text, verbose=False).input_ids
        if len(tokens) <= tokenizer.model_max_length:
            return ""
        return str(tokenizer.decode(tokens[tokenizer.model_max_length - 1 : -1]))


def _limit(tokenizer: Any, encoder: Any) -> None:
    """No more tokens than the encoder has places for: a tokenizer that names no ``model_max_length`` has 1e30."""
    places = getattr(encoder.config, "max_position_embeddings", CLIP_TOKENS)
    tokenizer.model_max_length = min(tokenizer.model_max_length, places)
