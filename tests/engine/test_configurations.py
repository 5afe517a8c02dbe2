"""Configurations that are not the usual ones: each honoured field makes the picture of diffusers' own pipeline."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from render.engine.engine import Engine
from tests.engine.test_engine import by_engine, psnr

Open = Callable[..., Engine]
Make = Callable[..., Path]

slow = pytest.mark.slow
BETAS: dict[str, object] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}
CENTRED = {"latents_mean": [-1.6, 1.8, -1.3, 2.5], "latents_std": [8.4, 5.9, 6.5, 5.2], "scaling_factor": 0.5}
DDIM = ("DDIMScheduler", {"clip_sample": False})


@pytest.fixture
def variant(tmp_path: Path) -> Make:
    """``variant(model, "unet", time_cond_proj_dim=16)``: the model with a part made anew, with random weights."""

    def variant(model: Path, part: str, **changes: object) -> Path:
        folder = shutil.copytree(model, tmp_path / "model")
        if part == "scheduler":
            _reschedule(folder, changes)
        else:
            _remake(folder / part, changes)
        return folder

    return variant


def _reschedule(folder: Path, config: dict[str, object]) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", config["_class_name"]]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(config))


def _remake(part: Path, changes: dict[str, object]) -> None:
    import diffusers
    import transformers

    torch.manual_seed(1)
    before = json.loads((part / "config.json").read_text())
    if "architectures" in before:
        cls = getattr(transformers, before["architectures"][0])
        made = cls(transformers.CLIPTextConfig(**before | changes))
    else:
        made = getattr(diffusers, before["_class_name"]).from_config(before | changes)
    shutil.rmtree(part)
    made.save_pretrained(part)


def of_diffusers(folder: Path, scheduler: tuple[str, dict[str, Any]] | None = None) -> Tensor:
    """The first frame by diffusers' pipeline of the folder; ``scheduler`` replaces its own as documented."""
    import diffusers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of a steps_offset that it corrects
        pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, safety_checker=None, local_files_only=True)
    pipeline.to(torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    if scheduler:
        name, options = scheduler
        pipeline.scheduler = getattr(diffusers, name).from_config(pipeline.scheduler.config, **options)
    pictures: Tensor = pipeline(
        "red hills",
        negative_prompt="grey",
        num_inference_steps=4,
        guidance_scale=5.0,
        width=64,
        height=64,
        generator=torch.Generator("cpu").manual_seed(7),
        output_type="pt",
    ).images
    return pictures


def agree(open_engine: Open, folder: Path, scheduler: tuple[str, dict[str, Any]] | None, *overrides: str) -> None:
    engine = open_engine(folder, "size=64x64", "engine.batch=1", *overrides)
    assert psnr(by_engine(engine, [0]), of_diffusers(folder, scheduler)) > 60


@pytest.mark.parametrize(
    "backend", ["eager", pytest.param("compile", marks=pytest.mark.long), pytest.param("onnx", marks=slow)]
)
def test_latents_get_their_mean_and_deviation_back(
    backend: str, tiny_sdxl: Path, variant: Make, open_engine: Open
) -> None:
    folder = variant(tiny_sdxl, "vae", **CENTRED)
    agree(open_engine, folder, DDIM, "sampler=ddim", f"engine.backend={backend}")


EDM, EDM2M = "EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"
EDMS = {
    "Playground's own": (EDM2M, {}, "dpm++2m", None),
    "Euler of it": (EDM2M, {}, "euler", (EDM, {})),
    "exponential, v": (EDM, {"sigma_schedule": "exponential", "prediction_type": "v_prediction"}, "euler", None),
    "Karras of it": (EDM, {"sigma_schedule": "exponential"}, "euler-karras", (EDM, {"sigma_schedule": "karras"})),
    "numbers": (EDM, {"sigma_min": 0.01, "sigma_max": 40.0, "sigma_data": 1.0, "rho": 5.0}, "euler", None),
    "sigma_min": (EDM2M, {"final_sigmas_type": "sigma_min", "euler_at_final": True}, "dpm++2m", None),
}


@pytest.mark.parametrize(("name", "config", "sampler", "scheduler"), EDMS.values(), ids=EDMS)
def test_models_of_edm(
    name: str, config: Any, sampler: str, scheduler: Any, tiny_sdxl: Path, variant: Make, open_engine: Open
) -> None:
    folder = variant(tiny_sdxl, "scheduler", _class_name=name, **config)
    agree(open_engine, folder, scheduler, f"sampler={sampler}")


FLOW: dict[str, object] = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}
FLOWS = {
    "dpm++2m": None,
    "unipc": ("UniPCMultistepScheduler", {}),
    "dpm++2s": ("DPMSolverSinglestepScheduler", {"lower_order_final": True}),
}


@pytest.mark.parametrize(("sampler", "scheduler"), FLOWS.items(), ids=FLOWS)
def test_models_of_flow_matching(
    sampler: str, scheduler: Any, tiny_sdxl: Path, variant: Make, open_engine: Open
) -> None:
    folder = variant(tiny_sdxl, "scheduler", _class_name="DPMSolverMultistepScheduler", **BETAS, **FLOW)
    agree(open_engine, folder, scheduler, f"sampler={sampler}")


FLOW_CLASSES = {"euler": "FlowMatchEulerDiscreteScheduler", "heun": "FlowMatchHeunDiscreteScheduler"}


@pytest.mark.parametrize(("sampler", "name"), FLOW_CLASSES.items(), ids=FLOW_CLASSES)
def test_schedulers_of_flow_matching(
    sampler: str, name: str, tiny_sd: Path, variant: Make, open_engine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pipelines of UNets ask schedulers for two things more than those of transformers do."""
    import diffusers

    cls = getattr(diffusers, name)
    monkeypatch.setattr(cls, "init_noise_sigma", 1.0, raising=False)
    monkeypatch.setattr(cls, "scale_model_input", lambda _self, sample, _timestep: sample, raising=False)
    folder = variant(tiny_sd, "scheduler", _class_name=name, num_train_timesteps=1000, shift=3.0)
    agree(open_engine, folder, None, f"sampler={sampler}")
    again = open_engine(folder, "size=64x64", "engine.batch=1", "sampler=dpm++2m")
    expected = of_diffusers(folder, ("DPMSolverMultistepScheduler", FLOW | {"clip_sample": False}))
    assert psnr(by_engine(again, [0]), expected) > 60


@pytest.mark.parametrize("offset", [{"steps_offset": 0}, {}, {"steps_offset": 1}], ids=["0", "none", "1"])
@pytest.mark.parametrize("own", ["DDIMScheduler", pytest.param("PNDMScheduler", marks=slow)])
def test_steps_begin_where_the_pipeline_of_stable_diffusion_begins(
    own: str, offset: dict[str, int], tiny_sd: Path, variant: Make, open_engine: Open
) -> None:
    folder = variant(tiny_sd, "scheduler", _class_name=own, clip_sample=False, skip_prk_steps=True, **BETAS, **offset)
    for sampler, name in (("ddim", "DDIMScheduler"), ("pndm", "PNDMScheduler")):
        agree(open_engine, folder, None if name == own else (name, {"clip_sample": False}), f"sampler={sampler}")


@pytest.mark.parametrize(
    "backend", ["eager", pytest.param("compile", marks=pytest.mark.long), pytest.param("onnx", marks=slow)]
)
@pytest.mark.parametrize("family", ["sd", pytest.param("sdxl", marks=slow)])
def test_a_unet_that_is_told_the_guidance(
    family: str, backend: str, request: pytest.FixtureRequest, variant: Make, open_engine: Open
) -> None:
    folder = variant(request.getfixturevalue(f"tiny_{family}"), "unet", time_cond_proj_dim=17)
    agree(open_engine, folder, DDIM, "sampler=ddim", f"engine.backend={backend}")


def test_it_is_evaluated_once_a_step_and_told_each_frame_s_guidance(
    tiny_sd: Path, variant: Make, open_engine: Open
) -> None:
    folder = variant(tiny_sd, "unet", time_cond_proj_dim=16)
    engine = open_engine(folder, "size=64x64", "sampler=lcm")
    assert not any(step.guided for step in engine._sampler.steps)
    assert any("negative has no effect" in warning for warning in engine.warnings)
    states = [engine._plan.timeline.state(index) for index in (0, 1)]
    given = engine._sampler.inputs.conditionings(states)
    assert given.both is None
    assert given.conditional is not None
    assert given.conditional.guidance_NG is not None
    assert given.conditional.guidance_NG.shape == (2, 16)


@slow
def test_its_deep_features_are_told_too(tiny_sd: Path, variant: Make, open_engine: Open) -> None:
    """With one step everything is computed in full, by way of the two halves."""
    folder = variant(tiny_sd, "unet", time_cond_proj_dim=16)
    whole = by_engine(open_engine(folder, "sampler=ddim", "steps=1", "engine.batch=1"), [0])
    halves = by_engine(open_engine(folder, "sampler=ddim", "steps=1", "engine.batch=1", "engine.reuse_steps=2"), [0])
    assert psnr(whole, halves) > 100


UNETS: dict[str, dict[str, object]] = {
    "center_input_sample": {"center_input_sample": True},
    "flip_sin_to_cos": {"flip_sin_to_cos": False},
    "freq_shift": {"freq_shift": 1},
    "time_embedding_type": {"time_embedding_type": "fourier"},
    "time_embedding_dim": {"time_embedding_dim": 24},
    "time_embedding_act_fn": {"time_embedding_act_fn": "silu"},
    "timestep_post_act": {"timestep_post_act": "silu"},
    "no middle": {"mid_block_type": None},
    "mid_block_type": {"mid_block_type": "UNetMidBlock2DSimpleCrossAttn"},
    "mid_block_scale_factor": {"mid_block_scale_factor": 2},
    "only_cross_attention": {"only_cross_attention": True},
    "act_fn": {"act_fn": "gelu"},
    "norm": {"norm_eps": 1e-3, "norm_num_groups": 4},
    "use_linear_projection": {"use_linear_projection": True},
    "upcast_attention": {"upcast_attention": True},
    "addition_embed_type": {"addition_embed_type": "text", "addition_embed_type_num_heads": 4},
    "encoder_hid_dim": {"encoder_hid_dim": 32, "encoder_hid_dim_type": "text_proj", "cross_attention_dim": 24},
    "resnet_time_scale_shift": {"resnet_time_scale_shift": "scale_shift"},
    "resnet_skip_time_act": {"resnet_skip_time_act": True, "resnet_out_scale_factor": 1.4},
    "kernels": {"conv_in_kernel": 5, "conv_out_kernel": 5},
    "gated": {"attention_type": "gated"},
    "gated-text-image": {"attention_type": "gated-text-image"},
    "layers": {"layers_per_block": 2, "transformer_layers_per_block": 2, "attention_head_dim": 4},
    "dropout": {"dropout": 0.5},
}


@slow
@pytest.mark.parametrize("changes", UNETS.values(), ids=UNETS)
def test_a_unet_made_otherwise(changes: dict[str, object], tiny_sd: Path, variant: Make, open_engine: Open) -> None:
    agree(open_engine, variant(tiny_sd, "unet", **changes), DDIM, "sampler=ddim")


VAES: dict[str, dict[str, object]] = {
    "scaling_factor": {"scaling_factor": 0.7},
    "use_post_quant_conv": {"use_post_quant_conv": False, "use_quant_conv": False},
    "mid_block_add_attention": {"mid_block_add_attention": False},
    "act_fn": {"act_fn": "gelu"},
    "layers": {"layers_per_block": 2, "norm_num_groups": 4},
}


@slow
@pytest.mark.parametrize("changes", VAES.values(), ids=VAES)
def test_a_vae_made_otherwise(changes: dict[str, object], tiny_sd: Path, variant: Make, open_engine: Open) -> None:
    agree(open_engine, variant(tiny_sd, "vae", **changes), DDIM, "sampler=ddim")


TEXTS: dict[str, dict[str, object]] = {
    "hidden_act": {"hidden_act": "gelu"},
    "eos_token_id": {"eos_token_id": 2, "pad_token_id": 1},
    "layers": {"num_hidden_layers": 2, "layer_norm_eps": 1e-3, "num_attention_heads": 2},
    "use_attention_mask": {"use_attention_mask": True},
}


@slow
@pytest.mark.parametrize("changes", TEXTS.values(), ids=TEXTS)
def test_a_text_encoder_made_otherwise(
    changes: dict[str, object], tiny_sd: Path, variant: Make, open_engine: Open
) -> None:
    agree(open_engine, variant(tiny_sd, "text_encoder", **changes), DDIM, "sampler=ddim")
