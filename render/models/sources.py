"""A model's name -> the folder with its files. Knows names and folders, and opens no file of a model.

A model is ``demo`` (shipped inside), ``testcard`` (no model at all), a folder in diffusers' layout, a folder of ONNX
graphs as ``render export`` and Optimum write them, or a hub id such as ``org/name`` or ``org/name@revision``.
"""

import os
import re
from pathlib import Path

from render.errors import ModelError
from render.models.demo import WEIGHTS
from render.models.families import FAMILIES
from render.models.hub import hub_folder
from render.models.trust import PICKLE_SUFFIXES, PICKLES, unweighted

__all__ = ["FILES", "HUB_ID", "TINY_FILES", "find", "find_tiny", "pinned", "testcard_cost_s"]

WEIGHTS_FILES = ("model", "diffusion_pytorch_model")  # no variants (fp16, non_ema): they are not loaded
FILES = ("*.json", "*.txt", *(f"{name}{shard}.safetensors" for name in WEIGHTS_FILES for shard in ("", "-*-of-*")))
TINY = "vae_tiny"  # the demo model's
TINY_FILES = ("config.json", "diffusion_pytorch_model.safetensors")
HUB_ID = re.compile(r"(?!.*\.\.)([A-Za-z0-9][\w.-]*/[\w.-]+)(?:@([\w./-]+))?", re.ASCII)  # no way up in it
TESTCARD = re.compile(r"testcard(?::(\d{1,6})ms)?")


def testcard_cost_s(model: str) -> float | None:
    """Seconds that each picture of a test card shall take (``testcard:50ms``), 0 for ``testcard``, None for models."""
    match = TESTCARD.fullmatch(model)
    return int(match[1] or 0) / 1000 if match else None


def find(model: str, *, download: bool, trust: bool = False) -> Path:
    """The folder of a model; of a hub model the cached one, fetched before when ``download`` is set.

    With ``trust`` pickled weights are fetched where there are no others.
    Raises ModelError that says what was looked for and what to do.
    """
    if model == "demo":
        return WEIGHTS
    if model.endswith((".safetensors", *PICKLE_SUFFIXES)):
        pickled = "" if model.endswith(".safetensors") else "pickled weights can run code when they are read, and "
        raise ModelError(
            f"{model!r}: {pickled}single-file models are not built yet; convert it to a folder with save_pretrained"
        )
    if os.path.isdir(os.path.expanduser(model)):
        return Path(os.path.expanduser(model))
    hub = HUB_ID.fullmatch(model)
    if hub and not model.startswith((".", "/", "~")):
        parts = sorted({part for family in FAMILIES.values() for part in family.parts})
        files = [f"{part}/{pattern}" for part in parts for pattern in FILES]
        folder = hub_folder(hub[1], hub[2], "model_index.json", files, download=download)
        if download and trust and (bare := unweighted(folder)):
            files = [f"{part.name}/{name}" for part in bare for name in PICKLES]
            hub_folder(hub[1], hub[2], "model_index.json", files, download=True)
        return folder
    raise ModelError(f"{model!r}: no such folder, and not a hub id; write demo, testcard, a folder, or org/name")


def find_tiny(tiny_vae: str, *, download: bool) -> Path:
    """The folder of an ``AutoencoderTiny``: ``demo``, a folder, or a hub id. Raises ModelError as ``find`` does."""
    if tiny_vae == "demo":
        return WEIGHTS / TINY
    folder, hub = os.path.expanduser(tiny_vae), HUB_ID.fullmatch(tiny_vae)
    if os.path.isdir(folder):
        return Path(folder)
    if hub and not tiny_vae.startswith((".", "/", "~")):
        return hub_folder(hub[1], hub[2], "config.json", TINY_FILES, download=download)
    raise ModelError(f"tiny VAE {tiny_vae!r}: no such folder, and not a hub id; write demo, a folder, or org/name")


def pinned(model: str, revision: str | None) -> str:
    """A hub id with its revision: what ``main`` was when the plan was made. Any other model as it is."""
    hub = HUB_ID.fullmatch(model)
    if not revision or not hub or hub[2] or Path(model).expanduser().is_dir():
        return model
    return f"{model}@{revision}"
