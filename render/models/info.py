"""A model -> what a plan has to know of it, or why no job can use it. Reads JSON, and bytes to sum them; no weights.

Weights are safetensors or ONNX: other formats can run code when they are read, and need ``--trust`` (`trust.py`).
"""

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from render.errors import ModelError
from render.models.complete import check, check_graphs
from render.models.config import entry, export_note, family_of, read_json
from render.models.damage import damage
from render.models.families import Family, ModelInfo
from render.models.fields import SCHEDULER_CLASSES, check_fields, check_index, check_texts
from render.models.fingerprint import fingerprint_of, layout_of, model_files, revision_of
from render.models.noise import noise_mistake, noise_of
from render.models.sources import TINY_FILES, find_tiny, locate, on_hub, testcard_cost_s
from render.models.trust import check as check_code

__all__ = ["describe", "with_tiny"]

SPECIAL = {1: "a depth-to-image model", 4: "a picture-editing model", 5: "an inpainting model"}
"""Channels that a UNet takes beside the latents -> what its model is for."""


def describe(
    model: str,
    tiny_vae: str | None = None,
    *,
    download: bool = False,
    fingerprint: bool = True,
    trust: bool = False,
) -> ModelInfo:
    """What a plan has to know of ``model``, decoded by ``tiny_vae`` where one is named: the fingerprint covers it too.

    With ``trust`` the model may hold what could run code when it is loaded.
    Raises ModelError when one of the two is missing, incomplete or of another family, and when they do not fit.
    """
    info = _describe(model, download=download, fingerprint=fingerprint, trust=trust)
    return info if tiny_vae is None else with_tiny(info, tiny_vae, download=download, fingerprint=fingerprint)


def with_tiny(info: ModelInfo, tiny_vae: str, *, download: bool = False, fingerprint: bool = True) -> ModelInfo:
    """The same model decoded by ``tiny_vae``. Raises ModelError when that is missing, or does not fit the model."""
    if info.family == "testcard":
        return info
    folder = find_tiny(tiny_vae, download=download)
    _check_tiny(tiny_vae, folder, info, weights=download or not on_hub(tiny_vae))
    if not fingerprint:
        return info
    both = f"{info.fingerprint}\n{fingerprint_of(folder, [folder / name for name in TINY_FILES])}"
    return replace(info, fingerprint=hashlib.sha256(both.encode()).hexdigest())


def _check_tiny(name: str, folder: Path, info: ModelInfo, *, weights: bool) -> None:
    """Raises ModelError for a folder that holds no tiny VAE, or one for other latents."""
    config = folder / "config.json"
    kind = read_json(config).get("_class_name")
    if kind != "AutoencoderTiny":
        raise ModelError(f"tiny VAE {name!r}: its config says {kind}, not AutoencoderTiny (TAESD)")
    if info.centred:
        raise ModelError(
            f"tiny VAE {name!r}: the model's latents have a mean and a deviation of their own (latents_mean in its "
            "vae/config.json), which no tiny VAE knows; leave engine.tiny_vae out"
        )
    if read_json(config).get("shift_factor"):
        raise ModelError(f"{config}: shift_factor is not 0: no pipeline of {info.family} adds it to latents; write 0.0")
    channels = entry(config, "latent_channels", int)
    scale = 2 ** (len(entry(config, "decoder_block_out_channels", list)) - 1)
    if (channels, scale) != (info.latent_channels, info.latent_scale):
        raise ModelError(
            f"tiny VAE {name!r} decodes latents of {channels} channels to {scale} times their size; "
            f"the model's have {info.latent_channels} channels and {info.latent_scale} times"
        )
    path = folder / TINY_FILES[1]
    if weights and not os.path.lexists(path):
        raise ModelError(f"tiny VAE {name!r}: no {path.name} in {folder}; only safetensors are read")
    if os.path.lexists(path) and (what := damage(path)):
        raise ModelError(f"tiny VAE {name!r}: {path}: {what}")


def _describe(model: str, *, download: bool, fingerprint: bool, trust: bool) -> ModelInfo:
    if testcard_cost_s(model) is not None:
        return ModelInfo("testcard", (256, 144), 0, 1, {}, "testcard-1")
    located = locate(model, download=download, trust=trust)
    folder = located.folder
    family = family_of(model, folder)
    layout = layout_of(folder, family)
    if layout == "diffusers":
        check_code(model, folder, trust=trust)
        check(model, located, family, trust=trust)
    else:
        check_graphs(model, located, family)
    check_fields(folder, family, layout)
    if layout == "diffusers":
        check_index(folder, family)
        check_texts(folder, family)
    denoiser = folder / family.denoiser / "config.json"
    vae = folder / ("vae_decoder" if layout == "onnx" else "vae") / "config.json"
    channels = entry(vae, "latent_channels", int)
    _check_channels(denoiser, channels)
    scale = 2 ** (len(entry(vae, "block_out_channels", list)) - 1)
    side = entry(denoiser, "sample_size", int) * scale
    scheduler = _scheduler(folder, family)
    # Reads every byte of the weights: seconds for a large model.
    digest = fingerprint_of(folder, model_files(folder, family, layout)) if fingerprint else ""
    return ModelInfo(
        family.name,
        (side, side),
        channels,
        scale,
        scheduler,
        digest,
        revision_of(folder),
        size_step=scale * _divisor(denoiser, family),
        layout=layout,
        dtype=_noted_dtype(folder / family.denoiser) if layout == "onnx" else None,
        noise=noise_of(scheduler),
        guidance_width=read_json(denoiser).get("time_cond_proj_dim") or 0,
        centred=_centred(vae, channels),
    )


def _scheduler(folder: Path, family: Family) -> dict[str, Any]:
    """The scheduler's configuration, of the index's class where it names none, as diffusers loads it.

    Raises ModelError where its fields contradict each other.
    """
    path, index = folder / "scheduler/scheduler_config.json", read_json(folder / "model_index.json")
    config, named = read_json(path), index.get("scheduler")
    if config.get("_class_name") is None and isinstance(named, list) and len(named) == 2:
        config |= {"_class_name": named[1]} if named[1] in tuple(SCHEDULER_CLASSES) else {}
    if why := noise_mistake(config, family.name):
        raise ModelError(f"{path}: {why}")
    return config


def _check_channels(config: Path, channels: int) -> None:
    """Raises ModelError for a denoiser of that configuration whose input or output is not latents of ``channels``."""
    taken, given = entry(config, "in_channels", int), read_json(config).get("out_channels", channels)
    if taken != channels:
        kind = SPECIAL.get(taken - channels, "another VAE's UNet")
        raise ModelError(
            f"{config}: in_channels is {taken}: the UNet takes {taken} channels ({kind}?), not the VAE's {channels}; "
            "use a model that makes pictures from text alone"
        )
    if given != channels:
        raise ModelError(
            f"{config}: out_channels is {given}, and the VAE's latents have {channels}: a UNet that gives more than "
            "noise (a variance?) is not built; use another model"
        )


def _centred(config: Path, channels: int) -> bool:
    """Whether a VAE of that configuration has latents with a mean and a deviation. Raises ModelError for half of it."""
    values = {name: read_json(config).get(name) for name in ("latents_mean", "latents_std")}
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        if len(value) != channels:
            raise ModelError(f"{config}: {name} holds {len(value)} numbers, and latents have {channels} channels")
    if len(given) == 1:
        raise ModelError(f"{config}: {next(iter(given))} stands alone; it goes with latents_mean or latents_std")
    return bool(given)


def _divisor(config: Path, family: Family) -> int:
    """What sides of latents are multiples of, in the denoiser with this configuration."""
    if family.patches:
        return entry(config, "patch_size", int)
    return 1 << (len(entry(config, "block_out_channels", list)) - 1)


def _noted_dtype(denoiser: Path) -> str | None:
    """What an exported denoiser computes in, None where its export does not say."""
    noted = export_note(denoiser).get("dtype")
    return noted if noted in ("fp32", "fp16") else None
