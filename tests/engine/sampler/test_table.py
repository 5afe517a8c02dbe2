"""The sampler table against diffusers' own loops, and the denoise loop against both."""

from __future__ import annotations

import functools
import inspect
import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from render.engine.noise import seeded_noise, seeded_step_noises
from render.engine.sampler.denoise import denoise
from render.engine.sampler.schedulers import make_scheduler
from render.engine.sampler.table import SamplerTable, tabulate
from render.errors import EngineError
from render.spec import SAMPLERS

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # diffusers on numpy 2
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]

SHAPE = (4, 6, 5)  # C, H, W: no multiple of a vector register, so that kernels have edges to get wrong

LEADING: Mapping[str, object] = {  # Stable Diffusion 1.5's scheduler_config.json
    "_class_name": "PNDMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "trained_betas": None,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
}
TRAILING = {
    **LEADING,
    "_class_name": "EulerDiscreteScheduler",
    "timestep_spacing": "trailing",
    "steps_offset": 0,
    "rescale_betas_zero_snr": True,  # arXiv:2305.08891; starts from sigma 4096 where the class knows how
}
CONFIGS = {
    "leading-epsilon": {**LEADING, "prediction_type": "epsilon"},
    "leading-v": {**LEADING, "prediction_type": "v_prediction"},
    "trailing-v": {**TRAILING, "prediction_type": "v_prediction"},
}

ROUND_TO_FLOAT32 = {"EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler"}
"""These cast the latents to float32 in every step; the table does not."""

every_sampler = pytest.mark.parametrize("name", SAMPLERS)


@functools.cache
def scheduler_of(name: str, config: str = "leading-epsilon") -> Any:
    """Made once: DPM2 takes 0.2 s to construct. `set_timesteps` starts a scheduler anew."""
    return make_scheduler(SAMPLERS[name], CONFIGS[config])


@functools.cache
def table_of(name: str, steps: int, config: str = "leading-epsilon") -> SamplerTable:
    return tabulate(scheduler_of(name, config), steps)


def model(x: Tensor, timestep: Any) -> Tensor:
    """Stands in for a UNet: nonlinear in x, neighbours talk to each other, different at every timestep."""
    return 0.8 * torch.tanh(x + 0.3 * torch.roll(x, 1, dims=-1)) + 0.1 * math.cos(float(timestep) / 150)


def evaluate(x_BCHW: Tensor, timestep: Tensor, index: int) -> Tensor:
    return model(x_BCHW, timestep)


def diffusers_loop(scheduler: Any, steps: int, noise: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """What diffusers' pipelines do with a scheduler, in the type of `noise`."""
    scheduler.set_timesteps(steps)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)  # Karras timesteps are rounded: the first may come twice, and not be found
    extra = {} if generator is None else {"generator": generator}
    x: Tensor = noise * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        output = model(scheduler.scale_model_input(x, timestep), timestep)
        (x, *_) = scheduler.step(output, timestep, x, return_dict=False, **extra)
    return x


def table_loop(table: SamplerTable, noise: Tensor, step_noises: Tensor) -> Tensor:
    """The formula of the table in float64, term by term: nothing of `denoise` in it."""
    inputs = [noise]
    for i in range(table.num_evaluations + 1):
        terms = [float(c) * v for c, v in zip(table.coefficients[i], inputs, strict=False)]
        terms += [float(n) * z for n, z in zip(table.noise_coefficients[i], step_noises, strict=True)]
        x = torch.stack(terms).sum(0)
        if i < table.num_evaluations:
            inputs.append(model(x * float(table.input_scale[i]), table.timesteps[i]))
    return x


def feed(monkeypatch: pytest.MonkeyPatch, scheduler: Any, noises: Tensor) -> Iterator[Tensor]:
    """Let `scheduler` draw `noises`, in order. Returns what is left of them."""
    left: Iterator[Tensor] = iter(noises)
    module = sys.modules[type(scheduler).__module__]
    if hasattr(module, "randn_tensor"):
        monkeypatch.setattr(module, "randn_tensor", lambda *_args, **_kwargs: next(left))
    return left


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def relative_error(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).abs().max() / expected.abs().max())


@every_sampler
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("steps", [5, *(pytest.param(steps, marks=pytest.mark.slow) for steps in (12, 30))])
def test_table_does_what_the_scheduler_does(
    name: str, config: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(name, steps, config)
    noise, step_noises = random(1, 1, *SHAPE), random(2, table.num_noises, 1, *SHAPE)
    left = feed(monkeypatch, scheduler_of(name, config), step_noises)

    expected = diffusers_loop(scheduler_of(name, config), steps, noise)

    assert next(left, None) is None, "the scheduler draws fewer noises than the table says"
    tolerance = 1e-6 if SAMPLERS[name].scheduler in ROUND_TO_FLOAT32 else 1e-12
    assert relative_error(table_loop(table, noise, step_noises), expected) < tolerance


@every_sampler
def test_denoise_in_float32_follows_the_float64_loop(name: str) -> None:
    table = table_of(name, 12)
    noise, step_noises = random(1, 2, *SHAPE), random(2, table.num_noises, 2, *SHAPE)

    actual = denoise(evaluate, table, noise.float(), step_noises.float() if table.num_noises else None)

    assert actual.dtype == torch.float32
    assert relative_error(actual, table_loop(table, noise, step_noises)) < 5e-6


@every_sampler
def test_a_seed_gives_the_latents_of_a_diffusers_loop_with_a_generator(name: str) -> None:
    table = table_of(name, 12)
    generator = torch.Generator("cpu").manual_seed(77)
    noise = torch.randn((1, *SHAPE), generator=generator)
    expected = diffusers_loop(scheduler_of(name), 12, noise, generator if SAMPLERS[name].stochastic else None)

    step_noises = seeded_step_noises(77, SHAPE, table.num_noises)[:, None] if table.num_noises else None
    actual = denoise(evaluate, table, seeded_noise(77, SHAPE)[None], step_noises)

    assert relative_error(actual, expected) < 5e-6


@every_sampler
def test_stochastic_says_whether_noise_is_drawn(name: str) -> None:
    assert (table_of(name, 5).num_noises > 0) is SAMPLERS[name].stochastic


@every_sampler
def test_options_are_known_to_the_class_and_set_and_clipping_is_off(name: str) -> None:
    scheduler: Any = make_scheduler(SAMPLERS[name], {**LEADING, "clip_sample": True, "thresholding": True})
    known = inspect.signature(type(scheduler)).parameters
    off = {"clip_sample": False, "thresholding": False}
    wanted = {**{key: value for key, value in off.items() if key in known}, **SAMPLERS[name].options}
    assert wanted.keys() <= known.keys()
    assert {key: scheduler.config[key] for key in wanted} == wanted


def test_options_win_over_a_model_that_says_otherwise() -> None:
    config = {
        **LEADING,
        "_class_name": "DPMSolverMultistepScheduler",
        "algorithm_type": "sde-dpmsolver++",
        "use_karras_sigmas": True,
    }
    scheduler: Any = make_scheduler(SAMPLERS["dpm++2m"], config)
    assert scheduler.config["algorithm_type"] == "dpmsolver++"
    assert scheduler.config["use_karras_sigmas"] is False
    assert scheduler.config["beta_end"] == 0.012


def test_options_win_over_defaults_that_a_model_asks_for() -> None:
    config = {**LEADING, "_use_default_values": ["skip_prk_steps"]}
    scheduler: Any = make_scheduler(SAMPLERS["pndm"], config)
    assert scheduler.config["skip_prk_steps"] is True


@pytest.mark.parametrize(
    ("name", "steps", "evaluations"), [("euler", 20, 20), ("heun", 20, 39), ("dpm2", 20, 39), ("pndm", 20, 21)]
)
def test_evaluations_are_counted_as_they_happen(name: str, steps: int, evaluations: int) -> None:
    table = table_of(name, steps)
    assert table.num_evaluations == evaluations
    assert table.timesteps.shape == table.input_scale.shape == (evaluations,)
    assert table.coefficients.shape == (evaluations + 1, evaluations + 1)


@every_sampler
def test_table_is_causal_and_read_only(name: str) -> None:
    table = table_of(name, 5)
    assert not np.triu(table.coefficients, 1).any()
    assert not table.noise_coefficients[0].any()
    with pytest.raises(ValueError, match="read-only"):
        table.coefficients[0, 0] = 1


def test_initial_sigma_is_in_the_table() -> None:
    table = table_of("euler", 10, "trailing-v")
    assert table.coefficients[0, 0] == pytest.approx(float(scheduler_of("euler", "trailing-v").sigmas[0]))
    assert table.coefficients[0, 0] * table.input_scale[0] == pytest.approx(1)  # unit noise for the model


@pytest.mark.parametrize("name", ["euler", "euler-a", "dpm++2m", "dpm++2m-sde"])
def test_table_keeps_digits_that_the_scheduler_rounds_away(name: str) -> None:
    result = table_of(name, 12, "leading-v").coefficients[-1]
    assert (result != result.astype(np.float32)).any()


def test_digest_is_that_of_the_numbers() -> None:
    tables = [
        table_of("euler-a", 5),
        table_of("euler", 5),
        table_of("euler-a", 6),
        table_of("euler-a", 5, "trailing-v"),
        table_of("euler-a", 5, "leading-v"),
    ]
    assert tabulate(scheduler_of("euler-a"), 5).digest == tables[0].digest
    assert len({table.digest for table in tables}) == len(tables)


@pytest.mark.parametrize("option", ["clip_sample", "thresholding"])
@pytest.mark.parametrize("steps", [1, 5])
def test_a_scheduler_that_is_not_linear_is_refused(option: str, steps: int) -> None:
    import diffusers

    scheduler = diffusers.DDIMScheduler.from_config({**LEADING, "clip_sample": False, option: True})
    with pytest.raises(EngineError, match=r"DDIMScheduler .* not linear"):
        tabulate(scheduler, steps)


def test_an_input_scale_that_is_not_linear_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = scheduler_of("ddim")
    monkeypatch.setattr(scheduler, "scale_model_input", lambda x, timestep: x.clamp(-1, 1))
    with pytest.raises(EngineError, match="not linear"):
        tabulate(scheduler, 5)


def test_steps_that_the_scheduler_refuses_are_an_error_for_the_user() -> None:
    with pytest.raises(EngineError, match="LCMScheduler cannot sample this model in 51 steps"):
        tabulate(scheduler_of("lcm"), 51)


def test_tabulate_gives_randn_tensor_back(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = scheduler_of("lcm")
    module: Any = sys.modules[type(scheduler).__module__]
    before = module.randn_tensor
    tabulate(scheduler, 5)
    assert module.randn_tensor is before
    monkeypatch.setattr(scheduler, "get_scalings_for_boundary_condition_discrete", lambda timestep: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tabulate(scheduler, 5)
    assert module.randn_tensor is before


def test_missing_step_noises_are_noticed() -> None:
    with pytest.raises(AssertionError, match="wants 5 step noises, not 0"):
        denoise(evaluate, table_of("euler-a", 5), torch.zeros(1, *SHAPE))


@pytest.mark.parametrize("threads", [1, 2])
def test_bits_do_not_depend_on_place_neighbours_or_batch_size(threads: int, threads_kept: None) -> None:
    torch.set_num_threads(threads)
    shape = (3, 23, 31)  # 2,139 values a picture: threads and vector registers split seven of them at odd places
    table = table_of("dpm++2m-sde", 12)
    noise, step_noises = random(1, 7, *shape).float(), random(2, table.num_noises, 7, *shape).float()
    outputs = random(3, table.num_evaluations, 7, *shape).float()

    def run(pictures: list[int]) -> Tensor:
        return denoise(lambda x, t, j: outputs[j, pictures], table, noise[pictures], step_noises[:, pictures])

    together = run([0, 1, 2, 3, 4, 5, 6])
    assert torch.equal(run([6, 2, 0, 4, 3, 1, 5]), together[[6, 2, 0, 4, 3, 1, 5]])
    assert torch.equal(run([4]), together[[4]])


@pytest.fixture
def threads_kept() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_denoise_tells_every_evaluation_in_order_and_leaves_its_inputs_alone() -> None:
    table = table_of("heun", 4)
    noise = random(1, 2, *SHAPE).float()
    kept = noise.clone()
    told: list[int] = []
    seen: list[tuple[int, float, torch.dtype]] = []

    def watch(x: Tensor, timestep: Tensor, index: int) -> Tensor:
        seen.append((index, float(timestep), x.dtype))
        return model(x, timestep).to(torch.bfloat16)

    result = denoise(watch, table, noise, on_step=told.append)

    assert told == list(range(7))
    assert seen == [(j, float(np.float32(table.timesteps[j])), torch.float32) for j in range(7)]
    assert torch.equal(noise, kept)
    assert result.untyped_storage().nbytes() == result.nbytes


def test_columns_without_weight_are_not_touched() -> None:
    table = SamplerTable(
        timesteps=np.array([2.0, 1.0]),
        input_scale=np.ones(2),
        coefficients=np.array([[1.0, 0, 0], [1, 0, 0], [2, 0, 3]]),
        noise_coefficients=np.zeros((3, 1)),
    )
    outputs = [torch.full((1, *SHAPE), math.inf), torch.ones(1, *SHAPE)]

    result = denoise(lambda x, t, j: outputs[j], table, torch.ones(1, *SHAPE), torch.full((1, 1, *SHAPE), math.nan))

    assert torch.equal(result, torch.full((1, *SHAPE), 5.0))
