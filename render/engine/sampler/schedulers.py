"""A sampler's name -> a scheduler of diffusers, with the model's own noise schedule.

Knows no pictures and steps nothing: `table.py` does.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from render.errors import EngineError
from render.spec import Sampler

__all__ = ["Scheduler", "make_scheduler"]


class Scheduler(Protocol):
    """What the sampler table needs of a diffusers scheduler."""

    timesteps: Tensor
    init_noise_sigma: Any  # a float or a tensor of one

    def set_timesteps(self, num_inference_steps: int) -> None: ...

    def scale_model_input(self, sample: Tensor, timestep: Tensor) -> Tensor: ...

    def step(self, model_output: Tensor, timestep: Tensor, sample: Tensor, *, return_dict: bool) -> Any: ...


def make_scheduler(sampler: Sampler, config: Mapping[str, Any]) -> Scheduler:
    """The scheduler of `sampler` for a model whose own scheduler has `config`, as ``Class.from_config`` makes it.

    Clipping and thresholding are off whatever the config says: they are meant for pixels, not for latents, and
    they are what would keep a scheduler from being linear. Raises EngineError where diffusers cannot make it.
    """
    import diffusers

    options = {**sampler.options, "clip_sample": False, "thresholding": False}
    try:
        scheduler = getattr(diffusers, sampler.scheduler).from_config(dict(config), **options)
    except (ValueError, TypeError, IndexError, NotImplementedError, ImportError) as error:
        raise EngineError(f"{sampler.name}: {sampler.scheduler} cannot sample this model: {error}") from error
    if not hasattr(scheduler, "init_noise_sigma"):  # a flow begins with noise of deviation 1, and scales no input
        scheduler.init_noise_sigma = 1.0
        scheduler.scale_model_input = _unscaled
    made: Scheduler = scheduler
    return made


def _unscaled(sample: Tensor, timestep: Tensor) -> Tensor:  # noqa: ARG001
    return sample
