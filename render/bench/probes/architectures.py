"""Stable Diffusion 1.5 and SDXL with random weights: what they cost can be measured without a download.

Speed does not depend on the values of weights, and pictures of noise need no licence. The configurations are those
that the two models publish (``unet/config.json`` and so on of ``stable-diffusion-v1-5`` and
``stable-diffusion-xl-base-1.0``), written out below as far as they differ from diffusers' defaults. The tokenizer is a
small one of single characters. Built once a machine, in float16, in diffusers' layout: everything loads them like any
model.

Weights are scaled by 1/sqrt(fan in), norms are 1 and biases 0: no activation overflows in 16 bits.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from render.engine import cache
from render.engine.backends.loading import pipeline_class
from render.engine.families import family_of

__all__ = ["ARCHITECTURES", "architecture", "folder_of"]

VERSION = 1  # of what is written: another one is built afresh

Config = Mapping[str, Any]

_CROSS = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D")
_SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "timestep_spacing": "leading",
}
_VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
_CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "projection_dim": 768,
    "vocab_size": 49408,
}
_CLIP_G = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_attention_heads": 20,
    "num_hidden_layers": 32,
    "projection_dim": 1280,
    "vocab_size": 49408,
    "hidden_act": "gelu",
}


@dataclass(frozen=True)
class Architecture:
    """A published model without its weights: its family, and the configuration of every part that has some."""

    family: str
    parts: Mapping[str, Config]


_SD15 = Architecture(
    "sd",
    {
        "unet": {
            "sample_size": 64,
            "block_out_channels": (320, 640, 1280, 1280),
            "down_block_types": (*[_CROSS[0]] * 3, "DownBlock2D"),
            "up_block_types": ("UpBlock2D", *[_CROSS[1]] * 3),
            "attention_head_dim": 8,
            "cross_attention_dim": 768,
        },
        "vae": _VAE | {"sample_size": 512, "scaling_factor": 0.18215},
        "text_encoder": _CLIP_L,
    },
)
_SDXL = Architecture(
    "sdxl",
    {
        "unet": {
            "sample_size": 128,
            "block_out_channels": (320, 640, 1280),
            "down_block_types": ("DownBlock2D", *[_CROSS[0]] * 2),
            "up_block_types": (*[_CROSS[1]] * 2, "UpBlock2D"),
            "transformer_layers_per_block": (1, 2, 10),
            "attention_head_dim": (5, 10, 20),
            "cross_attention_dim": 2048,
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
        "vae": _VAE | {"sample_size": 1024, "scaling_factor": 0.13025, "force_upcast": True},
        "text_encoder": _CLIP_L,
        "text_encoder_2": _CLIP_G,
    },
)
ARCHITECTURES: Mapping[str, Architecture] = {"sd15": _SD15, "sdxl": _SDXL}
PROJECTED = ("text_encoder_2",)  # text encoders whose pooled output is projected


def folder_of(model: str) -> str:
    """Where the engine finds the model: the folder of an architecture, built where it is missing, else ``model``."""
    return str(architecture(model)) if model in ARCHITECTURES else model


def architecture(name: str) -> Path:
    """The folder of ``sd15`` or ``sdxl`` in this machine's cache; building one takes a minute and 2 to 7 GB of disk."""
    import transformers

    written_by = transformers.__version__.partition(".")[0]  # versions name the text encoder's weights differently
    path = cache.folder("architectures") / f"{name}-{VERSION}-t{written_by}"
    if not path.exists():
        with cache.making(path) as temporary:
            if not path.exists():
                _build(ARCHITECTURES[name], temporary)
    return path


def _build(architecture: Architecture, folder: Path) -> None:
    import diffusers
    import transformers

    family, parts = family_of(architecture.family), architecture.parts
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    tokenizer, words = _tokenizer(folder / "tokenizer")
    models: dict[str, Any] = {
        "unet": _random(lambda: diffusers.UNet2DConditionModel(**parts["unet"])),
        "vae": _random(lambda: diffusers.AutoencoderKL(**parts["vae"])),
        "scheduler": diffusers.DDIMScheduler(**_SCHEDULER, clip_sample=False, set_alpha_to_one=False),
    }
    for name in family.row.text_encoders:
        models[name] = _text_encoder(parts[name], words, projected=name in PROJECTED)
    models |= dict.fromkeys(family.row.tokenizers, tokenizer)
    pipeline = pipeline_class(family)(**models, **family.pipeline_arguments({}))
    pipeline.save_pretrained(folder)


def _random(make: Callable[[], Any]) -> Any:
    """A network of float16 random weights, made without computing them in float32 first."""
    with torch.device("meta"):
        network = make()
    network = network.half().to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weights in network.named_parameters():
            if weights.dim() < 2:
                weights.fill_(0.0 if name.endswith("bias") else 1.0)
            else:
                weights.normal_(0.0, 1 / math.sqrt(math.prod(weights.shape[1:])), generator=generator)
    return network


def _text_encoder(config: Config, words: int, *, projected: bool) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    marks = {"bos_token_id": words - 2, "eos_token_id": words - 1, "pad_token_id": words - 1}
    options = CLIPTextConfig(**config, **marks)
    return _random(lambda: CLIPTextModelWithProjection(options) if projected else CLIPTextModel(options))


def _tokenizer(folder: Path) -> tuple[Any, int]:
    """A CLIP tokenizer that knows single characters, and the number of its words."""
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True)
    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77), len(words)
