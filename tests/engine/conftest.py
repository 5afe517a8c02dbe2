"""Tiny random models in diffusers' layout, and engines over them. Speed does not matter here, agreement does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from render import modelfiles
from render.document import parse
from render.engine.device import machine
from render.engine.engine import Engine
from render.picture import Stopwatch
from render.plan import Plan
from render.resolve import resolve
from render.spec import validate

JOB = """
version: 1
name: test
mode: dream
model: {model}
frames: 24
steps: 4
guidance: 5
negative: grey
keyframes:
  - {{at: 0, prompt: red hills, seed: 7}}
  - {{at: 8, prompt: blue sea, seed: 7}}
  - {{at: 16, prompt: a city, seed: 11}}
engine: {{device: cpu, dtype: fp32, batch: 4, threads: 1}}
"""


@pytest.fixture(scope="session")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion 1 with random weights: latents 4x8x8, pictures 64x64 at its native size."""
    from diffusers import StableDiffusionPipeline

    folder = tmp_path_factory.mktemp("models") / "tiny-sd"
    torch.manual_seed(0)
    tokenizer, size = _tokenizer(folder.parent / "words")
    StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=_text_encoder(size),
        tokenizer=tokenizer,
        unet=_unet(cross_attention_dim=32),
        scheduler=_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SDXL with random weights: two text encoders, pooled and size conditioning."""
    from diffusers import StableDiffusionXLPipeline

    folder = tmp_path_factory.mktemp("models") / "tiny-sdxl"
    torch.manual_seed(0)
    tokenizer, size = _tokenizer(folder.parent / "words")
    unet = _unet(
        cross_attention_dim=64,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=8 * 6 + 32,
    )
    StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=_text_encoder(size),
        text_encoder_2=_text_encoder(size, projected=True),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=_scheduler(),
        add_watermarker=False,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def open_engine() -> Callable[..., Engine]:
    """``open_engine(model, "steps=8", …)``: an engine over a model with overrides of the test job."""

    def open_engine(model: Path | str, *overrides: str) -> Engine:
        plan = plan_for(model, *overrides)
        return Engine(plan, modelfiles.find(str(model), download=False), Stopwatch())

    return open_engine


def plan_for(model: Path | str, *overrides: str) -> Plan:
    """A plan of the test job over ``model``."""
    source = parse(JOB.format(model=model), name="job.yaml")
    for override in overrides:
        source.override(override)
    spec = validate(source)
    info = modelfiles.describe(str(model), spec.engine.tiny_vae)
    return Plan(spec, resolve(spec, machine("cpu"), info), info)


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


def _unet(**options: object) -> torch.nn.Module:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=8,
        norm_num_groups=8,
        **options,
    )


def _vae() -> torch.nn.Module:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(16, 16, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
    )


def _scheduler() -> object:
    from diffusers import PNDMScheduler

    return PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    )
