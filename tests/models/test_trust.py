"""What could run code when a model is loaded: refused, unless the command line grants it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from render.cli import main
from render.engine.backends import open_model
from render.errors import ModelError
from render.farm.worker import Worker
from render.models import describe, find
from render.plan import Stopwatch
from render.spec import JobSpec

JOB = (
    "version: 1\nmode: dream\nmodel: {}\nframes: 2\nsteps: 1\nengine: {{batch: 2}}\n"
    "keyframes:\n  - {{at: 0, prompt: hills}}\n"
)


@pytest.fixture
def model(tiny_sd: Path, tmp_path: Path) -> Path:
    """A model to spoil."""
    return Path(shutil.copytree(tiny_sd, tmp_path / "model"))


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def pickle_weights(part: Path) -> None:
    """Its weights as torch.save writes them, and no others."""
    import torch
    from safetensors.torch import load_file

    [weights] = part.glob("*.safetensors")
    name = "pytorch_model.bin" if part.name.startswith("text") else "diffusion_pytorch_model.bin"
    torch.save(load_file(weights), part / name)
    weights.unlink()


@pytest.mark.parametrize("command", ["check", "plan", "run", "preview"])
def test_pickled_weights_are_refused_with_the_line(
    command: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pickle_weights(model / "unet")
    job = tmp_path / "job.yaml"
    job.write_text(JOB.format(model))
    assert main([command, str(job), "--set", f"output.dir={tmp_path / 'out'}"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"render: {job}:3: model: ")
    assert "unet/diffusion_pytorch_model.bin: pickled weights can run code when they are read" in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_with_trust_they_are_rendered(model: Path, tiny_sd: Path, tmp_path: Path) -> None:
    """The same pictures, from weights that were pickled; what a spec says of trust is refused as any unknown key."""
    job = tmp_path / "job.yaml"
    job.write_text(JOB.format(tiny_sd))
    plain, trusted = tmp_path / "plain", tmp_path / "trusted"
    assert main(["run", "--local", str(job), "--set", f"output.dir={plain}"]) == 0
    pickle_weights(model / "unet")
    pickle_weights(model / "text_encoder")
    job.write_text(JOB.format(model))
    assert main(["run", "--local", "--trust", str(job), "--set", f"output.dir={trusted}"]) == 0
    records = [json.loads(next((run / "segments").glob("*.json")).read_text()) for run in (plain, trusted)]
    assert records[0]["pictures"] == records[1]["pictures"]
    assert records[0]["digest"] != records[1]["digest"], "the weights' files are part of the plan"
    assert main(["check", str(job), "--set", "trust=true"]) == 2


def test_a_worker_is_told_and_nobody_else_in_its_process(model: Path, spec_of: Callable[..., JobSpec]) -> None:
    pickle_weights(model / "vae")
    spec = spec_of(f"model={model}", "engine.batch=1")
    before = Worker("w1", trust=True).plan(spec).model.fingerprint
    with pytest.raises(ModelError, match=r"vae/diffusion_pytorch_model\.bin: pickled"):
        Worker("w0").plan(spec)
    (model / "vae/diffusion_pytorch_model.bin").write_bytes(b"others")
    assert describe(str(model), trust=True).fingerprint != before


def test_what_a_plan_was_made_with_is_not_loaded_without_trust(model: Path, spec_of: Callable[..., JobSpec]) -> None:
    pickle_weights(model / "unet")
    spec = spec_of(f"model={model}", "steps=1", "size=64x64", "engine.batch=1")
    plan = Worker("w0", trust=True).plan(spec)
    with pytest.raises(ModelError, match="diffusers cannot load it"):
        open_model(plan, model, Stopwatch())
    backend, _ = open_model(plan, model, Stopwatch(), trust=True)
    assert backend.dtype is not None


@pytest.mark.parametrize("command", [["export", "{}", "{}/graphs"], ["bench", "--model", "{}", "--quick"]])
def test_export_and_bench_refuse_them_too(command: list[str], model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pickle_weights(model / "unet")
    assert main([word.format(model) for word in command]) == 6
    assert "pickled weights" in capsys.readouterr().err


def test_pickles_beside_safetensors_are_not_read(model: Path) -> None:
    (model / "unet/diffusion_pytorch_model.bin").write_bytes(b"never looked at")
    before = describe(str(model))
    (model / "unet/diffusion_pytorch_model.bin").unlink()
    assert describe(str(model)) == before


@pytest.mark.parametrize(
    ("file", "values", "words"),
    [
        ("model_index.json", {"unet": ["my_code", "MyUNet"]}, "its unet is made by 'my_code'"),
        ("model_index.json", {"image_encoder": ["os", "system"]}, "its image_encoder is made by 'os'"),
        ("unet/config.json", {"auto_map": {"AutoModel": "evil.Model"}}, "unet/config.json: it has a auto_map"),
        ("tokenizer/tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["a.B", None]}}, "tokenizer_config.json"),
        ("text_encoder/config.json", {"auto_map": {"AutoModel": "other/repo--x.Y"}}, "text_encoder/config.json"),
    ],
)
def test_code_of_the_models_own_is_refused(file: str, values: dict[str, Any], words: str, model: Path) -> None:
    change(model / file, **values)
    with pytest.raises(ModelError, match=f"{words}.*that is code of the model's own"):
        describe(str(model))
    assert describe(str(model), trust=True).family == "sd"


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "a/b.safetensors", "..", "", 7])
def test_an_index_of_weights_does_not_lead_out_of_its_folder(name: object, model: Path) -> None:
    index = model / "unet/diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"conv.weight": "diffusion_pytorch_model.safetensors", "x": name}}))
    with pytest.raises(ModelError, match="names a file outside its folder"):
        describe(str(model), trust=True)  # never needed by an honest model


def test_a_model_without_weights_is_named(model: Path) -> None:
    (model / "unet/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights in unet; safetensors are looked for"):
        describe(str(model))


@pytest.mark.parametrize(
    "model", ["a/..", "a/b@../../x", "a/b@main/../../..", "a/b\0c", "../x/y", "a/b\u0665@\u0665/.."]
)
def test_names_do_not_lead_out_of_the_hubs_cache(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("render.models.sources.cached_folder", lambda *_: pytest.fail("the hub's cache was asked"))
    with pytest.raises(ModelError, match="no such folder, and not a hub id"):
        find(model, download=False)


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".bin", ".pkl", ".pth"])
def test_a_single_pickled_file_is_refused_as_such(suffix: str) -> None:
    with pytest.raises(ModelError, match="pickled weights can run code"):
        find(f"model{suffix}", download=False)
