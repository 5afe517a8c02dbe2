"""The shipped model: small enough, readable by transformers 4 and 5, and it draws."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from benchmarks.demo_model.training.tokenizer import BOS, EOS, MAX_LENGTH, learn_merges, vocabulary, write_tokenizer
from benchmarks.demo_model.world.captions import WORDS
from render.models.demo import WEIGHTS

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def pipeline() -> Any:
    from diffusers import StableDiffusionPipeline

    loaded = StableDiffusionPipeline.from_pretrained(WEIGHTS)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def keys(part: str, name: str) -> list[str]:
    with safe_open(WEIGHTS / part / name, "pt") as file:
        return list(file.keys())


def test_the_weights_fit_into_a_package() -> None:
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 25e6
    index = json.loads((WEIGHTS / "model_index.json").read_text())
    assert index["_class_name"] == "StableDiffusionPipeline"
    assert index["safety_checker"] == index["feature_extractor"] == [None, None]


def test_the_text_encoder_is_written_as_transformers_4_reads_it() -> None:
    assert all(key.startswith("text_model.") for key in keys("text_encoder", "model.safetensors"))
    assert {"vocab.json", "merges.txt"} <= {path.name for path in (WEIGHTS / "tokenizer").iterdir()}


def test_the_configurations_agree_with_each_other() -> None:
    text = json.loads((WEIGHTS / "text_encoder" / "config.json").read_text())
    tokenizer = json.loads((WEIGHTS / "tokenizer" / "tokenizer_config.json").read_text())
    vocab = json.loads((WEIGHTS / "tokenizer" / "vocab.json").read_text())
    unet = json.loads((WEIGHTS / "unet" / "config.json").read_text())
    scheduler = json.loads((WEIGHTS / "scheduler" / "scheduler_config.json").read_text())
    assert text["max_position_embeddings"] == tokenizer["model_max_length"] == MAX_LENGTH
    assert text["vocab_size"] == len(vocab)
    assert (text["bos_token_id"], text["eos_token_id"]) == (vocab[BOS], vocab[EOS])
    assert unet["cross_attention_dim"] == text["hidden_size"]
    assert scheduler["clip_sample"] is False


def test_the_tokenizer_files_are_what_the_code_writes(tmp_path: Path) -> None:
    write_tokenizer(WORDS, tmp_path)
    for path in (WEIGHTS / "tokenizer").iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_every_caption_word_is_one_token_and_the_rest_comes_back(pipeline: Any) -> None:
    tokenizer = pipeline.tokenizer
    whole = [word for word in WORDS if not word[0].isdigit()]  # CLIP splits digits off
    assert [word for word in whole if len(tokenizer(word).input_ids) != 3] == []
    for text in ("a big red sun over violet mountains at dawn", "zebra crossing", "café"):
        ids = tokenizer(text).input_ids
        assert tokenizer.decode(ids, skip_special_tokens=True).strip() == text
    assert len(tokenizer("sun " * 100, truncation=True).input_ids) == MAX_LENGTH


def test_merges_make_every_word_whole() -> None:
    merges = learn_merges(["red", "forest", "reds"])
    assert {"red</w>", "forest</w>", "reds</w>"} <= set(vocabulary(merges))


def test_a_quick_render_shows_the_scene(pipeline: Any) -> None:
    prompts = ["a big red sun over violet mountains at dawn", "a huge white moon over blue sea at night"]
    seeds = [torch.Generator().manual_seed(7) for _ in prompts]
    pictures = pipeline(prompts, num_inference_steps=4, guidance_scale=5.0, generator=seeds, output_type="np").images
    assert pictures.shape == (2, 128, 128, 3)
    assert np.isfinite(pictures).all()
    assert (pictures.std((1, 2, 3)) > 0.03).all()
    day, night = pictures[:, :40].mean((1, 2, 3))
    assert day > night + 0.15


def test_the_autoencoder_gives_a_picture_back(pipeline: Any) -> None:
    from benchmarks.demo_model.training.autoencoder import psnr_db, reconstruct
    from benchmarks.demo_model.world.pictures import draw_picture
    from benchmarks.demo_model.world.scene import Scene

    known = draw_picture(Scene("noon", "big", "red", "right", "hills", "green", detail=3))[None]
    assert psnr_db(known, reconstruct(pipeline.vae, known)) > 26


@pytest.mark.slow
def test_the_tiny_decoder_paints_what_the_autoencoder_paints() -> None:
    from diffusers import AutoencoderTiny
    from diffusers.utils import logging

    from benchmarks.demo_model.training.tiny_decoder import fidelity_db

    folder = WEIGHTS / "vae_tiny"
    assert (folder / "diffusion_pytorch_model.safetensors").stat().st_size < 1e6
    logging.set_verbosity_error()  # diffusers writes a config entry of this class that it then does not expect
    against_vae, against_pictures = fidelity_db(AutoencoderTiny.from_pretrained(folder), count=8)
    assert against_vae > 36
    assert against_pictures > 26
