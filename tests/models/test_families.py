"""The table of families, and that a row of it is all that describing a model and planning a job ask for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from render.errors import ModelError
from render.models import FAMILIES, Family, ModelInfo, describe, num_parameters
from render.plan import Machine, Plan, resolve
from render.spec import JobSpec
from tests.models.folders import safetensors, sd_folder

NETWORKS = [family for family in FAMILIES.values() if family.pipeline]

SD3 = Family(
    "sd3",
    "SD3",
    pipeline="StableDiffusion3Pipeline",
    library="stable_diffusion_3",
    denoiser="transformer",
    text_encoders=("text_encoder", "text_encoder_2", "text_encoder_3"),
    tokenizers=("tokenizer", "tokenizer_2", "tokenizer_3"),
    patches=True,
    half_vae=False,
    low_memory_bytes=16 << 30,
)


def test_names_are_unique_and_stand_in_the_table() -> None:
    assert {name: family.name for name, family in FAMILIES.items()} == {name: name for name in FAMILIES}
    for column in ("pipeline", "library", "title"):
        values = [getattr(family, column) for family in NETWORKS]
        assert all(values)
        assert len(set(values)) == len(NETWORKS)


@pytest.mark.parametrize("family", NETWORKS, ids=lambda family: family.name)
def test_a_family_names_all_parts_that_its_pipeline_has(family: Family) -> None:
    """As diffusers' own class lists them, except what it marks as optional."""
    import diffusers

    pipeline = getattr(diffusers, str(family.pipeline))
    optional = {"safety_checker", "feature_extractor", "image_encoder"}
    assert set(family.parts) == set(pipeline._get_signature_keys(pipeline)[0]) - optional
    for alike in family.alike:
        assert set(family.parts) == set(getattr(diffusers, alike)._get_signature_keys(pipeline)[0]) - optional
    assert set(family.weighted) <= set(family.parts)
    assert len(family.graph_parts) == len(family.parts)
    assert len(family.tokenizers) == len(family.text_encoders)
    assert family.low_memory_bytes > 1 << 30


def test_what_is_left_out_is_an_argument_of_the_pipeline() -> None:
    import inspect

    import diffusers

    leaving = [family for family in NETWORKS if family.left_out]
    assert leaving, "no family leaves anything out: drop the column"
    for family in leaving:
        pipeline = getattr(diffusers, str(family.pipeline))
        assert set(family.left_out) <= set(inspect.signature(pipeline.__init__).parameters)


@pytest.fixture
def sd3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of a family that has a row and nothing else."""
    monkeypatch.setitem(FAMILIES, "sd3", SD3)  # type: ignore[arg-type]
    folder = sd_folder(tmp_path / "model", SD3.pipeline)
    (folder / "unet").rename(folder / "transformer")
    (folder / "transformer/config.json").write_text(
        json.dumps({"in_channels": 16, "sample_size": 128, "patch_size": 2})
    )
    (folder / "vae/config.json").write_text(json.dumps({"latent_channels": 16, "block_out_channels": [1, 2, 3, 4]}))
    safetensors(folder / "transformer/diffusion_pytorch_model.safetensors", weight=[5, 7])
    return folder


def test_a_row_is_enough_to_describe_and_plan(sd3: Path, spec_of: Callable[..., JobSpec]) -> None:
    info = describe(str(sd3))
    assert (info.family, info.native_size, info.latent_channels, info.size_step) == ("sd3", (1024, 1024), 16, 16)
    assert num_parameters(str(sd3), "denoiser") == 35
    card = Machine("cuda", "a small GPU", cores=8, memory_bytes=12 << 30, bf16=True, versions={})
    spec = spec_of(f"model={sd3}")
    settings = resolve(spec, card, info)
    assert (settings.dtype, settings.memory) == ("bf16", "low")
    plan = Plan(spec, settings, info)
    assert Plan.from_json(plan.to_json()) == plan


def test_every_part_of_a_family_is_summed(sd3: Path) -> None:
    before = describe(str(sd3)).fingerprint
    for part in SD3.parts:
        (sd3 / part).mkdir(exist_ok=True)
        (sd3 / part / "more.json").write_text(f'{{"part": "{part}"}}')
        after = describe(str(sd3)).fingerprint
        assert after != before, part
        before = after


def test_a_family_without_a_row_is_refused(tmp_path: Path) -> None:
    folder = sd_folder(tmp_path / "model", "StableDiffusion3Pipeline")
    with pytest.raises(ModelError, match=r"is a StableDiffusion3Pipeline; known: StableDiffusionPipeline, Stable"):
        describe(str(folder))
    with pytest.raises(ValueError, match="model family 'sd3'; known: testcard, sd, sdxl"):
        replace(ModelInfo("sd", (512, 512), 4, 8, {}, ""), family="sd3")
