"""Tiny random models in diffusers' layout: as few kernels to compile as show what a real model has."""

from __future__ import annotations

import json
from pathlib import Path

import torch

__all__ = ["COMPILED", "HALVES", "sd", "sdxl"]

COMPILED = ("size=64x96", "engine.batch=3", "engine.dtype=fp32", "engine.threads=1")
"""The one shape in which the tiny SDXL is compiled: kernels of a session's first test serve the others."""

HALVES = ("engine.interpolate_frames=2",)
"""Compiled in two halves: the whole UNet's graph is that of the demo model."""


def sd(folder: Path) -> Path:
    """A Stable Diffusion 1: latents 4x8x8, pictures 64x64 at its native size; the demo model, but narrower."""
    from diffusers import StableDiffusionPipeline

    torch.manual_seed(0)
    tokenizer, size = _tokenizer(folder.parent / "words")
    StableDiffusionPipeline(
        vae=_vae((16, 16, 32, 32)),
        text_encoder=_text_encoder(size),
        tokenizer=tokenizer,
        unet=_unet(
            8,
            block_out_channels=(32, 64),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
        ),
        scheduler=_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def sdxl(folder: Path) -> Path:
    """An SDXL: two text encoders, pooled and size conditioning, attention in the middle; latents 4x32x32 of 64x64."""
    from diffusers import StableDiffusionXLPipeline

    torch.manual_seed(0)
    tokenizer, size = _tokenizer(folder.parent / "words")
    StableDiffusionXLPipeline(
        vae=_vae((16, 16)),
        text_encoder=_text_encoder(size),
        text_encoder_2=_text_encoder(size, projected=True),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=_unet(
            32,
            block_out_channels=(16, 16),
            down_block_types=("DownBlock2D",) * 2,
            up_block_types=("UpBlock2D",) * 2,
            cross_attention_dim=64,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=8 * 6 + 32,
        ),
        scheduler=_scheduler(),
        add_watermarker=False,
    ).save_pretrained(folder)
    return folder


def _tokenizer(folder: Path) -> tuple[object, int]:
    """A CLIP tokenizer that knows single characters."""
    from transformers import CLIPTokenizer

    folder.mkdir(exist_ok=True)
    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77), len(words)


def _text_encoder(vocabulary: int, *, projected: bool = False) -> torch.nn.Module:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=3,
        projection_dim=32,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    return CLIPTextModelWithProjection(config) if projected else CLIPTextModel(config)


def _unet(sample_size: int, **options: object) -> torch.nn.Module:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=sample_size, layers_per_block=1, attention_head_dim=8, norm_num_groups=8, **options
    )


def _vae(channels: tuple[int, ...]) -> torch.nn.Module:
    """Every block but the last doubles the size."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
    )


def _scheduler() -> object:
    from diffusers import PNDMScheduler

    return PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    )
