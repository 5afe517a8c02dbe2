"""What a model's scheduler configuration says of its noise: its kind, and what in it contradicts itself."""

from collections.abc import Mapping
from typing import Any

from render.models.families import Noise
from render.models.fields import SCHEDULER_CLASSES

__all__ = ["noise_mistake", "noise_of"]

Config = Mapping[str, Any]

CLIPS = ("DDIMParallelScheduler", "DDIMScheduler", "DDPMParallelScheduler", "DDPMScheduler")
"""Schedulers that clip unless their configuration says that they do not."""


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
    return None
