"""Models of which something is missing or damaged: refused by ``check``, before any weights are read."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from render.cli import main
from render.errors import ModelError
from render.models import describe, find, num_parameters
from tests.models.folders import graph_folder, safetensors, sd_folder

JOB = (
    "version: 1\nmode: dream\nmodel: {}\nframes: 2\nsteps: 1\nengine: {{batch: 2}}\n"
    'keyframes:\n  - {{at: 0, prompt: "hills"}}\n'
)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 492265879\n"
WEIGHTS = {
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "vae": "vae/diffusion_pytorch_model.safetensors",
    "text": "text_encoder/model.safetensors",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model that is right, to be spoilt."""
    return sd_folder(tmp_path / "model")


def written(name: str, raw: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(raw)


def gone(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def cut(name: str) -> Callable[[Path], object]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size - 1)


def longer(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes() + b"\0")


def a_folder(name: str) -> Callable[[Path], object]:
    return lambda folder: (gone(name)(folder), (folder / name).mkdir())


def dangling(name: str) -> Callable[[Path], object]:
    return lambda folder: (gone(name)(folder), (folder / name).symlink_to("../../blobs/0123"))


def sharded(folder: Path, *shards: str, variant: str = "", index: bool = True, stem: str = "") -> None:
    """The UNet's weights in two shards, of which ``shards`` are there."""
    unet = folder / "unet"
    (unet / "diffusion_pytorch_model.safetensors").unlink()
    dot, names = f".{variant}" if variant else "", []
    for number in "12":
        names.append(f"diffusion_pytorch_model{dot}-0000{number}-of-00002.safetensors")
        if number in shards:
            safetensors(unet / names[-1], **{f"weight{number}": [4, 3]})
    if index:
        table = {f"weight{place}": name for place, name in enumerate(names)}
        (unet / f"diffusion_pytorch_model.safetensors.index{dot}.json").write_text(json.dumps({"weight_map": table}))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    **{
        f"pointer-{part}": (written(name, POINTER), rf"{name}: is a Git LFS pointer, .* run `git lfs pull`")
        for part, name in WEIGHTS.items()
    },
    **{
        f"cut-{part}": (cut(name), rf"{name}: is no safetensors file \(it has \d+ bytes, and not as many .*cut short")
        for part, name in WEIGHTS.items()
    },
    "longer": (longer(WEIGHTS["vae"]), "is no safetensors file .*not as many as its header says"),
    "empty": (written(WEIGHTS["text"], b""), "model.safetensors: is empty; delete it and fetch the model again"),
    "web-page": (written(WEIGHTS["unet"], b"<!doctype html><html>404</html>"), "is no safetensors file"),
    "header-no-json": (written(WEIGHTS["unet"], b"\3\0\0\0\0\0\0\0abc"), "is no safetensors file .*JSON"),
    "header-huge": (written(WEIGHTS["unet"], b"\xff" * 8 + b"{}"), "is no safetensors file .*header too large"),
    "folder": (a_folder(WEIGHTS["vae"]), "is no file, but something else of that name"),
    "link": (dangling(WEIGHTS["unet"]), "is a link to a file that is gone .*blobs/0123.*fetch the model again"),
    "no-text-encoder": (lambda folder: shutil.rmtree(folder / "text_encoder"), "no config.json in text_encoder"),
    "no-weights": (gone(WEIGHTS["text"]), "no weights in text_encoder; safetensors are looked for"),
    "other-name": (
        lambda folder: (folder / WEIGHTS["unet"]).rename(folder / "unet/dreamy.safetensors"),
        "no weights in unet under a name that diffusers reads, but dreamy.safetensors",
    ),
    "transformers-name": (
        lambda folder: (folder / WEIGHTS["unet"]).rename(folder / "unet/model.safetensors"),
        "no weights in unet under a name that diffusers reads, but model.safetensors; rename them",
    ),
    "diffusers-name": (
        lambda folder: (folder / WEIGHTS["text"]).rename(folder / "text_encoder/diffusion_pytorch_model.safetensors"),
        "no weights in text_encoder under a name that diffusers reads, but diffusion_pytorch_model.safetensors",
    ),
    "diffusers-name-of-a-variant": (
        lambda folder: (folder / WEIGHTS["vae"]).rename(folder / "vae/model.fp16.safetensors"),
        "no weights in vae under a name that diffusers reads, but model.fp16.safetensors",
    ),
    "other-variant": (
        lambda folder: (folder / WEIGHTS["unet"]).rename(folder / "unet/diffusion_pytorch_model.non_ema.safetensors"),
        "no weights in unet under a name that diffusers reads, but diffusion_pytorch_model.non_ema.safetensors",
    ),
    "a-shard": (
        lambda folder: sharded(folder, "1"),
        "unet/diffusion_pytorch_model-00002-of-00002.safetensors is missing, one of 2 shards",
    ),
    "a-shard-of-a-variant": (
        lambda folder: sharded(folder, "2", variant="fp16"),
        "unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors is missing, one of 2 shards",
    ),
    "no-shards": (lambda folder: sharded(folder), "no weights in unet; safetensors are looked for"),
    "no-index": (
        lambda folder: sharded(folder, "1", "2", index=False),
        "no diffusion_pytorch_model.safetensors.index.json in unet, which says what is in its shards",
    ),
    "index-pointer": (
        lambda folder: (
            sharded(folder, "1", "2"),
            written("unet/diffusion_pytorch_model.safetensors.index.json", POINTER)(folder),
        ),
        "index.json: is a Git LFS pointer",
    ),
    "index-leads-out": (
        written("unet/diffusion_pytorch_model.safetensors.index.fp16.json", b'{"weight_map": {"a": "../x"}}'),
        "names a file outside its folder",
    ),
    "no-vocabulary": (gone("tokenizer/vocab.json"), "no vocab.json in tokenizer; fetch the model again"),
    "no-merges": (gone("tokenizer/merges.txt"), "no merges.txt in tokenizer; fetch the model again"),
    "no-tokenizer": (
        lambda folder: shutil.rmtree(folder / "tokenizer"),
        "no merges.txt and no vocab.json in tokenizer",
    ),
    "merges-empty": (written("tokenizer/merges.txt", b""), "merges.txt: is empty"),
    "vocabulary-pointer": (written("tokenizer/vocab.json", POINTER), "vocab.json: is a Git LFS pointer"),
    "vocabulary-cut": (written("tokenizer/vocab.json", b'{"a": 0, "b'), "vocab.json: cannot be read: "),
    "index-cut": (written("model_index.json", b'{"_class'), "model_index.json: cannot be read: "),
    "config-empty": (written("unet/config.json", b""), "unet/config.json: is empty"),
    "config-folder": (a_folder("vae/config.json"), "vae/config.json: is no file"),
    "scheduler-pointer": (written("scheduler/scheduler_config.json", POINTER), "is a Git LFS pointer"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_missing_or_damaged_is_named_with_the_cure(fault: str, folder: Path) -> None:
    spoil, words = FAULTS[fault]
    spoil(folder)
    with pytest.raises(ModelError, match=words) as refusal:
        describe(str(folder), fingerprint=False)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("command", ["check", "plan", "run", "preview"])
def test_every_command_says_so_with_the_line(
    command: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / WEIGHTS["text"]).write_bytes(POINTER)
    job = tmp_path / "job.yaml"
    job.write_text(JOB.format(folder))
    assert main([command, str(job), "--set", f"output.dir={tmp_path / 'out'}"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"render: {job}:3: model: {folder / WEIGHTS['text']}: is a Git LFS pointer")
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "shards", [{"shards": ("1", "2")}, {"shards": ("1", "2"), "variant": "fp16"}], ids=["full", "fp16"]
)
def test_shards_are_taken_together(shards: dict[str, str], folder: Path) -> None:
    sharded(folder, *shards.pop("shards"), **shards)
    before = describe(str(folder)).fingerprint
    assert num_parameters(str(folder), "denoiser") == 24
    last = sorted((folder / "unet").glob("*-of-*"))[-1]
    last.write_bytes(last.read_bytes()[:-1] + b"\1")
    assert describe(str(folder)).fingerprint != before


def test_a_variant_is_read_where_there_is_nothing_else(folder: Path) -> None:
    half = folder / "unet/diffusion_pytorch_model.fp16.safetensors"
    full = describe(str(folder)).fingerprint
    shutil.copy(folder / WEIGHTS["unet"], half)
    parameters = num_parameters(str(folder), "denoiser")
    assert describe(str(folder)).fingerprint == full, "full weights are read, whatever lies beside them"
    (folder / WEIGHTS["unet"]).unlink()
    assert describe(str(folder)).fingerprint != full
    assert num_parameters(str(folder), "denoiser") == parameters
    half.write_bytes(POINTER)
    with pytest.raises(ModelError, match=r"fp16\.safetensors: is a Git LFS pointer"):
        describe(str(folder))


def test_a_tokenizer_in_one_file_is_enough(folder: Path) -> None:
    (folder / "tokenizer/vocab.json").rename(folder / "tokenizer/tokenizer.json")
    (folder / "tokenizer/merges.txt").unlink()
    assert describe(str(folder), fingerprint=False).family == "sd"


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("text_encoder/model.onnx", None, "no model.onnx in text_encoder"),
        ("vae_decoder/model.onnx", POINTER, "vae_decoder/model.onnx: is a Git LFS pointer"),
        ("unet/model.onnx_data", POINTER, "unet/model.onnx_data: is a Git LFS pointer"),
        ("unet/model.onnx", b"", "unet/model.onnx: is empty"),
        ("tokenizer/merges.txt", None, "no merges.txt in tokenizer"),
    ],
)
def test_graphs_that_are_none(name: str, raw: bytes | None, words: str, tmp_path: Path) -> None:
    folder = graph_folder(tmp_path / "graphs")
    if raw is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(raw)
    with pytest.raises(ModelError, match=words):
        describe(str(folder), fingerprint=False)


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder that a user without rights can enter; for the test, this process is one."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    user = os.geteuid()
    try:
        yield folder
    finally:
        os.seteuid(user)
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", [*WEIGHTS.values(), "unet/config.json", "tokenizer/merges.txt", "unet", "vae"])
@pytest.mark.parametrize("fingerprint", [True, False])
def test_what_may_not_be_read_is_a_refusal(name: str, nobody: Path, fingerprint: bool) -> None:
    folder = sd_folder(nobody / "model")
    describe(str(folder))  # whatever is imported late
    for path in folder.rglob("*"):
        path.chmod(0o755)
    (folder / name).chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)
    with pytest.raises(ModelError, match=rf"{name}.*: cannot be read: .*[Pp]ermission denied"):
        describe(str(folder), fingerprint=fingerprint)


@pytest.mark.parametrize(
    ("start", "missing"),
    [
        ("text_model.encoder.layers.0.", "encoder.layers.0.self_attn.q_proj.weight"),
        ("text_model.encoder.layers.2.mlp.fc2.bias", "encoder.layers.2.mlp.fc2.bias"),
    ],
)
def test_a_text_encoder_that_lacks_a_layer_is_refused_by_its_header(start: str, missing: str, tmp_path: Path) -> None:
    """It was filled at random, and the film made."""
    from safetensors.numpy import load_file, save_file

    model = Path(shutil.copytree(find("demo", download=False), tmp_path / "demo"))
    describe(str(model), fingerprint=False)
    tensors = load_file(model / WEIGHTS["text"])
    save_file({name: one for name, one in tensors.items() if not name.startswith(start)}, model / WEIGHTS["text"])
    with pytest.raises(ModelError, match=f"text_encoder: its weights lack {missing}, .* fetch the model again"):
        describe(str(model), fingerprint=False)


def test_a_configuration_of_more_layers_than_there_are_is_refused(tmp_path: Path) -> None:
    model = Path(shutil.copytree(find("demo", download=False), tmp_path / "demo"))
    path = model / "text_encoder/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_hidden_layers": 4}))
    with pytest.raises(ModelError, match=r"its weights lack encoder\.layers\.3\.self_attn"):
        describe(str(model), fingerprint=False)
