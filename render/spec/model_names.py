"""Models as people and pages call them -> their names on the hub.

Said where a model is not found; nothing is replaced.
"""

import re

__all__ = ["model_called"]

_HUB = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": (
        *("sd", "sd15", "sdv15", "sd1", "v15", "stablediffusion", "stablediffusion15", "stablediffusionv15"),
        *("stablediffusion1", "v15pruned", "v15prunedemaonly", "runwaymlstablediffusionv15"),  # the latter has moved
    ),
    "CompVis/stable-diffusion-v1-4": ("sd14", "sdv14", "stablediffusion14", "stablediffusionv14", "sdv14full"),
    "stabilityai/stable-diffusion-xl-base-1.0": (
        *("sdxl", "sdxl10", "sdxlbase", "sdxlbase10", "xl", "sdxlbase10vae", "sdxlbase1009vae"),
        *("stablediffusionxl", "stablediffusionxlbase10", "stablediffusionxl10"),
    ),
    "stabilityai/sdxl-turbo": ("sdxlturbo", "turbo", "sdxlturbo10", "sdxlturbo10fp16"),
    "stabilityai/sd-turbo": ("sdturbo",),
    "segmind/SSD-1B": ("ssd1b",),
    "playgroundai/playground-v2.5-1024px-aesthetic": ("playground", "playground25", "playgroundv25"),
    "SimianLuo/LCM_Dreamshaper_v7": ("lcm", "lcmdreamshaper", "lcmdreamshaperv7"),
}
"""The hub's name -> what it is called elsewhere, in small letters and figures alone."""
_ADDRESS = re.compile(
    r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]{1,100}/[\w.-]{1,100})(?:/.*)?", re.ASCII
)


def model_called(name: str) -> str | None:
    """The hub id that a model of this name has; None where none is known.

    >>> model_called("SDXL 1.0")
    'stabilityai/stable-diffusion-xl-base-1.0'
    """
    if address := _ADDRESS.fullmatch(name.strip()[:1000]):
        return address[1]
    plain = re.sub(r"[^a-z0-9]", "", re.sub(r"\.(safetensors|ckpt)$", "", name.lower()))
    return next((hub for hub, names in _HUB.items() if plain in names), None)
