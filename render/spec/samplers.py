"""The samplers that a job spec can name, as plain data: which scheduler class of diffusers, with which options.

Knows no torch and no diffusers: the spec is checked and listed without them. `engine/sampler/schedulers.py` makes the
scheduler, `engine/sampler/table.py` writes it out as numbers.

Names follow AUTOMATIC1111 and ComfyUI in lower case without spaces: ``DPM++ 2M Karras`` is ``dpm++2m-karras``.
Left out: LMS and DPM++ SDE, because they need scipy and torchsde, and DPM adaptive, because the number of
its evaluations depends on the picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

__all__ = ["SAMPLERS", "Sampler"]

Option = str | int | float | bool


@dataclass(frozen=True)
class Sampler:
    """One sampler: a scheduler class of diffusers and what it overrides in the model's own scheduler config.

    `options` says everything that the name promises, also where it is the class's default: a model may ship a
    config that says otherwise. `stochastic` samplers draw fresh noise while they step. `note` is the common
    name and the source. `max_steps` is what the scheduler can do: distillation leaves 50 of a model's 1000.
    """

    name: str
    scheduler: str
    options: Mapping[str, Option]
    stochastic: bool
    note: str
    max_steps: int = 1000


_PLAIN: Final[dict[str, Option]] = {
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
}
_KARRAS: Final[dict[str, Option]] = {**_PLAIN, "use_karras_sigmas": True}
_DPMPP: Final[dict[str, Option]] = {"algorithm_type": "dpmsolver++", "solver_order": 2, "solver_type": "midpoint"}
_MULTISTEP: Final[dict[str, Option]] = {**_DPMPP, "use_lu_lambdas": False}
_SDE: Final[dict[str, Option]] = {**_MULTISTEP, "algorithm_type": "sde-dpmsolver++"}
_SINGLESTEP: Final[dict[str, Option]] = {**_DPMPP, "lower_order_final": True}  # without it odd steps are an error

_TABLE: Final = (
    Sampler("ddim", "DDIMScheduler", {}, False, "DDIM with eta 0; arXiv:2010.02502"),
    Sampler("ddpm", "DDPMScheduler", {}, True, "DDPM, wants many steps; arXiv:2006.11239"),
    Sampler("pndm", "PNDMScheduler", {"skip_prk_steps": True}, False, "PLMS, SD 1's own; arXiv:2202.09778"),
    Sampler("euler", "EulerDiscreteScheduler", _PLAIN, False, "Euler; arXiv:2206.00364, algorithm 2"),
    Sampler("euler-karras", "EulerDiscreteScheduler", _KARRAS, False, "Euler Karras; arXiv:2206.00364"),
    Sampler("euler-a", "EulerAncestralDiscreteScheduler", {}, True, "Euler a; k-diffusion sample_euler_ancestral"),
    Sampler("heun", "HeunDiscreteScheduler", _PLAIN, False, "Heun; arXiv:2206.00364, algorithm 1"),
    Sampler("heun-karras", "HeunDiscreteScheduler", _KARRAS, False, "Heun Karras; arXiv:2206.00364"),
    Sampler("dpm2", "KDPM2DiscreteScheduler", _PLAIN, False, "DPM2; k-diffusion sample_dpm_2"),
    Sampler("dpm2-karras", "KDPM2DiscreteScheduler", _KARRAS, False, "DPM2 Karras; k-diffusion sample_dpm_2"),
    Sampler("dpm2-a", "KDPM2AncestralDiscreteScheduler", _PLAIN, True, "DPM2 a; k-diffusion sample_dpm_2_ancestral"),
    Sampler("dpm2-a-karras", "KDPM2AncestralDiscreteScheduler", _KARRAS, True, "DPM2 a Karras; k-diffusion"),
    Sampler("dpm++2m", "DPMSolverMultistepScheduler", _MULTISTEP | _PLAIN, False, "DPM++ 2M; arXiv:2211.01095"),
    Sampler("dpm++2m-karras", "DPMSolverMultistepScheduler", _MULTISTEP | _KARRAS, False, "DPM++ 2M Karras"),
    Sampler("dpm++2m-sde", "DPMSolverMultistepScheduler", _SDE | _PLAIN, True, "DPM++ 2M SDE; arXiv:2211.01095"),
    Sampler("dpm++2m-sde-karras", "DPMSolverMultistepScheduler", _SDE | _KARRAS, True, "DPM++ 2M SDE Karras"),
    Sampler("dpm++2s", "DPMSolverSinglestepScheduler", _SINGLESTEP | _PLAIN, False, "DPM++ 2S; arXiv:2211.01095"),
    Sampler("dpm++2s-karras", "DPMSolverSinglestepScheduler", _SINGLESTEP | _KARRAS, False, "DPM++ 2S Karras"),
    Sampler("unipc", "UniPCMultistepScheduler", _PLAIN, False, "UniPC; arXiv:2302.04867"),
    Sampler("unipc-karras", "UniPCMultistepScheduler", _KARRAS, False, "UniPC Karras; arXiv:2302.04867"),
    Sampler("deis", "DEISMultistepScheduler", _PLAIN, False, "DEIS; arXiv:2204.13902"),
    Sampler("lcm", "LCMScheduler", {}, True, "LCM, for distilled models, 1-8 steps; arXiv:2310.04378", 50),
    Sampler("tcd", "TCDScheduler", {}, True, "TCD with eta 0.3, for distilled models; arXiv:2402.19159", 50),
)

SAMPLERS: Final[Mapping[str, Sampler]] = MappingProxyType({sampler.name: sampler for sampler in _TABLE})
