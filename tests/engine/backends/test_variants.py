"""Weights as people have them: in shards, as a variant in another precision, full and half beside one another."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from render.errors import ModelError
from tests.engine.test_engine import Open, by_engine, psnr


def saved_again(folder: Path, part: str, **options: Any) -> None:
    """The weights of a part as diffusers and transformers write them with these options, and no others."""
    import diffusers
    import transformers

    library, name = (transformers, "CLIPTextModel") if part == "text_encoder" else (diffusers, "UNet2DConditionModel")
    model = getattr(library, name).from_pretrained(folder / part)
    for path in (folder / part).glob("*.safetensors"):
        path.unlink()
    dtype = torch.float16 if options.get("variant") == "fp16" else torch.float32
    model.to(dtype).save_pretrained(folder / part, **options)


def in_shards(folder: Path) -> None:
    saved_again(folder, "unet", max_shard_size="150KB")
    saved_again(folder, "text_encoder", max_shard_size="20KB")


def as_fp16(folder: Path) -> None:
    saved_again(folder, "unet", variant="fp16")
    saved_again(folder, "text_encoder", variant="fp16")


def as_fp16_in_shards(folder: Path) -> None:
    saved_again(folder, "unet", variant="fp16", max_shard_size="80KB")
    saved_again(folder, "text_encoder", variant="fp16", max_shard_size="10KB")


def as_fp16_beside_full(folder: Path) -> None:
    """Of the UNet only fp16; of the text encoder both, of which the half one is no text encoder."""
    saved_again(folder, "unet", variant="fp16")
    (folder / "unet/LICENSE").write_text("a name without a dot, over which diffusers' own search for variants stumbles")
    (folder / "text_encoder/model.fp16.safetensors").write_bytes(b"not looked at")


@pytest.mark.parametrize("change", [in_shards, as_fp16, as_fp16_in_shards, as_fp16_beside_full])
def test_the_same_model_in_other_files_is_the_same_picture(
    change: Callable[[Path], None], tiny_sd: Path, tmp_path: Path, open_engine: Open
) -> None:
    model = Path(shutil.copytree(tiny_sd, tmp_path / "model"))
    change(model)
    ours, theirs = by_engine(open_engine(model), [0]), by_engine(open_engine(tiny_sd), [0])
    assert torch.equal(ours, theirs) == (change is in_shards)
    assert psnr(ours, theirs) > 35  # half precision


@pytest.mark.parametrize("part", ["text_encoder", "unet", "vae"])
def test_weights_that_are_spoilt_after_they_were_checked_are_a_models_error(
    part: str, tiny_sd: Path, tmp_path: Path, open_engine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """safetensors' own error was a traceback and exit code 1, where transformers let it through."""
    model = Path(shutil.copytree(tiny_sd, tmp_path / "model"))
    [weights] = (model / part).glob("*.safetensors")
    for look in ("require_whole", "_missing_layer"):
        monkeypatch.setattr(f"render.models.complete.{look}", lambda *_: None)
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ModelError, match="diffusers cannot load it"):
        open_engine(model)


def without(weights: Path, start: str) -> str:
    """Drop the tensors whose names begin so; the first of them."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights)
    dropped = [name for name in tensors if name.startswith(start)]
    save_file({name: tensor for name, tensor in tensors.items() if name not in dropped}, weights)
    return min(dropped)


@pytest.mark.parametrize(
    ("part", "start"),
    [
        ("text_encoder", "final_layer_norm.weight"),
        ("unet", "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"),
        ("vae", "decoder.mid_block.attentions.0.to_q.weight"),
    ],
)
@pytest.mark.parametrize("variant", ["", "fp16"])
def test_weights_that_lack_a_tensor_are_refused_by_part_and_name(
    part: str, start: str, variant: str, tiny_sd: Path, tmp_path: Path, open_engine: Open
) -> None:
    """They were filled at random without a word, or were a traceback of torch."""
    model = Path(shutil.copytree(tiny_sd, tmp_path / "model"))
    [weights] = (model / part).glob("*.safetensors")
    missing = without(weights, start)
    if variant:
        weights.rename(weights.with_suffix(f".{variant}.safetensors"))
    with pytest.raises(ModelError, match=rf"{part}: its weights lack {missing}.*fetch"):
        open_engine(model)


def test_weights_by_the_names_of_older_diffusers_are_whole(tiny_sd: Path, tmp_path: Path, open_engine: Open) -> None:
    from safetensors.torch import load_file, save_file

    model = Path(shutil.copytree(tiny_sd, tmp_path / "model"))
    [weights], old = (model / "vae").glob("*.safetensors"), {}
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for name, tensor in load_file(weights).items():
        for new, before in names.items():
            name = name.replace(f".{new}.", f".{before}.")
        old[name] = tensor
    assert any(".query." in name for name in old)
    save_file(old, weights)
    [text] = (model / "text_encoder").glob("*.safetensors")
    save_file(load_file(text) | {"embeddings.position_ids": torch.arange(77)[None]}, text)
    assert torch.equal(by_engine(open_engine(model), [0]), by_engine(open_engine(tiny_sd), [0]))
