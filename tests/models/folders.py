"""Model folders in diffusers' layout, as far as their description looks: configurations and small weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from render.models import FAMILIES

__all__ = ["graph_folder", "safetensors", "sd_folder"]


def safetensors(path: Path, **shapes: list[int]) -> None:
    """Weights of these shapes, all zero."""
    save_file({name: np.zeros(shape, np.float16) for name, shape in shapes.items()}, path)


def sd_folder(folder: Path, pipeline: str | None = "StableDiffusionPipeline") -> Path:
    """Stable Diffusion 1, of a pipeline by that name, with all its text encoders and tokenizers."""
    family = next((row for row in FAMILIES.values() if row.pipeline == pipeline), FAMILIES["sd"])
    contents = {
        "model_index.json": {"_class_name": pipeline, **{part: _named(part) for part in family.parts}},
        "unet/config.json": {"in_channels": 4, "sample_size": 64, "block_out_channels": [320, 640, 1280, 1280]},
        "vae/config.json": {"latent_channels": 4, "block_out_channels": [128, 256, 512, 512]},
        "scheduler/scheduler_config.json": {"beta_end": 0.012},
        **{f"{part}/config.json": {"architectures": ["CLIPTextModel"]} for part in family.text_encoders},
        **{f"{part}/vocab.json": {"<|endoftext|>": 0} for part in family.tokenizers},
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    safetensors(folder / "unet/diffusion_pytorch_model.safetensors", weight=[4, 8, 3, 3], bias=[8])
    for part in family.tokenizers:
        (folder / part / "merges.txt").write_text("#version: 0.2\n")
    for part in family.text_encoders:
        safetensors(folder / part / "model.safetensors", weight=[2, 3])
    safetensors(folder / "vae/diffusion_pytorch_model.safetensors", weight=[2, 2])
    return folder


def _named(part: str) -> list[str]:
    """How an index names a part of that name."""
    if part.startswith("tokenizer"):
        return ["transformers", "CLIPTokenizer"]
    if part.startswith("text_encoder"):
        return ["transformers", "CLIPTextModel"]
    names = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "scheduler": "EulerDiscreteScheduler"}
    return ["diffusers", names.get(part, "SD3Transformer2DModel")]


def graph_folder(folder: Path, **note: object) -> Path:
    """The same as graphs that nobody can open, with what ``render export`` notes of the UNet and the decoder."""
    sd_folder(folder)
    (folder / "vae").rename(folder / "vae_decoder")
    for part in ("unet", "vae_decoder", "text_encoder"):
        [weights] = (folder / part).glob("*.safetensors")
        weights.unlink()
        (folder / part / "model.onnx").write_bytes(bytes(4000))
        if note:
            config = json.loads((folder / part / "config.json").read_text())
            (folder / part / "config.json").write_text(json.dumps(config | {"render_export": note}))
    return folder
