"""Stable Diffusion 1 and 2: a UNet conditioned on the tokens of one CLIP text encoder.

Shapes: N batch, L tokens, D and G widths of text and guidance, embedded, C, H, W channels and size of latents.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from render.engine.families.base import Config, Family
from render.engine.text import Conditioning, Text
from render.models import FAMILIES

__all__ = ["CLIP_TOKENS", "FAMILY", "StableDiffusion"]

CLIP_TOKENS = 77  # what CLIP reads


class StableDiffusion:
    """Says of Stable Diffusion what `base.Family` asks."""

    row = FAMILIES["sd"]
    reads_hidden_states = False

    def pipeline_arguments(self, index: Config) -> dict[str, Any]:  # noqa: ARG002
        """Without the safety checker, which changes no latents."""
        return {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}

    def encode(self, pipeline: Any, text: str, device: torch.device) -> Text:
        """Tokens alone."""
        return Text(encoded(pipeline, text, device)[0].float())

    def no_negative(self, pipeline: Any, empty: Text) -> Text:  # noqa: ARG002
        """The empty prompt."""
        return empty

    def condition(self, texts: Sequence[Text], width: int, height: int, dtype: torch.dtype) -> Conditioning:  # noqa: ARG002
        """Tokens (N, L, D) alone."""
        return Conditioning(tokens_of(texts).to(dtype))

    def predict(self, network: Any, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet's output (N, C, H, W)."""
        output: Tensor = network(
            latents_NCHW,
            timestep,
            encoder_hidden_states=conditioning.tokens_NLD,
            timestep_cond=conditioning.guidance_NG,
            added_cond_kwargs=conditioning.added,
            return_dict=False,
        )[0]
        return output

    def vae_dtype(self, config: Config, dtype: torch.dtype) -> torch.dtype:  # noqa: ARG002
        """That of the UNet."""
        return dtype

    def blank(self, config: Config, rows: int, dtype: torch.dtype, device: str = "cpu") -> Conditioning:
        """Tokens (rows, 77, D), and the guidance (rows, G) where the denoiser is told it."""
        width = config.get("encoder_hid_dim") or config["cross_attention_dim"]
        told = config.get("time_cond_proj_dim")
        return Conditioning(
            torch.zeros((rows, CLIP_TOKENS, width), dtype=dtype, device=device),
            guidance_NG=torch.zeros((rows, told), dtype=dtype, device=device) if told else None,
        )

    def prompts(self, positive: Sequence[Text], negative: Sequence[Text]) -> dict[str, Tensor]:
        """Tokens (N, L, D) of both."""
        return {"prompt_embeds": tokens_of(positive), "negative_prompt_embeds": tokens_of(negative)}


def encoded(pipeline: Any, text: str, device: torch.device) -> Any:
    """What the pipeline's ``encode_prompt`` returns for one prompt, without a negative one."""
    return pipeline.encode_prompt(
        prompt=text, device=device, num_images_per_prompt=1, do_classifier_free_guidance=False
    )


def tokens_of(texts: Sequence[Text]) -> Tensor:
    """(N, L, D)."""
    return torch.cat([text.tokens_1LD for text in texts])


FAMILY: Family = StableDiffusion()
