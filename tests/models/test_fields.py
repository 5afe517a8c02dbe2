"""The fields of a model's configurations: the tables have all that diffusers has, and refusals name it."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from render.cli.jobs import check_model
from render.errors import ModelError, SpecError
from render.models import describe
from render.models.fields import SCHEDULER_CLASSES
from render.models.fields.base import ANYTHING, COMMON, Field, mistake
from render.models.fields.scheduler import SCHEDULER
from render.models.fields.text import TEXT
from render.models.fields.unet import UNET
from render.models.fields.vae import VAE
from render.spec import SAMPLERS, load
from tests.models.conftest import Change
from tests.models.folders import graph_folder

TABLES = {
    "scheduler/scheduler_config.json": SCHEDULER,
    "unet/config.json": UNET,
    "vae/config.json": VAE,
    "text_encoder/config.json": TEXT,
}
ROWS = [(path, field) for path, table in TABLES.items() for field in table if "sd" in (field.families or ("sd",))]


def parameters(cls: Any) -> dict[str, inspect.Parameter]:
    """What a class is configured with, by its signature."""
    made = inspect.signature(cls.__init__).parameters
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {name: one for name, one in made.items() if name != "self" and one.kind not in kinds}


def missing(cls: Any, fields: tuple[Field, ...]) -> list[str]:
    """Fields of a class that the table does not name."""
    return sorted(parameters(cls).keys() - {field.name for field in (*COMMON, *fields)})


CONFIGURED = [
    ("UNet2DConditionModel", UNET),
    ("AutoencoderKL", VAE),
    *((name, SCHEDULER) for name in SCHEDULER_CLASSES),
]
"""Every class of diffusers that a model's configuration may be of, with the table of its fields."""


@pytest.mark.parametrize(("name", "fields"), CONFIGURED, ids=[name for name, _ in CONFIGURED])
def test_every_field_that_diffusers_has_is_in_the_table(name: str, fields: tuple[Field, ...]) -> None:
    import diffusers

    if not hasattr(diffusers, name):
        pytest.skip(f"this version of diffusers has no {name}")
    assert missing(getattr(diffusers, name), fields) == [], "add a row: honoured, refused or without effect"


def test_every_field_that_transformers_has_is_in_the_table() -> None:
    from transformers import CLIPTextConfig

    assert missing(CLIPTextConfig, TEXT) == [], "add a row: honoured, refused or without effect"


def test_every_scheduler_that_diffusers_gives_these_pipelines_is_known_and_every_sampler_s() -> None:
    from diffusers.schedulers import KarrasDiffusionSchedulers

    known = {scheduler.name for scheduler in KarrasDiffusionSchedulers} | {one.scheduler for one in SAMPLERS.values()}
    assert known - SCHEDULER_CLASSES.keys() == set()


@pytest.mark.parametrize(("name", "fields"), CONFIGURED, ids=[name for name, _ in CONFIGURED])
def test_what_diffusers_writes_by_default_is_taken(name: str, fields: tuple[Field, ...]) -> None:
    import diffusers

    if not hasattr(diffusers, name):
        pytest.skip(f"this version of diffusers has no {name}")
    defaults = {key: one.default for key, one in parameters(getattr(diffusers, name)).items()}
    assert mistake(defaults, fields, "sd", strict=True) is None


def test_rows_say_what_is_done_and_why() -> None:
    for path, table in TABLES.items():
        said = [(field.name, family) for field in table for family in (field.families or ("sd", "sdxl"))]
        assert len(said) == len(set(said)), f"{path}: said twice"
        assert {field.verdict for field in table} <= {"honoured", "refused", "no effect"}
        assert all(field.reason for field in table)
        assert all(
            (field.values is ANYTHING) == (field.verdict == "no effect")
            for field in table
            if field.verdict != "honoured"
        )


@pytest.mark.parametrize(
    ("path", "field"),
    [
        pytest.param(path, field, id=f"{path.split('/')[0]}-{field.name}")
        for path, field in ROWS
        if field.values is not ANYTHING
    ],
)
def test_a_value_that_is_none_of_a_field_s_is_refused_by_name(path: str, field: Field, change: Change) -> None:
    with pytest.raises(ModelError) as refused:
        describe(change(path, **{field.name: {"another": "value"}}), fingerprint=False)
    message = str(refused.value)
    assert f"{path}: {field.name} is " in message
    assert '{"another": "value"}' in message
    assert (field.reason if field.verdict == "refused" else field.values.words) in message


@pytest.mark.parametrize(
    ("path", "field"),
    [
        pytest.param(path, field, id=f"{path.split('/')[0]}-{field.name}")
        for path, field in ROWS
        if field.verdict == "no effect"
    ],
)
def test_a_field_without_effect_may_say_anything(path: str, field: Field, change: Change) -> None:
    describe(change(path, **{field.name: "whatever"}), fingerprint=False)


@pytest.mark.parametrize("path", TABLES)
def test_a_field_that_is_not_known_is_refused_unless_it_is_null_or_a_note(path: str, change: Change) -> None:
    describe(change(path, future=None, _note="by diffusers"), fingerprint=False)
    with pytest.raises(ModelError, match=f'{path}: "future" is 3, a field that is not known here .* delete it'):
        describe(change(path, future=3), fingerprint=False)


SCHEDULING = "scheduler/scheduler_config.json"
XL = "StableDiffusionXLPipeline"


def test_what_a_plan_has_to_know_of_them(change: Change) -> None:
    centred = {"latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}
    assert describe(change("vae/config.json", XL, **centred), fingerprint=False).centred
    assert describe(change("unet/config.json", time_cond_proj_dim=256), fingerprint=False).guidance_width == 256
    for name, kind in SCHEDULER_CLASSES.items():
        assert describe(change("scheduler/scheduler_config.json", _class_name=name), fingerprint=False).noise == kind
    flow = {"_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": True, "prediction_type": "flow_prediction"}
    assert describe(change("scheduler/scheduler_config.json", **flow), fingerprint=False).noise == "flow"


@pytest.mark.parametrize("name", SCHEDULER_CLASSES)
@pytest.mark.parametrize("written", [{}, {"_class_name": None}])
def test_a_scheduler_that_the_index_alone_names_is_of_its_noise(
    name: str, written: dict[str, object], change: Change
) -> None:
    """EDM and flows were sampled as betas: another picture, and no word."""
    model = Path(change(SCHEDULING, **written))
    index = json.loads((model / "model_index.json").read_text()) | {"scheduler": ["diffusers", name]}
    (model / "model_index.json").write_text(json.dumps(index))
    info = describe(str(model), fingerprint=False)
    assert (info.noise, info.scheduler["_class_name"]) == (SCHEDULER_CLASSES[name], name)


def test_a_tiny_vae_does_not_know_the_model_s_mean_and_deviation(change: Change, tmp_path: Path) -> None:
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    config = {"_class_name": "AutoencoderTiny", "latent_channels": 4, "decoder_block_out_channels": [64] * 4}
    (tiny / "config.json").write_text(json.dumps(config))
    model = change("vae/config.json", XL, latents_mean=[0.0] * 4, latents_std=[1.0] * 4)
    with pytest.raises(ModelError, match=r"latents_mean in its vae/config\.json.* leave engine\.tiny_vae out"):
        describe(model, str(tiny), fingerprint=False)


def test_of_graphs_what_their_exporters_note_is_no_matter_and_a_mask_is_refused(tmp_path: Path) -> None:
    folder = graph_folder(tmp_path / "graphs", dtype="fp16")
    unet, text = folder / "unet/config.json", folder / "text_encoder/config.json"
    unet.write_text(json.dumps(json.loads(unet.read_text()) | {"exported_by": "another"}))
    describe(str(folder), fingerprint=False)
    text.parent.mkdir(exist_ok=True)
    text.write_text(json.dumps({"use_attention_mask": True}))
    with pytest.raises(ModelError, match="use_attention_mask is true: graphs take no mask"):
        describe(str(folder), fingerprint=False)


@pytest.mark.parametrize(
    ("path", "values", "sampler", "words"),
    [
        ("unet/config.json", {"class_embed_type": "timestep"}, "euler", "unet/config.json: class_embed_type is"),
        (SCHEDULING, {"_class_name": "EDMEulerScheduler"}, "ddim", "samplers for it: euler, euler-karras, dpm++2m"),
        (SCHEDULING, {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}, "ddim", "zero terminal SNR"),
    ],
)
def test_check_says_so_and_names_the_line(
    path: str, values: dict[str, object], sampler: str, words: str, change: Change, tmp_path: Path
) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(
        f"version: 1\nname: x\nmode: dream\nmodel: {change(path, **values)}\nsampler: {sampler}\nframes: 2\n"
        "keyframes:\n  - {at: 0, prompt: hills, seed: 1}\n"
    )
    with pytest.raises(SpecError) as refused:
        check_model(load(job), trust=False)
    assert str(refused.value).startswith(f"{job}:{4 if 'unet' in path else 5}: ")
    assert words in str(refused.value)
