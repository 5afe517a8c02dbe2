"""Samplers by the names of A1111, ComfyUI, InvokeAI and diffusers: each is answered with exactly ours."""

from __future__ import annotations

import pytest

from render.plan.sampling import EDM, FLOW
from render.spec import SAMPLERS
from render.spec.sampler_names import _NEAREST, _OURS, sampler_called, sampler_name

SAME = {
    # AUTOMATIC1111: names and aliases
    "DPM++ 2M": "dpm++2m",
    "k_dpmpp_2m": "dpm++2m",
    "DPM++ 2M Karras": "dpm++2m-karras",
    "DPM++ 2M SDE": "dpm++2m-sde",
    "DPM++ 2M SDE Karras": "dpm++2m-sde-karras",
    "Euler a": "euler-a",
    "k_euler_a": "euler-a",
    "k_euler_ancestral": "euler-a",
    "k_euler": "euler",
    "Heun": "heun",
    "k_heun": "heun",
    "DPM2": "dpm2",
    "DPM2 Karras": "dpm2-karras",
    "k_dpm_2": "dpm2",
    "DPM2 a": "dpm2-a",
    "k_dpm_2_a": "dpm2-a",
    "DPM2 a Karras": "dpm2-a-karras",
    "DDIM": "ddim",
    "PLMS": "pndm",
    "UniPC": "unipc",
    "LCM": "lcm",
    "DPM++ 2M Automatic": "dpm++2m",
    "Euler Uniform": "euler",
    "Euler Karras": "euler-karras",
    # ComfyUI: samplers, and with a scheduler behind them
    "euler": "euler",
    "euler_ancestral": "euler-a",
    "heun": "heun",
    "dpm_2": "dpm2",
    "dpm_2_ancestral": "dpm2-a",
    "dpmpp_2m": "dpm++2m",
    "dpmpp_2m_sde": "dpm++2m-sde",
    "dpmpp_2m_sde_gpu": "dpm++2m-sde",
    "ddpm": "ddpm",
    "lcm": "lcm",
    "deis": "deis",
    "ddim": "ddim",
    "uni_pc": "unipc",
    "uni_pc_bh2": "unipc",
    "dpmpp_2m karras": "dpm++2m-karras",
    "dpmpp_2m_karras": "dpm++2m-karras",
    "euler normal": "euler",
    "euler simple": "euler",
    "dpmpp_2m_sde_gpu_karras": "dpm++2m-sde-karras",
    "uni_pc_karras": "unipc-karras",
    # InvokeAI
    "kdpm_2": "dpm2",
    "kdpm_2_a": "dpm2-a",
    "dpmpp_2s": "dpm++2s",
    "dpmpp_2s_k": "dpm++2s-karras",
    "pndm": "pndm",
    "dpmpp_2m_k": "dpm++2m-karras",
    "euler_k": "euler-karras",
    "heun_k": "heun-karras",
    "unipc_k": "unipc-karras",
    "euler_a": "euler-a",
    "tcd": "tcd",
    "dpmpp_2m_sde_k": "dpm++2m-sde-karras",
    # diffusers
    "DPMSolverMultistepScheduler": "dpm++2m",
    "UniPCMultistepScheduler": "unipc",
    "DDIMScheduler": "ddim",
    "EulerDiscreteScheduler": "euler",
    "EulerAncestralDiscreteScheduler": "euler-a",
    "PNDMScheduler": "pndm",
    "KDPM2DiscreteScheduler": "dpm2",
    "KDPM2AncestralDiscreteScheduler": "dpm2-a",
    "DDPMScheduler": "ddpm",
    "HeunDiscreteScheduler": "heun",
    "DPMSolverSinglestepScheduler": "dpm++2s",
    "LCMScheduler": "lcm",
    "DEISMultistepScheduler": "deis",
    "TCDScheduler": "tcd",
    "DPMSolverMultistep": "dpm++2m",
    # habits
    "K-Euler": "euler",
    "K EULER ANCESTRAL": "euler-a",
    "k-dpmpp-2m": "dpm++2m",
    "dpm_2m": "dpm++2m",
    "DPM 2M SDE": "dpm++2m-sde",
    "dpm_2s": "dpm++2s",
    "DPM Multistep": "dpm++2m",
    "KarrasDPM": "dpm++2m-karras",
    "DPM++2M": "dpm++2m",
    "dpm++ 2m karras": "dpm++2m-karras",
    "dpm-solver++": "dpm++2m",
    "dpm_pp_2m": "dpm++2m",
    "DPM++ 2M-Karras": "dpm++2m-karras",
    "EULER_A": "euler-a",
    "sample_euler_ancestral": "euler-a",
}


@pytest.mark.parametrize(("theirs", "ours"), SAME.items(), ids=SAME)
def test_the_same_sampler(theirs: str, ours: str) -> None:
    assert sampler_name(theirs) == ours
    said = sampler_called(theirs)
    assert said is not None
    karras = f"{ours}-karras"
    assert said == f"write {ours}" + (f", or {karras} for Karras sigmas" if karras in SAMPLERS else "")


@pytest.mark.parametrize("name", SAMPLERS)
def test_ours_in_any_spelling(name: str) -> None:
    for spelled in (name.upper(), name.replace("-", "_"), name.replace("-", " "), name.replace("dpm++", "dpmpp_")):
        assert sampler_name(spelled) == name


@pytest.mark.parametrize(
    "steps", ["exponential", "sgm_uniform", "beta", "ddim_uniform", "kl_optimal", "polyexponential", "SGM Uniform"]
)
def test_steps_that_are_not_built_are_named(steps: str) -> None:
    plain = steps.replace("_", "").replace(" ", "").lower()
    wanted = f"{plain} steps are not built; write dpm++2m, or dpm++2m-karras for Karras sigmas"
    assert sampler_called(f"dpmpp_2m_{steps}") == wanted
    assert sampler_called(f"DPM++ 2M {steps}") == wanted


@pytest.mark.parametrize("name", ["euler_cfg_pp", "Euler CFG++"])
def test_another_guidance_is_named(name: str) -> None:
    assert sampler_called(name) == "CFG++ is not built; write euler, or euler-karras for Karras sigmas"


def test_karras_where_there_is_none() -> None:
    assert sampler_called("Euler a Karras") == "write euler-a; it has no Karras variant here"


@pytest.mark.parametrize(
    ("theirs", "nearest"),
    [
        ("LMS", "pndm"),
        ("LMSDiscreteScheduler", "pndm"),
        ("DPM++ SDE", "dpm++2m-sde"),
        ("DPM++ SDE Karras", "dpm++2m-sde-karras"),
        ("dpmpp_sde_gpu", "dpm++2m-sde"),
        ("DPMSolverSDEScheduler", "dpm++2m-sde"),
        ("DPM++ 2S a Karras", "dpm++2s-karras"),
        ("dpmpp_2s_ancestral", "dpm++2s"),
        ("DPM++ 3M SDE Exponential", "dpm++2m-sde"),
        ("DPM adaptive", "dpm++2m"),
        ("k_dpm_fast", "dpm++2s"),
        ("heunpp2", "heun"),
        ("exp_heun_2_x0_sde", "heun"),
        ("res_multistep_ancestral_cfg_pp", "dpm++2m-sde"),
        ("sa_solver_pece", "dpm++2m-sde"),
        ("Restart", "heun"),
        ("res_multistep", "dpm++2m"),
        ("dpmpp_2m_sde_heun_gpu", "dpm++2m-sde"),
    ],
)
def test_what_is_not_built_has_a_nearest(theirs: str, nearest: str) -> None:
    assert sampler_called(theirs) == f"this one is not built; the nearest is {nearest}"


@pytest.mark.parametrize(
    ("theirs", "ours", "noise"),
    [
        ("EDMEulerScheduler", "euler", "EDM"),
        ("EDMDPMSolverMultistepScheduler", "dpm++2m", "EDM"),
        ("FlowMatchEulerDiscreteScheduler", "euler", "flow matching"),
        ("FlowMatchHeunDiscreteScheduler", "heun", "flow matching"),
        ("FlowMatchLCMScheduler", "lcm", "flow matching"),
    ],
)
def test_the_classes_of_one_kind_of_noise(theirs: str, ours: str, noise: str) -> None:
    assert {"EDM": EDM, "flow matching": FLOW}[noise][ours][0] == theirs
    assert sampler_called(theirs) == f"write {ours}, which is this class on models of {noise}"


def test_no_class_that_is_used_is_unknown() -> None:
    for name, _ in [*EDM.values(), *FLOW.values()]:
        assert (sampler_called(name) or "").startswith("write ")


@pytest.mark.parametrize("name", ["", "karras", "eular", "dpm", "x" * 4000, "++", "k_", "\0"])
def test_what_nobody_has(name: str) -> None:
    assert sampler_called(name) is None


def test_the_tables_name_samplers_that_there_are() -> None:
    assert {*_OURS.values(), *_NEAREST.values()} <= set(SAMPLERS)
    assert not set(_OURS) & set(_NEAREST)
