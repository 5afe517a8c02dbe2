"""SDXL: two text encoders read before their last layer, a pooled embedding, and the picture's size as conditioning.

Its own VAE overflows in fp16 and says so (``force_upcast``).

Shapes: N batch, P width of the pooled text embedding.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from render.engine import device as device_module
from render.engine.families.base import Config, Family
from render.engine.families.sd import StableDiffusion, encoded, tokens_of
from render.engine.text import Conditioning, Text
from render.models import FAMILIES

__all__ = ["FAMILY", "StableDiffusionXL"]

TIME_IDS = 6  # numbers of the size conditioning


class StableDiffusionXL(StableDiffusion):
    """Says of SDXL what `base.Family` asks, where it is not what Stable Diffusion is."""

    row = FAMILIES["sdxl"]
    reads_hidden_states = True

    def pipeline_arguments(self, index: Config) -> dict[str, Any]:
        """Without the watermark, which is drawn on pictures."""
        zeros = index.get("force_zeros_for_empty_prompt", True)
        return {"force_zeros_for_empty_prompt": zeros, "add_watermarker": False}

    def encode(self, pipeline: Any, text: str, device: torch.device) -> Text:
        """Tokens of both encoders, side by side, and the second one's pooled embedding."""
        tokens, _, pooled, _ = encoded(pipeline, text, device)
        return Text(tokens.float(), pooled.float())

    def no_negative(self, pipeline: Any, empty: Text) -> Text:
        """Zeros where the model says so, as it does by default."""
        if not pipeline.config.get("force_zeros_for_empty_prompt", False):
            return empty
        return Text(torch.zeros_like(empty.tokens_1LD), torch.zeros_like(_pooled([empty])))

    def condition(self, texts: Sequence[Text], width: int, height: int, dtype: torch.dtype) -> Conditioning:
        """Tokens, pooled embeddings (N, P), and sizes (N, 6): the original one, the crop's corner, the target's."""
        tokens_NLD = tokens_of(texts).to(dtype)
        sizes = torch.tensor([height, width, 0, 0, height, width], dtype=dtype)
        time_ids = device_module.upload(sizes, tokens_NLD.device).expand(len(texts), -1)
        return Conditioning(tokens_NLD, {"text_embeds": _pooled(texts).to(dtype), "time_ids": time_ids})

    def vae_dtype(self, config: Config, dtype: torch.dtype) -> torch.dtype:
        """Float32 instead of fp16 where it would overflow."""
        overflows = dtype == torch.float16 and config["force_upcast"]
        return torch.float32 if overflows else dtype

    def blank(self, config: Config, rows: int, dtype: torch.dtype, device: str = "cpu") -> Conditioning:
        """Tokens, pooled embeddings (rows, P) and sizes (rows, 6)."""
        pooled = config["projection_class_embeddings_input_dim"] - TIME_IDS * config["addition_time_embed_dim"]
        added = {
            "text_embeds": torch.zeros((rows, pooled), dtype=dtype, device=device),
            "time_ids": torch.zeros((rows, TIME_IDS), dtype=dtype, device=device),
        }
        return replace(super().blank(config, rows, dtype, device), added=added)

    def prompts(self, positive: Sequence[Text], negative: Sequence[Text]) -> dict[str, Tensor]:
        """Tokens and pooled embeddings of both."""
        pooled = {"pooled_prompt_embeds": _pooled(positive), "negative_pooled_prompt_embeds": _pooled(negative)}
        return super().prompts(positive, negative) | pooled


def _pooled(texts: Sequence[Text]) -> Tensor:
    """(N, P)."""
    return torch.cat([text.pooled_1P for text in texts if text.pooled_1P is not None])


FAMILY: Family = StableDiffusionXL()
