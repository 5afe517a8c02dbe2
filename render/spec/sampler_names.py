"""Samplers as other tools call them -> ours: AUTOMATIC1111, ComfyUI, InvokeAI and the scheduler classes of diffusers.

Sources: `modules/sd_samplers_kdiffusion.py` and `modules/sd_schedulers.py` of AUTOMATIC1111, `comfy/samplers.py` of
ComfyUI, `invokeai/backend/stable_diffusion/schedulers`, and the scheduler classes of diffusers. A name of theirs is
refused with ours, not taken: a job spec says one thing in one way.
"""

import re

from render.spec.samplers import SAMPLERS

__all__ = ["sampler_called", "sampler_name", "schedule_called"]

_SAME = {
    "eulera": "euler-a",
    "eulerancestral": "euler-a",
    "kdpm2": "dpm2",
    "dpm2a": "dpm2-a",
    "dpm2ancestral": "dpm2-a",
    "kdpm2a": "dpm2-a",
    "kdpm2ancestral": "dpm2-a",
    "dpmsolver": "dpm++2m",
    "dpmsolver++": "dpm++2m",
    "dpm++": "dpm++2m",
    "dpm++2msde": "dpm++2m-sde",
    "plms": "pndm",
    "unipcbh2": "unipc",
    "dpm2m": "dpm++2m",
    "dpm2msde": "dpm++2m-sde",
    "dpm2s": "dpm++2s",
    "dpmmultistep": "dpm++2m",
    "dpmsinglestep": "dpm++2s",
    "dpmsolver++2m": "dpm++2m",
    "karrasdpm": "dpm++2m-karras",
    "ddimparallel": "ddim",
    "ddpmparallel": "ddpm",
}
"""Their name in small letters, without blanks, bars and hyphens, ``dpmpp`` written ``dpm++`` -> ours."""

_BY_NOISE = {
    "edmeuler": ("euler", "EDM"),
    "edmdpmsolvermultistep": ("dpm++2m", "EDM"),
    "flowmatcheuler": ("euler", "flow matching"),
    "flowmatchheun": ("heun", "flow matching"),
    "flowmatchlcm": ("lcm", "flow matching"),
}
"""Classes of diffusers for one kind of noise -> the sampler that is this class on such models."""

_NEAREST = {
    "lms": "pndm",
    "lmsdiscrete": "pndm",
    "dpm++sde": "dpm++2m-sde",
    "dpmsolversde": "dpm++2m-sde",
    "dpm++2sa": "dpm++2s",
    "dpm2sa": "dpm++2s",
    "dpm2sancestral": "dpm++2s",
    "dpmsde": "dpm++2m-sde",
    "cosinedpmsolvermultistep": "dpm++2m-sde",
    "ltxeulerancestralrf": "euler",
    "dpm++2sancestral": "dpm++2s",
    "dpm++3m": "dpm++2m",
    "dpm++3msde": "dpm++2m-sde",
    "dpm++2msdeheun": "dpm++2m-sde",
    "dpmfast": "dpm++2s",
    "dpmadaptive": "dpm++2m",
    "dpmad": "dpm++2m",
    "heunpp2": "heun",
    "expheun2x0": "heun",
    "expheun2x0sde": "heun",
    "restart": "heun",
    "ipndm": "deis",
    "ipndmv": "deis",
    "resmultistep": "dpm++2m",
    "resmultistepancestral": "dpm++2m-sde",
    "gradientestimation": "euler",
    "ersde": "dpm++2m-sde",
    "sasolver": "dpm++2m-sde",
    "sasolverpece": "dpm++2m-sde",
    "seeds2": "dpm++2m-sde",
    "seeds3": "dpm++2m-sde",
}
"""Samplers that are not here -> the one that is most alike."""

_OWN_STEPS = ("automatic", "normal", "simple", "uniform")  # the model's own, or what comes to the same
_OTHER_STEPS = (
    *("polyexponential", "exponential", "sgmuniform", "ddimuniform", "linearquadratic", "kloptimal"),
    *("alignyoursteps", "ays", "beta57", "beta", "turbo"),
)
_OURS = {
    **{
        sampler.scheduler.removesuffix("Scheduler").removesuffix("Discrete").lower(): name
        for name, sampler in reversed(list(SAMPLERS.items()))
    },  # the first of a class is its plain one
    **{name.replace("-", ""): name for name in SAMPLERS},
    **_SAME,
    **{theirs: ours for theirs, (ours, _) in _BY_NOISE.items()},
}
"""Their names, the class names of diffusers and our own without hyphens -> ours."""


def sampler_name(name: str) -> str | None:
    """Our sampler for one that another tool calls ``name``, or the nearest that there is; None where no tool does."""
    base, steps = _parts(name)
    ours = _OURS.get(base) or _NEAREST.get(base)
    return f"{ours}-karras" if steps == "karras" and f"{ours}-karras" in SAMPLERS else ours


def sampler_called(name: str) -> str | None:
    """What to write for a sampler that another tool calls ``name``; None where no tool does.

    >>> sampler_called("DPM++ 2M Karras")
    'write dpm++2m-karras'
    """
    base, steps = _parts(name)
    ours, meant = _OURS.get(base), sampler_name(name)
    if ours is None:
        return meant and f"this one is not built; the nearest is {meant}"
    if base in _BY_NOISE:
        return f"write {meant}, which is this class on models of {_BY_NOISE[base][1]}"
    karras = f"{ours}-karras"
    if steps == "karras":
        return f"write {meant}" if meant == karras else f"write {ours}; it has no Karras variant here"
    steps = "CFG++" if re.search(r"cfg_?(pp|\+\+)", name.lower()) else steps
    also = f", or {karras} for Karras sigmas" if karras in SAMPLERS else ""
    if steps in _OTHER_STEPS:
        steps += " steps"
    if steps and steps not in _OWN_STEPS:
        verb = "is" if steps == "CFG++" else "are"
        return f"{steps} {verb} not built; write {ours}{also}"
    return f"write {ours}{also}"


def schedule_called(key: str, value: object, sampler: object) -> str | None:
    """What to write for a key that says how other tools space a sampler's steps; None where it says something else.

    >>> schedule_called("scheduler", "karras", "euler")
    'write sampler: euler-karras'
    """
    plain = re.sub(r"[^a-z]", "", key.lower())
    if option := re.fullmatch(r"use(karras|exponential|beta|lu)(?:sigmas|lambdas)", plain):
        steps = option[1] if value is True else "normal"
    elif plain in ("scheduler", "schedule", "scheduletype", "schedulername", "sigmas", "noiseschedule"):
        steps = str(value).strip().lower()
    else:
        return None
    if _parts(f"x {steps}")[0] != "x" or steps == "":
        return None  # a sampler, as in diffusers
    if _parts(f"x {steps}")[1] in _OWN_STEPS:
        return "leave it out, samplers take the model's own steps"
    if steps == "karras" and str(sampler).endswith("-karras"):
        return f"leave it out, {sampler} has Karras sigmas"
    called = sampler_called(f"{sampler} {steps}")
    return called and called.replace("write ", "write sampler: ")


def _parts(name: str) -> tuple[str, str]:
    """``DPM++ 2M SDE Karras`` -> ``("dpm++2msde", "karras")``."""
    text = re.sub(r"^(sample|k)[_ -]", "", name.strip().lower())
    text = re.sub(r"_k$", " karras", text)  # InvokeAI's
    text = re.sub(r"dpm_?pp|dpm plus plus", "dpm++", text).replace("cfg_pp", "cfg++")
    text = re.sub(r"[^a-z0-9+]", "", text)
    steps = next((end for end in ("karras", *_OTHER_STEPS, *_OWN_STEPS) if text.endswith(end) and text != end), "")
    for end in (steps, "scheduler", "gpu", "discrete", "cfg++"):
        text = text.removesuffix(end)
    return text, steps
