"""Repositories of the hub, in the layouts that people use: fetched and rendered, or refused with the cause."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from render.video.reader import probe
from tests.hub.layouts import LAYOUTS
from tests.hub.server import Fault, Hub, serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
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
Render = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("hub")
    served = {SD15: "sd15", "stabilityai/stable-diffusion-2-1": "sd21", "segmind/SSD-1B": "ssd_1b"}
    repositories = {repo: folder / layout for repo, layout in {**served, "someone/gated": "sd15"}.items()}
    for layout in served.values():
        (folder / layout).mkdir()
        LAYOUTS[layout](folder / layout)
    gated = Fault(401, "GatedRepo", "Access to model someone/gated is restricted.")
    with serving(repositories, {"someone/gated": gated}) as hub:
        yield hub


@pytest.fixture
def render(hub: Hub, tmp_path: Path) -> Render:
    """``render("check", model)``: the command in a process of its own, with a cache of its own."""

    def render(command: str, model: str, *options: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "job.yaml").write_text(JOB.format(model=model))
        home = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(ROOT)}
        line = [sys.executable, "-m", "render", command, "job.yaml", *options]
        return subprocess.run(
            line, cwd=tmp_path, env={**os.environ, **home}, capture_output=True, text=True, check=False
        )

    return render


@pytest.mark.parametrize("model", [SD15, "stabilityai/stable-diffusion-2-1", "segmind/SSD-1B"])
def test_a_repository_is_fetched_as_far_as_it_is_used_and_rendered(
    model: str, hub: Hub, render: Render, tmp_path: Path
) -> None:
    done = render("run", model, "--local")
    assert done.returncode == 0, done.stderr
    assert probe(tmp_path / "out/walk/video.mp4").frames == 2
    fetched = hub.fetched(model)
    assert {"model_index.json", "unet/diffusion_pytorch_model.safetensors"} <= fetched
    assert not [name for name in fetched if name.startswith(("safety_checker", "feature_extractor", "v1-5-"))]
    assert not [name for name in fetched if name.endswith(".bin") or ".fp16." in name]


def test_a_gated_repository_is_refused_by_check(render: Render) -> None:
    done = render("check", "someone/gated")
    assert done.returncode == 2
    assert "'someone/gated'" in done.stderr
    assert "accept their terms, then `hf auth login` with a token of that account" in done.stderr
