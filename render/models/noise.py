"""What a model's scheduler configuration says of its noise: its kind, and what in it contradicts itself."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from render.models.families import Noise
from render.models.fields import SCHEDULER_CLASSES

__all__ = ["noise_mistake", "noise_of"]

Config = Mapping[str, Any]

CLIPS = ("DDIMParallelScheduler", "DDIMScheduler", "DDPMParallelScheduler", "DDPMScheduler")
"""Schedulers that clip unless their configuration says that they do not."""

LEAST = 1e-4
"""Less noise than this share, in all steps together, is lost in float32."""
PURE = 1e-12
"""A last alpha below it is 0 in what float32 makes of it; the usual ones are 0.005, and 2e-9 of a cosine."""


def noise_of(config: Config) -> Noise:
    """The kind of noise that a model was trained with: by betas, by sigmas (EDM), or by a flow."""
    if config.get("use_flow_sigmas") or config.get("prediction_type") == "flow_prediction":
        return "flow"
    return SCHEDULER_CLASSES.get(str(config.get("_class_name")), "betas")


def noise_mistake(config: Config, family: str) -> str | None:
    """What its fields say against each other, though each is right by itself; None where all is well."""
    named, predicts = str(config.get("_class_name")), config.get("prediction_type", "epsilon")
    kind = SCHEDULER_CLASSES.get(named, "betas")
    if kind == "betas" and bool(config.get("use_flow_sigmas")) != (predicts == "flow_prediction"):
        flows = "true" if config.get("use_flow_sigmas") else "false"
        return (
            f'prediction_type is "{predicts}" and use_flow_sigmas is {flows}: '
            'a flow has "flow_prediction" and true, any other model neither; write what the model was trained for'
        )
    if kind == "edm" and (predicts not in ("epsilon", "v_prediction") or config.get("use_flow_sigmas")):
        return f'prediction_type is "{predicts}": with {named} it is "epsilon" or "v_prediction"'
    if family == "sdxl" and named in CLIPS and config.get("clip_sample", True):
        return f"clip_sample is not there, and {named} would clip latents as if they were pixels; write false"
    betas, steps = config.get("trained_betas"), config.get("num_train_timesteps", 1000)
    if betas is not None and len(betas) != steps:
        return f"trained_betas holds {len(betas)} numbers, and num_train_timesteps is {steps}; write as many"
    return None if kind != "betas" or config.get("use_flow_sigmas") else _ends_wrong(config)


def _ends_wrong(config: Config) -> str | None:
    """Why no sampler begins where these betas end: no noise is there, or nothing else and nobody said so."""
    alpha = math.prod(1 - beta for beta in _betas(config))
    if alpha > 1 - LEAST:
        return "its betas add no noise: beta_start, beta_end or trained_betas are not those of a training; write those"
    if alpha < PURE:
        return (
            "its betas end in noise alone (alpha 0), where samplers divide by nothing; write those from before, and "
            "rescale_betas_zero_snr true if it was trained for zero terminal SNR"
        )
    return None


def _betas(config: Config) -> Iterator[float]:
    """As every scheduler of diffusers takes them; none of the cosine schedule, which ends right by itself."""
    given, kind = config.get("trained_betas"), config.get("beta_schedule", "linear")
    if given is not None:
        yield from given
        return
    if kind == "squaredcos_cap_v2":
        yield 0.99
        return
    power = 2 if kind == "scaled_linear" else 1
    first, last = (config.get(name, usual) ** (1 / power) for name, usual in (("beta_start", 1e-4), ("beta_end", 0.02)))
    steps = config.get("num_train_timesteps", 1000)
    for step in range(steps):
        yield (first + (last - first) * step / max(1, steps - 1)) ** power
