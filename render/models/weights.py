"""How many numbers a model's weights hold, for what a job will cost. Reads notes and headers, never the weights."""

import math
from pathlib import Path
from typing import Literal

from render.models.config import export_note, family_of
from render.models.contents import contents_of, weights_of
from render.models.damage import open_weights
from render.models.fingerprint import layout_of
from render.models.sources import find, testcard_cost_s

__all__ = ["num_parameters"]


def num_parameters(model: str, part: Literal["denoiser", "vae"]) -> int:
    """Parameters of the denoiser or the VAE; 0 for a test card. Raises ModelError for damaged files."""
    if testcard_cost_s(model) is not None:
        return 0
    folder = find(model, download=False)
    family = family_of(model, folder)
    if layout_of(folder, family) == "onnx":
        return _parameters_of_graph(folder / (family.denoiser if part == "denoiser" else "vae_decoder"))
    name = family.denoiser if part == "denoiser" else "vae"
    weights = weights_of(name, contents_of(folder)[name])
    files = weights.files if weights is not None and not weights.pickled else ()
    return sum(_parameters_in(folder / name / file) for file in files if (folder / name / file).exists())


def _parameters_of_graph(folder: Path) -> int:
    """As its export noted them; else by the size of its files, as if all were float32."""
    noted = export_note(folder).get("num_parameters")
    if isinstance(noted, int) and noted > 0:
        return noted
    return sum(path.stat().st_size for path in folder.iterdir()) // 4


def _parameters_in(path: Path) -> int:
    with open_weights(path) as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 - no mapping
