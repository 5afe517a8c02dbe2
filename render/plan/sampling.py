"""A job's sampler on its model's noise: which scheduler of diffusers that is, or why there is none. Pure.

A sampler's name says how it steps; a model's scheduler configuration says what its noise is like. Most models go by
betas, and each sampler has a class of diffusers for these (`render.spec.SAMPLERS`). Models of EDM and of flow matching
have classes of their own, for the samplers of the two tables here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from render.models import ModelInfo
from render.spec import SAMPLERS, JobSpec, Mistake, Sampler

__all__ = ["sampler_of", "sampling_mistakes"]

Options = Mapping[str, str | int | float | bool]
Scheduler = tuple[str, Options]

_DPMPP: Final[Options] = {"algorithm_type": "dpmsolver++", "solver_order": 2, "solver_type": "midpoint"}
_SDE: Final[Options] = {**_DPMPP, "algorithm_type": "sde-dpmsolver++"}
_KARRAS: Final[Options] = {"sigma_schedule": "karras"}

EDM: Final[Mapping[str, Scheduler]] = {
    "euler": ("EDMEulerScheduler", {}),
    "euler-karras": ("EDMEulerScheduler", _KARRAS),
    "dpm++2m": ("EDMDPMSolverMultistepScheduler", _DPMPP),
    "dpm++2m-karras": ("EDMDPMSolverMultistepScheduler", {**_DPMPP, **_KARRAS}),
    "dpm++2m-sde": ("EDMDPMSolverMultistepScheduler", _SDE),
    "dpm++2m-sde-karras": ("EDMDPMSolverMultistepScheduler", {**_SDE, **_KARRAS}),
}
"""Samplers of models with EDM's preconditioning (arXiv:2206.00364, table 1); plain names take the model's schedule."""

_FLOW: Final[Options] = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}

FLOW: Final[Mapping[str, Scheduler]] = {
    "euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "heun": ("FlowMatchHeunDiscreteScheduler", {}),
    "lcm": ("FlowMatchLCMScheduler", {}),
    "dpm++2m": ("DPMSolverMultistepScheduler", _FLOW),
    "dpm++2m-sde": ("DPMSolverMultistepScheduler", _FLOW),
    "dpm++2s": ("DPMSolverSinglestepScheduler", _FLOW),
    "unipc": ("UniPCMultistepScheduler", _FLOW),
}
"""Samplers of models of flow matching (arXiv:2210.02747); their options come on top of those for betas."""

NO_SAMPLES: Final = ("PNDM", "EulerAncestral", "KDPM2")
"""Schedulers that cannot step from a predicted picture, by how their names begin."""

LEADING: Final = ("DDIMScheduler", "DDPMScheduler", "PNDMScheduler")
"""Schedulers whose steps lead where a configuration does not say how they are spaced."""

DISTILLED: Final = ("LCMScheduler", "TCDScheduler")
"""Schedulers that step as the distillation did, from the last timestep on, however steps are spaced."""

PURE_NOISE: Final = (
    "the model's noise ends in noise alone (rescale_betas_zero_snr, zero terminal SNR), and no picture follows from it "
    "by predicted noise (epsilon); write euler or dpm++2m, which begin a little before, or, if it was trained for v, "
    "prediction_type v_prediction in its scheduler_config.json"
)


def sampler_of(spec: JobSpec, model: ModelInfo) -> Sampler:
    """The job's sampler with the scheduler class, and the options, that go with the model's noise."""
    sampler, config = SAMPLERS[spec.sampler], model.scheduler
    if model.noise == "edm" and sampler.name in EDM:
        name, options = EDM[sampler.name]
        return replace(sampler, scheduler=name, options=options)
    if model.noise == "flow" and sampler.name in FLOW:
        name, options = FLOW[sampler.name]
        shift = config.get("shift", config.get("flow_shift", 1.0))
        return replace(sampler, scheduler=name, options={**sampler.options, **options, _shift_name(name): shift})
    return replace(sampler, options={**sampler.options, **_offset(sampler.scheduler, model)})


def _offset(scheduler: str, model: ModelInfo) -> Options:
    """Where diffusers' pipeline of Stable Diffusion corrects a ``steps_offset`` that is not 1, and it matters.

    A model's own scheduler is corrected too where nothing is written; one made of it then takes its own default.
    """
    config = model.scheduler
    if model.family != "sd" or scheduler in DISTILLED:
        return {}
    spacing = config.get("timestep_spacing", "leading" if scheduler in LEADING else "linspace")
    given = config.get("steps_offset", 0 if config.get("_class_name") == scheduler else 1)
    return {"steps_offset": 1} if spacing == "leading" and given != 1 else {}


def sampling_mistakes(spec: JobSpec, model: ModelInfo) -> Iterator[Mistake]:
    """Where the job's sampler cannot sample the model, whichever machine renders it."""
    config, sampler = model.scheduler, spec.sampler
    known = {"edm": EDM, "flow": FLOW}.get(model.noise, SAMPLERS)
    if sampler not in known:
        kind = {"edm": "EDM's preconditioning", "flow": "flow matching"}[model.noise]
        yield ("sampler",), f"{sampler}: this model was trained with {kind}; samplers for it: {', '.join(known)}"
        return
    scheduler = sampler_of(spec, model).scheduler
    for obstacle in _obstacles(scheduler, config):
        yield ("sampler",), f"{sampler}: {obstacle}"
    yield from _step_mistakes(spec, scheduler, config)
    if model.guidance_width and spec.engine.guidance_interval:
        yield ("engine", "guidance_interval"), "this model is told the guidance at every step; leave the interval out"


def _obstacles(scheduler: str, config: Mapping[str, Any]) -> Iterator[str]:
    """What of a model's configuration a scheduler of diffusers cannot do, with the cure."""
    if config.get("prediction_type") == "sample" and scheduler.startswith(NO_SAMPLES):
        yield 'it cannot sample a model of prediction_type "sample"; write euler or ddim'
    if scheduler.startswith("DEIS") and str(config.get("algorithm_type")).startswith("sde-"):
        yield f"the model's algorithm_type is {config['algorithm_type']}; write dpm++2m-sde"
    endless = config.get("solver_type") == "bh1" or config.get("predict_x0") is False
    if scheduler.startswith("UniPC") and endless and config.get("final_sigmas_type", "zero") == "zero":
        yield "its last step has no end with bh1, or without predict_x0; write dpm++2m, or final_sigmas_type sigma_min"
    if _starts_from_pure_noise(scheduler, config):
        yield PURE_NOISE


def _starts_from_pure_noise(scheduler: str, config: Mapping[str, Any]) -> bool:
    """Whether it divides by the last alpha where that is 0. Others of diffusers' classes set it to 2**-24."""
    if not config.get("rescale_betas_zero_snr") or config.get("prediction_type", "epsilon") != "epsilon":
        return False
    if scheduler in DISTILLED:
        return True
    return scheduler in ("DDIMScheduler", "DDPMScheduler") and config.get("timestep_spacing", "leading") != "leading"


def _step_mistakes(spec: JobSpec, scheduler: str, config: Mapping[str, Any]) -> Iterator[Mistake]:
    """More steps than the model was trained, or distilled, with."""
    most = {"num_train_timesteps": 1000}
    if scheduler in DISTILLED:
        most["original_inference_steps"] = 50
    for name, default in most.items():
        if spec.steps > (limit := config.get(name, default)):
            yield (
                ("steps",),
                f"{spec.steps}: the model's {name} is {limit}; write at most that",
            )


def _shift_name(scheduler: str) -> str:
    return "shift" if scheduler.startswith("FlowMatch") else "flow_shift"
