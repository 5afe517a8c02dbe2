"""Schedulers of models' configurations: every field does what it does in diffusers, or is refused."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

import pytest

from render.engine.sampler.schedulers import make_scheduler
from render.engine.sampler.table import tabulate
from render.errors import EngineError
from render.models import ModelInfo
from render.models.fields.base import mistake
from render.models.fields.scheduler import SCHEDULER
from render.plan import sampling_mistakes
from render.plan.sampling import sampler_of
from render.spec import SAMPLERS, validate
from render.spec.document import parse

BASE: Mapping[str, object] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "timestep_spacing": "leading",
}
STEPS = 4

# One sampler a class: those with -karras in their names differ in options that no configuration decides.
EACH = ["ddim", "ddpm", "pndm", "euler", "euler-a", "heun", "dpm++2m", "dpm++2s", "unipc", "deis", "lcm", "tcd"]
SLOW_TO_MAKE = [
    pytest.param(name, marks=pytest.mark.slow) for name in ("dpm2", "dpm2-a", "dpm++2m-sde", "unipc-karras")
]

# A value of each field that is not the default, and with it what it needs to matter.
HONOURED: dict[str, dict[str, object]] = {
    "num_train_timesteps": {"num_train_timesteps": 500},
    "beta_start": {"beta_start": 0.001},
    "beta_end": {"beta_end": 0.02},
    "beta_schedule": {"beta_schedule": "squaredcos_cap_v2"},
    "trained_betas": {"trained_betas": [0.0001 + 0.00001 * step for step in range(1000)]},
    "prediction_type": {"prediction_type": "v_prediction"},
    "rescale_betas_zero_snr": {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
    "sigma_min": {"sigma_min": 0.05, "sigma_max": 10.0},
    "sigma_max": {"sigma_max": 10.0, "sigma_min": 0.05},
    "timestep_spacing": {"timestep_spacing": "trailing"},
    "steps_offset": {"steps_offset": 1},
    "interpolation_type": {"interpolation_type": "log_linear"},
    "timestep_type": {"timestep_type": "continuous", "prediction_type": "v_prediction"},
    "final_sigmas_type": {"final_sigmas_type": "sigma_min"},
    "set_alpha_to_one": {"set_alpha_to_one": False},
    "original_inference_steps": {"original_inference_steps": 20},
    "timestep_scaling": {"timestep_scaling": 0.01},
    "solver_order": {"solver_order": 1},
    "solver_type": {"solver_type": "bh1", "final_sigmas_type": "sigma_min"},
    "lower_order_final": {"lower_order_final": False, "final_sigmas_type": "sigma_min"},
    "euler_at_final": {"euler_at_final": True, "lower_order_final": False, "final_sigmas_type": "sigma_min"},
    "predict_x0": {"predict_x0": False, "final_sigmas_type": "sigma_min"},
    "disable_corrector": {"disable_corrector": [1, 2]},
    "lambda_min_clipped": {"lambda_min_clipped": -2.0, "timestep_spacing": "linspace"},
    "variance_type": {"variance_type": "fixed_large"},
}
ELSEWHERE = {"use_flow_sigmas", "shift", "flow_shift", "sigma_data", "rho", "sigma_schedule"}
"""Fields of EDM and flow matching: `tests/engine/test_configurations.py`."""

WITHOUT_EFFECT: dict[str, object] = {
    "algorithm_type": "dpmsolver",
    "skip_prk_steps": False,
    "use_karras_sigmas": True,
    "use_exponential_sigmas": True,
    "use_beta_sigmas": True,
    "use_lu_lambdas": True,
    "noise_sampler_seed": 3,
    "clip_sample": True,
    "clip_sample_range": 0.1,
    "sample_max_value": 0.1,
    "dynamic_thresholding_ratio": 0.1,
    "base_shift": 2.0,
    "max_shift": 2.0,
    "base_image_seq_len": 1,
    "max_image_seq_len": 1,
    "time_shift_type": "linear",
    "upscale_mode": "nearest",
    "tensor_format": "pt",
}


@functools.cache
def digest(sampler: str, config: str) -> str:
    """Of the numbers that a sampler runs on for a model of that scheduler configuration."""
    return tabulate(make_scheduler(SAMPLERS[sampler], json.loads(config)), STEPS).digest


def of_diffusers(sampler: str, config: Mapping[str, object]) -> str:
    """The same by a scheduler made as diffusers' documentation says: of the model's own one."""
    import diffusers

    wanted = SAMPLERS[sampler]
    cls = getattr(diffusers, wanted.scheduler)
    own = (cls if "UniPC" in wanted.scheduler else diffusers.EulerDiscreteScheduler).from_config(dict(config))
    made = cls.from_config(own.config, **wanted.options, clip_sample=False, thresholding=False)
    return tabulate(made, STEPS).digest


def test_every_honoured_field_has_a_value_here_and_every_one_without_effect() -> None:
    honoured = {field.name for field in SCHEDULER if field.verdict == "honoured"} - ELSEWHERE
    assert honoured - {"sigma_data"} == set(HONOURED) - {"variance_type"}  # refused where it is learned
    assert {field.name for field in SCHEDULER if field.verdict == "no effect"} == set(WITHOUT_EFFECT)


@pytest.mark.parametrize("sampler", EACH + SLOW_TO_MAKE)
@pytest.mark.parametrize("field", HONOURED)
def test_a_field_does_what_it_does_in_diffusers(field: str, sampler: str) -> None:
    config = {**BASE, **HONOURED[field]}
    assert mistake(config, SCHEDULER, "sd", strict=True) is None
    assert digest(sampler, json.dumps(config)) == of_diffusers(sampler, config)


@pytest.mark.parametrize("field", HONOURED)
def test_a_field_that_is_honoured_does_something(field: str) -> None:
    others = {name: value for name, value in HONOURED[field].items() if name != field}
    without, with_it = json.dumps({**BASE, **others}), json.dumps({**BASE, **HONOURED[field]})
    samplers = (*EACH, "euler-karras") if field.startswith("sigma_m") else EACH
    assert any(digest(sampler, without) != digest(sampler, with_it) for sampler in samplers)


@pytest.mark.parametrize("field", WITHOUT_EFFECT)
def test_a_field_without_effect_has_none(field: str) -> None:
    config = {**BASE, field: WITHOUT_EFFECT[field]}
    assert [digest(sampler, json.dumps(config)) for sampler in EACH] == [digest(one, json.dumps(BASE)) for one in EACH]


def job(sampler: str, steps: int = STEPS) -> Any:
    text = f"version: 1\nname: x\nmode: dream\nmodel: demo\nsampler: {sampler}\nsteps: {steps}\nframes: 2\n"
    return validate(parse(text + "keyframes:\n  - {at: 0, prompt: x, seed: 1}\n", name="job.yaml"))


def model(noise: Any, **config: object) -> ModelInfo:
    return ModelInfo("sd", (64, 64), 4, 8, config, "", noise=noise)


@pytest.mark.parametrize("snr", [True, False], ids=["zero-snr", "usual"])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("predicts", ["epsilon", "v_prediction", "sample"])
def test_a_sampler_is_refused_exactly_where_it_cannot_sample(predicts: str, spacing: str, snr: bool) -> None:
    config = {**BASE, "prediction_type": predicts, "timestep_spacing": spacing, "rescale_betas_zero_snr": snr}
    refused = {name for name in EACH if list(sampling_mistakes(job(name), model("betas", **config)))}
    failing = set()
    for name in EACH:
        try:
            digest(name, json.dumps(config))
        except EngineError:
            failing.add(name)
    assert refused == failing
    assert bool(refused) == (predicts == "sample" or (predicts == "epsilon" and snr))


def test_zero_terminal_snr_is_refused_by_what_it_is() -> None:
    config = {**BASE, "timestep_spacing": "trailing", "rescale_betas_zero_snr": True}
    [(path, message)] = sampling_mistakes(job("ddim"), model("betas", **config))
    assert path == ("sampler",)
    assert "zero terminal SNR" in message
    assert "write euler or dpm++2m" in message
    with pytest.raises(EngineError, match="its numbers are not finite"):
        tabulate(make_scheduler(SAMPLERS["ddim"], config), STEPS)


@pytest.mark.parametrize("noise", ["edm", "flow"])
def test_models_of_other_noise_have_their_samplers_and_name_them(noise: Any) -> None:
    config = {"_class_name": "EDMEulerScheduler"} if noise == "edm" else {"shift": 3.0}
    info = model(noise, **config)
    known = [name for name in SAMPLERS if not list(sampling_mistakes(job(name), info))]
    for name in known:
        table = tabulate(make_scheduler(sampler_of(job(name), info), config), STEPS)
        assert (table.num_noises > 0) == SAMPLERS[name].stochastic
    [(_, message)] = sampling_mistakes(job("ddim"), info)
    assert set(message.rsplit(": ", 1)[1].split(", ")) == set(known)


@pytest.mark.parametrize(
    ("sampler", "steps", "config", "words"),
    [
        ("ddim", 600, {"num_train_timesteps": 500}, "num_train_timesteps is 500"),
        ("lcm", 30, {"original_inference_steps": 20}, "original_inference_steps is 20"),
        ("deis", 4, {"algorithm_type": "sde-dpmsolver++"}, "algorithm_type is sde-dpmsolver"),
        ("unipc", 4, {"solver_type": "bh1"}, "its last step has no end"),
        ("unipc-karras", 4, {"predict_x0": False}, "its last step has no end"),
    ],
)
def test_what_the_configuration_has_no_room_for(sampler: str, steps: int, config: Any, words: str) -> None:
    [(_, message)] = sampling_mistakes(job(sampler, steps), model("betas", **config))
    assert words in message
    with pytest.raises(EngineError):
        tabulate(make_scheduler(SAMPLERS[sampler], {**BASE, **config}), steps)


def test_a_model_that_is_told_the_guidance_is_told_it_at_every_step() -> None:
    text = "version: 1\nname: x\nmode: dream\nmodel: demo\nframes: 2\nkeyframes:\n  - {at: 0, prompt: x, seed: 1}\n"
    spec = validate(parse(text + "engine: {guidance_interval: [0, 0.8]}\n", name="job.yaml"))
    told = ModelInfo("sd", (64, 64), 4, 8, dict(BASE), "", guidance_width=256)
    [(path, message)] = sampling_mistakes(spec, told)
    assert path == ("engine", "guidance_interval")
    assert "told the guidance at every step" in message
