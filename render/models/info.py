"""Where a model's files are, and what their JSON says. No torch: ``check`` and ``plan`` answer at once.

A model is ``demo`` (shipped inside), ``testcard`` (no model at all), a folder in diffusers' layout, a folder of ONNX
graphs as ``render export`` and Optimum write them, or a hub id such as ``org/name`` or ``org/name@revision``. Weights
are safetensors or ONNX: other formats can run code when they are read, and need ``--trust`` (`trust.py`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from render.errors import ModelError
from render.models import trust
from render.models.families import FAMILIES, ModelInfo
from render.models.fingerprint import UNET_GRAPH, fingerprint_of, layout_of, model_files, revision_of
from render.models.onnx_file import input_dtype
from render.models.sources import HUB_ID, TINY_FILES, find, find_tiny, testcard_cost_s

__all__ = ["describe"]


T = TypeVar("T")


def describe(model: str, tiny_vae: str | None = None, *, download: bool = False, fingerprint: bool = True) -> ModelInfo:
    """What a plan has to know of ``model``, decoded by ``tiny_vae`` where one is named: the fingerprint covers it too.

    Raises ModelError when one of the two is missing, incomplete or of another family, and when they do not fit.
    """
    info = _describe(model, download=download, fingerprint=fingerprint)
    if tiny_vae is None or info.family == "testcard":
        return info
    folder = find_tiny(tiny_vae, download=download)
    _check_tiny(tiny_vae, folder, info, weights=download or fingerprint)
    if not fingerprint:
        return info
    both = f"{info.fingerprint}\n{fingerprint_of(folder, [folder / name for name in TINY_FILES])}"
    return replace(info, fingerprint=hashlib.sha256(both.encode()).hexdigest())


def _check_tiny(name: str, folder: Path, info: ModelInfo, *, weights: bool) -> None:
    """Raises ModelError for a folder that holds no tiny VAE, or one for other latents."""
    config = folder / "config.json"
    kind = _json(config).get("_class_name")
    if kind != "AutoencoderTiny":
        raise ModelError(f"tiny VAE {name!r}: its config says {kind}, not AutoencoderTiny (TAESD)")
    channels = _entry(config, "latent_channels", int)
    scale = 2 ** (len(_entry(config, "decoder_block_out_channels", list)) - 1)
    if (channels, scale) != (info.latent_channels, info.latent_scale):
        raise ModelError(
            f"tiny VAE {name!r} decodes latents of {channels} channels to {scale} times their size; "
            f"the model's have {info.latent_channels} channels and {info.latent_scale} times"
        )
    if weights and not (folder / TINY_FILES[1]).exists():
        raise ModelError(f"tiny VAE {name!r}: no {TINY_FILES[1]} in {folder}; only safetensors are read")


def _describe(model: str, *, download: bool, fingerprint: bool) -> ModelInfo:
    if testcard_cost_s(model) is not None:
        return ModelInfo("testcard", (256, 144), 0, 1, {}, "testcard-1")
    folder = find(model, download=download)
    index = _json(folder / "model_index.json")
    family = FAMILIES.get(str(index.get("_class_name")).removeprefix("ORT"))
    if family is None:
        raise ModelError(f"{model!r} is a {index.get('_class_name')}; known: {', '.join(FAMILIES)}")
    layout = layout_of(folder)
    if layout == "diffusers":
        trust.check(model, folder, weights=download or fingerprint or not HUB_ID.fullmatch(model))
    unet, vae = folder / "unet/config.json", folder / ("vae_decoder" if layout == "onnx" else "vae") / "config.json"
    channels, taken = _entry(vae, "latent_channels", int), _entry(unet, "in_channels", int)
    if taken != channels:
        raise ModelError(f"{model!r}: its UNet takes {taken} channels (an inpainting model?), not the VAE's latents")
    scale = 2 ** (len(_entry(vae, "block_out_channels", list)) - 1)
    side = _entry(unet, "sample_size", int) * scale
    scheduler = _json(folder / "scheduler/scheduler_config.json")
    digest = (
        fingerprint_of(folder, model_files(folder, layout)) if fingerprint else ""
    )  # reads every byte of the weights: seconds for a large model
    levels = len(_entry(unet, "block_out_channels", list))
    return ModelInfo(
        family,
        (side, side),
        channels,
        scale,
        scheduler,
        digest,
        revision_of(folder),
        size_step=scale * 2 ** (levels - 1),
        layout=layout,
        dtype=input_dtype(folder / UNET_GRAPH, "sample") if layout == "onnx" else None,
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(trust.MAX_JSON_BYTES))  # of a larger one the head, which is no JSON
    except FileNotFoundError:
        raise ModelError(f"{path.parent}: no {path.name} in it; a model folder is in diffusers' layout") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds no JSON object")
    return content


def _entry(path: Path, key: str, kind: type[T]) -> T:
    value = _json(path).get(key)
    if not isinstance(value, kind):
        raise ModelError(f"{path}: its {key} is {value!r}; the file is not what diffusers writes")
    return value
