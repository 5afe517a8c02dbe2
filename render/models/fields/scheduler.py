"""The fields of ``scheduler_config.json``: those of all schedulers of diffusers that go with Stable Diffusion and SDXL.

A model's own class says what its noise is like; how it is sampled says the job. So all that a sampler's name promises
is the job's, and all that belongs to the model's training is honoured.
"""

from collections.abc import Mapping

from render.models.families import Noise
from render.models.fields.base import (
    FLAG,
    NULL,
    Field,
    honoured,
    no_effect,
    number,
    numbers,
    one_of,
    refused,
    whole,
)

__all__ = ["CLASSES", "SCHEDULER"]

CLASSES: Mapping[str, Noise] = {
    **dict.fromkeys(
        (
            "DDIMParallelScheduler",
            "DDIMScheduler",
            "DDPMParallelScheduler",
            "DDPMScheduler",
            "DEISMultistepScheduler",
            "DPMSolverMultistepScheduler",
            "DPMSolverSDEScheduler",
            "DPMSolverSinglestepScheduler",
            "EulerAncestralDiscreteScheduler",
            "EulerDiscreteScheduler",
            "HeunDiscreteScheduler",
            "KDPM2AncestralDiscreteScheduler",
            "KDPM2DiscreteScheduler",
            "LCMScheduler",
            "LMSDiscreteScheduler",
            "PNDMScheduler",
            "TCDScheduler",
            "UniPCMultistepScheduler",
        ),
        "betas",
    ),
    "EDMDPMSolverMultistepScheduler": "edm",
    "EDMEulerScheduler": "edm",
    "FlowMatchEulerDiscreteScheduler": "flow",
    "FlowMatchHeunDiscreteScheduler": "flow",
    "FlowMatchLCMScheduler": "flow",
}
"""diffusers' classes that a model's configuration may name -> the kind of noise they are of."""

_TRAINING = "the model was trained with it"
_UNCLIPPED = "latents are not clipped: it is meant for pixels"
_JOB = "the job's sampler says it"
_SHIFTING = "it belongs to use_dynamic_shifting, which is refused"

SCHEDULER: tuple[Field, ...] = (
    # the noise of the training
    *honoured(whole(1, 100_000), "num_train_timesteps", reason=_TRAINING),
    *honoured(number(0, 1), "beta_start", "beta_end", reason=_TRAINING),
    *honoured(one_of("linear", "scaled_linear", "squaredcos_cap_v2"), "beta_schedule", reason=_TRAINING),
    *honoured(numbers(0, 1).or_null, "trained_betas", reason=_TRAINING),
    *honoured(
        one_of("epsilon", "v_prediction", "sample", "flow_prediction"), "prediction_type", reason="what the UNet gives"
    ),
    *honoured(FLAG, "rescale_betas_zero_snr", reason="samplers that cannot start from pure noise are refused"),
    *honoured(number(1e-6, 1e6), "sigma_data", "rho", reason=_TRAINING),
    *honoured(one_of("karras", "exponential"), "sigma_schedule", reason=_TRAINING),
    *honoured(number(1e-6, 1e6).or_null, "sigma_min", "sigma_max", reason=_TRAINING),
    *honoured(FLAG, "use_flow_sigmas", reason="the model was trained by flow matching"),
    *honoured(number(1e-3, 1e3), "shift", "flow_shift", reason="how its flow is shifted to the noisy end"),
    # where its steps stand
    *honoured(one_of("linspace", "leading", "trailing"), "timestep_spacing", reason="where steps stand"),
    *honoured(whole(0, 1000), "steps_offset", reason="where steps stand"),
    *honoured(one_of("linear", "log_linear"), "interpolation_type", reason="where sigmas stand"),
    *honoured(one_of("discrete", "continuous"), "timestep_type", reason="what the UNet is told of the noise"),
    *honoured(one_of("zero", "sigma_min"), "final_sigmas_type", reason="where the last step ends"),
    *honoured(FLAG, "set_alpha_to_one", reason="where the last step ends"),
    *honoured(whole(1, 100_000), "original_inference_steps", reason="the steps of the distillation"),
    *honoured(number(0, 1e6), "timestep_scaling", reason="the boundary of the distillation"),
    # how samplers step that leave it open
    *honoured(whole(1, 3), "solver_order", reason="deis and unipc leave it open"),
    *honoured(one_of("midpoint", "heun", "logrho", "bh1", "bh2"), "solver_type", reason="unipc leaves it open"),
    *honoured(FLAG, "lower_order_final", "euler_at_final", reason="the last steps of multistep samplers"),
    *honoured(FLAG, "predict_x0", reason="what unipc corrects"),
    *honoured(numbers(0, 100_000), "disable_corrector", reason="the steps that unipc does not correct"),
    *honoured(number(float("-inf"), 100), "lambda_min_clipped", reason="where the noise ends"),
    Field(
        "variance_type",
        "refused",
        "the UNet's output would hold a variance too, which is not built; use a model that gives noise alone",
        one_of(None, "fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"),
    ),
    # what cannot be a table of numbers
    refused("thresholding", one_of(False), "it is meant for pixels and spoils latents; write false"),
    refused("clip_sample", one_of(False), "diffusers' SDXL would clip latents as if they were pixels; write false").of(
        "sdxl"
    ),
    *(field.of("sd") for field in no_effect(f"{_UNCLIPPED}, and diffusers' pipeline turns it off", "clip_sample")),
    *no_effect(_UNCLIPPED, "clip_sample_range", "sample_max_value", "dynamic_thresholding_ratio"),
    # of flows and forks that no model of these families has
    refused(
        "use_dynamic_shifting", one_of(False), "a shift by the picture's size is not built; write false, and a shift"
    ),
    *no_effect(_SHIFTING, "base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len", "time_shift_type"),
    refused("shift_terminal", NULL, "a flow that ends before its end is not built; write null"),
    refused("invert_sigmas", one_of(False), "a flow that runs backwards is not built; write false"),
    refused("stochastic_sampling", one_of(False), "how it is sampled says the job; write false"),
    refused("scale_factors", NULL, "pictures that grow while they are sampled are not built; write null"),
    *no_effect("it belongs to scale_factors, which is refused", "upscale_mode"),
    refused("solver_p", NULL, "a scheduler inside a scheduler is not built; write null"),
    refused("predict_epsilon", one_of(True), "diffusers ignores it by now; write prediction_type: sample"),
    # what the job says
    *no_effect(_JOB, "algorithm_type", "skip_prk_steps", "use_karras_sigmas", "use_exponential_sigmas"),
    *no_effect(_JOB, "use_beta_sigmas", "use_lu_lambdas", "noise_sampler_seed"),
    *no_effect("old diffusers could compute without torch", "tensor_format"),
)
"""Every field, and what is done with it."""
