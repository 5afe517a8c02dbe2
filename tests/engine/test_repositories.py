"""Repositories that people use, as the hub gives them: fetched, rendered, compared with diffusers' own pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from render import models
from render.engine.engine import Engine
from tests.engine.conftest import decoded, latents_of
from tests.engine.test_engine import Open, psnr
from tests.hub.layouts import LAYOUTS, REPOSITORIES
from tests.hub.server import Hub, serving, used

pytestmark = pytest.mark.slow

TEXT = {"prompt": "red hills", "negative": "grey"}
JOBS = {  # sampler and guidance as each repository's own page gives them
    "sd15": ("pndm", 7.5),
    "sd21": ("ddim", 7.5),
    "fp16_only": ("pndm", 7.5),
    "sdxl_base": ("euler", 5.0),
    "sdxl_turbo": ("euler-a", 1.0),
    "ssd_1b": ("euler", 9.0),
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("hub")
    for layout in JOBS:
        LAYOUTS[layout](folder / layout)
    with serving({repo: folder / layout for repo, layout in REPOSITORIES.items() if layout in JOBS}) as hub:
        yield hub


def by_diffusers(folder: Path, engine: Engine, **given: Any) -> Tensor:
    """The picture of diffusers' own pipeline with the repository's own scheduler, in [0, 1]."""
    import diffusers

    spec, settings = engine._plan.spec, engine._plan.settings
    pipeline = diffusers.DiffusionPipeline.from_pretrained(
        folder, local_files_only=True, safety_checker=None, feature_extractor=None, image_encoder=None, **given
    )
    pipeline.to(torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    [picture] = pipeline(
        TEXT["prompt"],
        negative_prompt=TEXT["negative"],
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
    theirs = by_diffusers(folder, engine, **({"variant": "fp16"} if layout == "fp16_only" else {}))
    assert psnr(ours, theirs) > 60
