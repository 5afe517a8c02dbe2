"""Repositories that people use, as the hub gives them: fetched, rendered, compared with diffusers' own pipeline."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from render import models
from render.engine.engine import Engine
from render.video.reader import probe
from tests.engine.conftest import decoded, latents_of
from tests.engine.test_engine import Open, psnr
from tests.hub.layouts import LAYOUTS, REPOSITORIES
from tests.hub.server import Hub, serving, used

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
JOB = """\
version: 1
name: walk
mode: dream
model: {model}
size: 64x64
frames: 2
steps: 2
keyframes:
  - {{at: 0, prompt: "a lighthouse, oil painting", seed: 1}}
"""
TEXT = {"prompt": "red hills", "negative": "grey"}
JOBS = {  # sampler and guidance as each repository's own page gives them
    "sd15": ("pndm", 7.5),
    "sd21": ("ddim", 7.5),
    "lcm": ("lcm", 8.5),
    "fp16_only": ("pndm", 7.5),
    "sdxl_base": ("euler", 5.0),
    "sdxl_turbo": ("euler-a", 1.0),
    "ssd_1b": ("euler", 9.0),
    "playground25": ("dpm++2m", 3.0),
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("hub")
    for layout in JOBS:
        LAYOUTS[layout](folder / layout)
    with serving({repo: folder / layout for repo, layout in REPOSITORIES.items() if layout in JOBS}) as hub:
        yield hub


def by_diffusers(layout: str, folder: Path, engine: Engine) -> Tensor:
    """The picture of diffusers' own pipeline with the repository's own scheduler, in [0, 1]."""
    import diffusers

    spec, settings = engine._plan.spec, engine._plan.settings
    given: dict[str, Any] = {"safety_checker": None, "feature_extractor": None, "image_encoder": None}
    if layout == "fp16_only":
        given["variant"] = "fp16"
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True, **given)
    pipeline.to(torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    [picture] = pipeline(
        TEXT["prompt"],
        **({} if layout == "lcm" else {"negative_prompt": TEXT["negative"]}),
        num_inference_steps=spec.steps,
        guidance_scale=engine._plan.timeline.state(0).guidance,
        width=settings.width,
        height=settings.height,
        generator=torch.Generator("cpu").manual_seed(7),
        output_type="pt",
    ).images
    assert isinstance(picture, Tensor)
    return picture


@pytest.mark.parametrize("layout", JOBS)
def test_a_repository_renders_as_diffusers_renders_it(
    layout: str, hub: Hub, open_engine: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used(hub, tmp_path, monkeypatch)
    [repository] = [repo for repo, name in REPOSITORIES.items() if name == layout]
    assert models.describe(repository, fingerprint=False).native_size == (64, 64)  # from configurations alone
    assert not [name for name in hub.fetched(repository) if name.endswith(".safetensors")]
    folder = models.find(repository, download=True)
    sampler, guidance = JOBS[layout]
    engine = open_engine(repository, f"sampler={sampler}", f"guidance={guidance}", "engine.batch=1")
    with torch.no_grad():
        [ours] = (decoded(engine, latents_of(engine, [0])) / 2 + 0.5).clamp(0, 1)
    assert psnr(ours, by_diffusers(layout, folder, engine)) > 60


def test_the_command_fetches_what_is_used_and_renders_it(hub: Hub, tmp_path: Path) -> None:
    """In a process of its own, as people start it; and again without the hub, once it is in the cache."""
    [repository] = [repo for repo, name in REPOSITORIES.items() if name == "sd15"]
    (tmp_path / "job.yaml").write_text(JOB.format(model=repository))
    hub.asked.clear()

    def render(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        home = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(ROOT)}
        line = [sys.executable, "-m", "render", *arguments, "job.yaml"]
        return subprocess.run(
            line, cwd=tmp_path, env={**os.environ, **home, **environment}, capture_output=True, text=True, check=False
        )

    done = render("run", "--local")
    assert (done.returncode, done.stderr.count("Fetching")) == (0, 0), done.stderr
    assert probe(tmp_path / "out/walk/video.mp4").frames == 2
    fetched = hub.fetched(repository)
    assert {"model_index.json", "unet/diffusion_pytorch_model.safetensors"} <= fetched
    assert not [name for name in fetched if name.startswith(("safety_checker", "feature_extractor", "v1-5-"))]
    assert not [name for name in fetched if name.endswith(".bin") or ".fp16." in name]
    for name in ("segments", "video.mp4"):
        (tmp_path / "out/walk" / name).rename(tmp_path / name)
    hub.asked.clear()
    again = render("run", "--local", HF_HUB_OFFLINE="1")
    assert (again.returncode, hub.asked) == (0, []), again.stderr
    assert (tmp_path / "out/walk/video.mp4").read_bytes() == (tmp_path / "video.mp4").read_bytes()
