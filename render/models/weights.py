"""How many numbers a model's weights hold, for what a job will cost. Reads the headers of files, never the weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from render.errors import ModelError
from render.models.config import family_of
from render.models.fingerprint import layout_of
from render.models.onnx_file import num_weights
from render.models.sources import find, testcard_cost_s

__all__ = ["num_parameters"]


def num_parameters(model: str, part: Literal["denoiser", "vae"]) -> int:
    """Parameters of the denoiser or the VAE; 0 for a test card. Raises ModelError for damaged files."""
    if testcard_cost_s(model) is not None:
        return 0
    folder = find(model, download=False)
    family = family_of(model, folder)
    graphs = layout_of(folder, family) == "onnx"
    name = family.denoiser if part == "denoiser" else "vae_decoder" if graphs else "vae"
    if graphs:
        return num_weights(folder / name / "model.onnx")
    return sum(_parameters_in(path) for path in (folder / name).glob("*.safetensors"))


def _parameters_in(path: Path) -> int:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError):
        raise ModelError(f"{path}: is no safetensors file; fetch the model again") from None
