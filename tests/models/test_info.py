"""Models on disk: found, described without torch, refused with a cure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from render import models
from render.errors import ModelError
from render.models import describe, find, num_parameters
from tests.models.folders import graph_folder, safetensors, sd_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model in diffusers' layout, as far as ``describe`` looks."""
    return sd_folder(tmp_path / "model")


@pytest.mark.parametrize(
    ("model", "seconds"),
    [("testcard", 0.0), ("testcard:50ms", 0.05), ("demo", None), ("testcard:", None), ("testcard:x", None)],
)
def test_test_cards_and_their_cost(model: str, seconds: float | None) -> None:
    assert models.testcard_cost_s(model) == seconds


def test_a_folder_is_described(folder: Path) -> None:
    info = describe(str(folder))
    assert (info.family, info.native_size, info.latent_channels, info.latent_scale) == ("sd", (512, 512), 4, 8)
    assert info.scheduler == {"beta_end": 0.012, "_class_name": "EulerDiscreteScheduler"}
    assert (len(info.fingerprint), info.revision) == (64, None)
    assert num_parameters(str(folder), "denoiser") == 4 * 8 * 3 * 3 + 8
    assert num_parameters("testcard", "denoiser") == 0


def test_home_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert find("~/model", download=False) == folder


@pytest.mark.parametrize(
    "name", ["unet/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json", "unet/config.json"]
)
def test_the_fingerprint_covers_every_file(name: str, folder: Path) -> None:
    before = describe(str(folder)).fingerprint
    path = folder / name
    path.write_bytes(path.read_bytes() + b" " if path.suffix == ".json" else path.read_bytes()[:-1] + b"\1")
    assert describe(str(folder)).fingerprint != before


def test_the_fingerprint_does_not_depend_on_the_place(folder: Path) -> None:
    before = describe(str(folder)).fingerprint
    (folder / "README.md").write_text("not a model's file")
    folder.rename(folder.parent / "elsewhere")
    assert describe(str(folder.parent / "elsewhere")).fingerprint == before


def test_a_snapshot_of_the_hubs_cache(folder: Path) -> None:
    """There files are links to blobs named by their sums, and the folder is named by the commit."""
    blob, link = folder.parent / ("a" * 64), folder / "unet/diffusion_pytorch_model.safetensors"
    plain = describe(str(folder)).fingerprint
    link.rename(blob)
    link.symlink_to(blob)
    snapshot = folder.parent / "snapshots" / "0123abcd"
    snapshot.parent.mkdir()
    folder.rename(snapshot)
    info = describe(str(snapshot))
    assert info.revision == "0123abcd"
    assert info.fingerprint != plain, "taken from the blob's name, which is not the sum here"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model_index.json", None, "no model_index.json in it; a model folder is in diffusers' layout"),
        ("model_index.json", "{", "cannot be read"),
        ("model_index.json", "[]", "holds no JSON object"),
        pytest.param("unet/config.json", "[" * 100_000, "cannot be read", id="deep"),
        ("model_index.json", '{"_class_name": "FluxPipeline"}', "is a FluxPipeline; known: StableDiffusionPipeline"),
        ("model_index.json", '{"_class_name": ["x"]}', "known: StableDiffusionPipeline"),
        ("unet/config.json", None, "no config.json in unet"),
        ("unet/config.json", '{"in_channels": 9, "sample_size": 64}', r"takes 9 channels \(an inpainting model\?\)"),
        (
            "unet/config.json",
            '{"in_channels": 4, "sample_size": [64, 64]}',
            r"sample_size is \[64, 64\]: it is to be a whole",
        ),
        ("vae/config.json", '{"latent_channels": 4}', "its block_out_channels is None"),
        ("scheduler/scheduler_config.json", None, "no scheduler_config.json in scheduler"),
    ],
)
def test_broken_folders_are_refused(name: str, content: str | None, words: str, folder: Path) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(ModelError, match=words):
        describe(str(folder))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("./missing", "no such folder, and not a hub id; write demo, testcard, a folder, or org/name"),
        ("~nobody-of-that-name/x", "no such folder"),
        ("plain", "no such folder"),
        ("a/b/c", "no such folder"),
        ("a\0b", "no such folder"),
        ("sd.safetensors", "single-file models are not built yet"),
        ("old.ckpt", "single-file models are not built yet"),
    ],
)
def test_names_that_are_no_model(model: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        find(model, download=False)


@pytest.mark.parametrize("raw", [b"\xff" * 64, b"\x02\0\0\0\0\0\0\0[]", b'\x0a\0\0\0\0\0\0\0{"a": {}}  '])
def test_weights_that_are_none(raw: bytes, folder: Path) -> None:
    (folder / "unet/diffusion_pytorch_model.safetensors").write_bytes(raw)
    with pytest.raises(ModelError, match=r"unet/diffusion_pytorch_model\.safetensors: is no safetensors file"):
        num_parameters(str(folder), "denoiser")


def test_weights_that_were_cut_short(folder: Path) -> None:
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ModelError, match="is no safetensors file"):
        num_parameters(str(folder), "denoiser")


def test_a_folder_of_graphs_says_what_its_export_noted(tmp_path: Path) -> None:
    folder = str(graph_folder(tmp_path / "graphs", dtype="fp16", num_parameters=860))
    info = describe(folder)
    assert (info.layout, info.dtype, info.native_size) == ("onnx", "fp16", (512, 512))
    assert (num_parameters(folder, "denoiser"), num_parameters(folder, "vae")) == (860, 860)


@pytest.mark.parametrize(
    "note", [{}, {"dtype": "fp8", "num_parameters": -1}, {"dtype": ["fp16"], "num_parameters": "many"}], ids=str
)
def test_of_other_graphs_the_type_is_unknown_and_the_size_is_that_of_their_files(
    note: dict[str, object], tmp_path: Path
) -> None:
    folder = str(graph_folder(tmp_path / "graphs", **note))
    assert describe(folder).dtype is None
    assert 1000 <= num_parameters(folder, "vae") < 1100, "as float32, and a little for the configuration"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["dreamy_v8.safetensors"], r"it holds single-file models \(dreamy_v8\.safetensors\), which are not built yet"),
        (["old.ckpt", "old.yaml"], r"it holds single-file models \(old\.ckpt\)"),
        (["refs/main", "snapshots/0123/model_index.json"], r"hub's cache keeps of a repository; write its name"),
    ],
    ids=["single", "pickled", "cache"],
)
def test_folders_that_people_take_for_a_model(names: list[str], words: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    with pytest.raises(ModelError, match=words):
        describe(str(tmp_path))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A tiny VAE, as far as ``describe`` looks."""
    folder = tmp_path / "taesd"
    folder.mkdir()
    config = {"_class_name": "AutoencoderTiny", "latent_channels": 4, "decoder_block_out_channels": [64] * 4}
    (folder / "config.json").write_text(json.dumps(config))
    safetensors(folder / "diffusion_pytorch_model.safetensors", weight=[2])
    return folder


def test_a_tiny_vae_is_part_of_the_fingerprint(tiny: Path) -> None:
    with pytest.raises(ModelError, match="4 channels"):
        describe("demo", str(tiny))
    demo, decoded = describe("demo"), describe("demo", "demo")
    assert decoded.fingerprint not in (demo.fingerprint, "")
    assert describe("demo", "demo", fingerprint=False).fingerprint == ""
    assert describe("testcard", str(tiny)) == describe("testcard")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"_class_name": "AutoencoderKL"}, "its config says AutoencoderKL, not AutoencoderTiny"),
        ({"latent_channels": 8}, "latents of 8 channels to 8 times"),
        ({"latent_channels": 16, "decoder_block_out_channels": [64] * 3}, "16 channels to 4 times"),
        ({"latent_channels": None}, "its latent_channels is None"),
    ],
    ids=["kind", "channels", "scale", "nothing"],
)
def test_a_tiny_vae_that_does_not_fit_is_refused(tiny: Path, changed: dict[str, Any], message: str) -> None:
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps(config | changed))
    with pytest.raises(ModelError, match=message):
        describe("demo", str(tiny))


def test_a_tiny_vae_that_is_not_there_is_refused(tiny: Path) -> None:
    with pytest.raises(ModelError, match="no such folder, and not a hub id"):
        describe("demo", str(tiny / "elsewhere"))
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps(config | {"latent_channels": 16}))
    (tiny / "diffusion_pytorch_model.safetensors").rename(tiny / "diffusion_pytorch_model.bin")
    with pytest.raises(ModelError, match="only safetensors are read"):
        describe("demo", str(tiny), download=True)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a Git LFS pointer"),
        (b"", "is empty"),
        (b"nothing", "is no safetensors file"),
    ],
    ids=["pointer", "empty", "no-header"],
)
def test_a_tiny_vae_that_is_damaged_is_refused_before_it_is_loaded(tiny: Path, raw: bytes, words: str) -> None:
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps(config | {"latent_channels": 16}))
    (tiny / "diffusion_pytorch_model.safetensors").write_bytes(raw)
    with pytest.raises(ModelError, match=rf"tiny VAE .*diffusion_pytorch_model\.safetensors: {words}"):
        describe("demo", str(tiny), fingerprint=False)
