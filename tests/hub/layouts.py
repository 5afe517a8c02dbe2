"""Tiny random models in the exact layouts of the repositories people use: their indices, configs and file names.

What the public repositories say of themselves (model_index.json, schedulers, tokenizers, the fields of UNets and VAEs
that decide how they are called) stands here as it stands there; only widths and weights are small and random.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

__all__ = ["LAYOUTS", "REPOSITORIES"]

Config = dict[str, Any]

BETAS: Config = {
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
XL_BETAS: Config = {
    **BETAS,
    "interpolation_type": "linear",
    "prediction_type": "epsilon",
    "sample_max_value": 1.0,
    "use_karras_sigmas": False,
}
SCHEDULERS: Mapping[str, Config] = {
    "sd15": {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", **BETAS},
    "sd21": {"_class_name": "DDIMScheduler", "_diffusers_version": "0.8.0", **BETAS, "prediction_type": "v_prediction"},
    "sdxl": {
        "_class_name": "EulerDiscreteScheduler",
        "_diffusers_version": "0.19.0.dev0",
        **XL_BETAS,
        "timestep_spacing": "leading",
    },
    "turbo": {
        "_class_name": "EulerAncestralDiscreteScheduler",
        "_diffusers_version": "0.24.0.dev0",
        **XL_BETAS,
        "timestep_spacing": "trailing",
    },
    "lcm": {
        "_class_name": "LCMScheduler",
        "_diffusers_version": "0.22.0.dev0",
        **BETAS,
        "clip_sample_range": 1.0,
        "dynamic_thresholding_ratio": 0.995,
        "original_inference_steps": 50,
        "prediction_type": "epsilon",
        "rescale_betas_zero_snr": False,
        "sample_max_value": 1.0,
        "thresholding": False,
        "timestep_spacing": "leading",
    },
    "playground": {
        "_class_name": "EDMDPMSolverMultistepScheduler",
        "_diffusers_version": "0.27.0.dev0",
        "algorithm_type": "dpmsolver++",
        "dynamic_thresholding_ratio": 0.995,
        "euler_at_final": False,
        "final_sigmas_type": "zero",
        "lower_order_final": True,
        "num_train_timesteps": 1000,
        "prediction_type": "epsilon",
        "rho": 7.0,
        "sample_max_value": 1.0,
        "sigma_data": 0.5,
        "sigma_max": 80.0,
        "sigma_min": 0.002,
        "solver_order": 2,
        "solver_type": "midpoint",
        "thresholding": False,
    },
}
SD_INDEX: Config = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.6.0",
    "feature_extractor": ["transformers", "CLIPImageProcessor"],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
XL_INDEX: Config = {
    "_class_name": "StableDiffusionXLPipeline",
    "_diffusers_version": "0.19.0.dev0",
    "force_zeros_for_empty_prompt": True,
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
XL_UNET: Config = {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 8 * 6 + 32,
    "use_linear_projection": True,
}


def sd15(folder: Path) -> None:
    """stable-diffusion-v1-5/stable-diffusion-v1-5: a safety checker and a feature extractor beside the rest."""
    _sd(folder, SD_INDEX, SCHEDULERS["sd15"])
    _json(folder / "feature_extractor/preprocessor_config.json", FEATURE_EXTRACTOR)
    _json(folder / "safety_checker/config.json", {"architectures": ["StableDiffusionSafetyChecker"]})
    (folder / "v1-inference.yaml").write_text("model:\n  base_learning_rate: 1.0e-04\n")
    (folder / "v1-5-pruned-emaonly.safetensors").write_bytes(b"\0" * 64)
    for part in ("unet", "vae"):  # the variants of the same weights that lie beside them there
        (folder / part / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"\0" * 64)
        (folder / part / "diffusion_pytorch_model.bin").write_bytes(b"\0" * 64)


def sd21(folder: Path) -> None:
    """stabilityai/stable-diffusion-2-1: v-prediction, OpenCLIP's text encoder without its last layer."""
    index = {
        **SD_INDEX,
        "_diffusers_version": "0.8.0",
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }
    _sd(
        folder,
        index,
        SCHEDULERS["sd21"],
        {"use_linear_projection": True, "attention_head_dim": [4, 8], "upcast_attention": True},
        gelu=True,
        pad="!",
    )
    _json(folder / "feature_extractor/preprocessor_config.json", FEATURE_EXTRACTOR)


def lcm(folder: Path) -> None:
    """SimianLuo/LCM_Dreamshaper_v7: its UNet is told the guidance as an input."""
    index = {
        **SD_INDEX,
        "_class_name": "LatentConsistencyModelPipeline",
        "_diffusers_version": "0.22.0.dev0",
        "requires_safety_checker": True,
        "scheduler": ["diffusers", "LCMScheduler"],
    }
    _sd(folder, index, SCHEDULERS["lcm"], {"time_cond_proj_dim": 256})


def fp16_only(folder: Path) -> None:
    """A fine-tune of which only the half-precision variant was uploaded."""
    from safetensors.torch import load_file, save_file

    _sd(folder, {**SD_INDEX, "safety_checker": [None, None]}, SCHEDULERS["sd15"])
    for path in sorted(folder.rglob("*.safetensors")):
        halves = {name: weight.half() for name, weight in load_file(path).items()}
        save_file(halves, path.with_name(f"{path.stem}.fp16.safetensors"), {"format": "pt"})
        path.unlink()


def bin_only(folder: Path) -> None:
    """A fine-tune of before safetensors: pickled weights alone."""
    from safetensors.torch import load_file

    _sd(folder, {**SD_INDEX, "safety_checker": [None, None]}, SCHEDULERS["sd15"])
    for path in sorted(folder.rglob("*.safetensors")):
        name = "pytorch_model.bin" if path.stem == "model" else "diffusion_pytorch_model.bin"
        torch.save(load_file(path), path.with_name(name))
        path.unlink()


def sdxl_base(folder: Path) -> None:
    """stabilityai/stable-diffusion-xl-base-1.0."""
    _sdxl(folder, XL_INDEX, SCHEDULERS["sdxl"])
    (folder / "sd_xl_base_1.0.safetensors").write_bytes(b"\0" * 64)


def sdxl_turbo(folder: Path) -> None:
    """stabilityai/sdxl-turbo."""
    index = {
        **XL_INDEX,
        "_diffusers_version": "0.24.0.dev0",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "scheduler": ["diffusers", "EulerAncestralDiscreteScheduler"],
    }
    _sdxl(folder, index, SCHEDULERS["turbo"])


def ssd_1b(folder: Path) -> None:
    """segmind/SSD-1B: an SDXL with fewer transformers, other ones on the way up, and none in the middle."""
    unet = {
        "transformer_layers_per_block": [1, 2],
        "mid_block_type": None,
        "reverse_transformer_layers_per_block": [[2, 1], [1, 1]],
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    }
    _sdxl(folder, {**XL_INDEX, "_diffusers_version": "0.22.0.dev0"}, SCHEDULERS["sdxl"], unet)


def playground25(folder: Path) -> None:
    """playgroundai/playground-v2.5-1024px-aesthetic: EDM's schedule, and latents with a mean and a deviation."""
    index = {
        **XL_INDEX,
        "_diffusers_version": "0.27.0.dev0",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "scheduler": ["diffusers", "EDMDPMSolverMultistepScheduler"],
    }
    vae = {
        "latents_mean": [-1.6574, 1.886, -1.383, 2.5155],
        "latents_std": [8.4927, 5.9022, 6.5498, 5.2299],
        "scaling_factor": 0.5,
    }
    _sdxl(folder, index, SCHEDULERS["playground"], vae=vae)


LAYOUTS: Mapping[str, Callable[[Path], None]] = {
    "sd15": sd15,
    "sd21": sd21,
    "lcm": lcm,
    "fp16_only": fp16_only,
    "bin_only": bin_only,
    "sdxl_base": sdxl_base,
    "sdxl_turbo": sdxl_turbo,
    "ssd_1b": ssd_1b,
    "playground25": playground25,
}
REPOSITORIES: Mapping[str, str] = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": "sd15",
    "stabilityai/stable-diffusion-2-1": "sd21",
    "SimianLuo/LCM_Dreamshaper_v7": "lcm",
    "someone/fp16-fine-tune": "fp16_only",
    "someone/old-fine-tune": "bin_only",
    "stabilityai/stable-diffusion-xl-base-1.0": "sdxl_base",
    "stabilityai/sdxl-turbo": "sdxl_turbo",
    "segmind/SSD-1B": "ssd_1b",
    "playgroundai/playground-v2.5-1024px-aesthetic": "playground25",
}
"""The repositories as people write them in `model:`."""

FEATURE_EXTRACTOR: Config = {
    "crop_size": 224,
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 224,
}


def _sd(
    folder: Path,
    index: Config,
    scheduler: Config,
    unet: Config | None = None,
    *,
    gelu: bool = False,
    pad: str = "<|endoftext|>",
) -> None:
    torch.manual_seed(0)
    _text(folder, "", pad=pad, gelu=gelu)
    _unet(
        folder,
        {
            "sample_size": 8,
            "block_out_channels": (32, 64),
            "cross_attention_dim": 32,
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
            **(unet or {}),
        },
    )
    _vae(folder, {"scaling_factor": 0.18215})
    _json(folder / "scheduler/scheduler_config.json", scheduler)
    _json(folder / "model_index.json", index)


def _sdxl(
    folder: Path, index: Config, scheduler: Config, unet: Config | None = None, vae: Config | None = None
) -> None:
    torch.manual_seed(0)
    _text(folder, "", pad="<|endoftext|>")
    _text(folder, "_2", pad="!", gelu=True, projected=True)
    _unet(
        folder,
        {
            "sample_size": 8,
            "block_out_channels": (32, 64),
            "cross_attention_dim": 64,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            **XL_UNET,
            **(unet or {}),
        },
    )
    _vae(folder, {"scaling_factor": 0.13025, "force_upcast": True, **(vae or {})})
    _json(folder / "scheduler/scheduler_config.json", scheduler)
    _json(folder / "model_index.json", index)


def _unet(folder: Path, config: Config) -> None:
    from diffusers import UNet2DConditionModel

    options = {"layers_per_block": 1, "attention_head_dim": 8, "norm_num_groups": 8, **config}
    UNet2DConditionModel(**options).save_pretrained(folder / "unet")


def _vae(folder: Path, config: Config) -> None:
    """Eight times the size of its latents, as every Stable Diffusion."""
    from diffusers import AutoencoderKL

    AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
        **config,
    ).save_pretrained(folder / "vae")


def _text(folder: Path, suffix: str, *, pad: str, gelu: bool = False, projected: bool = False) -> None:
    """A tokenizer of single characters, and a text encoder, as transformers 4 wrote them down."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = folder / f"tokenizer{suffix}"
    _json(tokenizer / "vocab.json", {word: number for number, word in enumerate(words)})
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
    special = {
        "bos_token": _token("<|startoftext|>"),
        "eos_token": _token("<|endoftext|>"),
        "pad_token": pad,
        "unk_token": _token("<|endoftext|>"),
    }
    _json(tokenizer / "special_tokens_map.json", special)
    _json(
        tokenizer / "tokenizer_config.json",
        {
            "add_prefix_space": False,
            "do_lower_case": True,
            "errors": "replace",
            "model_max_length": 77,
            "name_or_path": "openai/clip-vit-large-patch14",
            "tokenizer_class": "CLIPTokenizer",
            **{
                key: {"__type": "AddedToken", **value} if isinstance(value, dict) else value
                for key, value in special.items()
            },
        },
    )
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=3,
        projection_dim=32,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
        hidden_act="gelu" if gelu else "quick_gelu",
    )
    encoder = CLIPTextModelWithProjection(config) if projected else CLIPTextModel(config)
    encoder.save_pretrained(folder / f"text_encoder{suffix}")


def _token(content: str) -> Config:
    return {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}


def _json(path: Path, content: Config) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2))
