"""The parts of the demo model besides its autoencoder, and how they are written down as a Stable Diffusion folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from benchmarks.demo_model.training.projection import LATENT_CHANNELS
from benchmarks.demo_model.training.tokenizer import MAX_LENGTH, write_tokenizer
from benchmarks.demo_model.world.captions import WORDS

TEXT_WIDTH: Final = 160
LATENT_SIDE: Final = 16


@dataclass(frozen=True)
class Listener:
    """Tokenizer and text encoder: what turns prompts into numbers."""

    tokenizer: CLIPTokenizer
    encoder: CLIPTextModel

    def hear(self, texts: list[str]) -> Tensor:
        """Prompts to hidden states (B, MAX_LENGTH, TEXT_WIDTH), just as the pipeline does it."""
        batch = self.tokenizer(texts, padding="max_length", max_length=MAX_LENGTH, truncation=True, return_tensors="pt")
        return self.encoder(batch.input_ids.to(self.encoder.device)).last_hidden_state  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Denoiser:
    """Everything a Stable Diffusion pipeline is made of but its autoencoder."""

    listener: Listener
    unet: UNet2DConditionModel
    scheduler: DDIMScheduler


def build_listener(folder: Path) -> Listener:
    """An untaught text encoder; its tokenizer's files are written into `folder`."""
    write_tokenizer(WORDS, folder)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    return Listener(tokenizer, build_text_encoder(tokenizer))


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Three causal layers: enough to know which colour belongs to what."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        num_hidden_layers=3,
        num_attention_heads=5,
        max_position_embeddings=MAX_LENGTH,
        projection_dim=TEXT_WIDTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def build_unet() -> UNet2DConditionModel:
    """4.9 M parameters on two levels, 16 and 8 latents wide; attention on the lower one, where it is cheap.

    Besides cross attention the pooled text reaches every block through the time embedding: what concerns the whole
    picture, as the time of day, is learnt several times faster on that way. It starts silent.
    """
    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(96, 128),
        layers_per_block=1,
        attention_head_dim=4,  # diffusers reads this as the number of heads
        cross_attention_dim=TEXT_WIDTH,
        addition_embed_type="text",
        addition_embed_type_num_heads=5,
    )


def build_scheduler() -> DDIMScheduler:
    """v-prediction down to almost pure noise: a small latent's mean would otherwise shine through the last step."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.03,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


def export(model: Denoiser, vae: AutoencoderKL, folder: Path) -> None:
    """Write a Stable Diffusion folder in float16 that transformers 4 and 5 both read.

    transformers 5 drops the prefix `text_model.` and `vocab.json` when it saves, and transformers 4 then starts from
    a random text encoder: both are written here by hand.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(WORDS, folder / "tokenizer")
    model.scheduler.save_pretrained(folder / "scheduler")
    for name, part in (("unet", model.unet), ("vae", vae)):
        part.save_config(folder / name)
        _save_half(dict(part.state_dict()), folder / name / "diffusion_pytorch_model.safetensors")
    _export_text_encoder(model.listener.encoder, folder / "text_encoder")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.39.0",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def _export_text_encoder(text_encoder: CLIPTextModel, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value for key, value in text_encoder.state_dict().items() if not key.endswith("position_ids")}
    prefix = "text_model."
    named = {key if key.startswith(prefix) else prefix + key: value for key, value in state.items()}
    _save_half(named, folder / "model.safetensors")
    config = text_encoder.config.to_diff_dict()
    config["architectures"] = ["CLIPTextModel"]
    for key in ("dtype", "torch_dtype", "transformers_version"):
        config.pop(key, None)
    config["torch_dtype"] = "float32"  # what transformers 5 loads where nobody says otherwise, as diffusers does
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _save_half(state: dict[str, Tensor], path: Path) -> None:
    half = {key: value.detach().to(torch.float16).contiguous() for key, value in state.items()}
    save_file(half, path, metadata={"format": "pt"})
