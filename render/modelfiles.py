"""Where a model's files are, and what their JSON says. No torch: ``check`` and ``plan`` answer at once.

A model is ``demo`` (shipped inside), ``testcard`` (no model at all), a folder in diffusers' layout, a folder of ONNX
graphs as ``render export`` and Optimum write them, or a hub id such as ``org/name`` or ``org/name@revision``. Weights
are safetensors or ONNX: other formats can run code when they are read, and need ``--trust`` (`trust.py`).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from render import trust
from render.demo import WEIGHTS
from render.errors import ModelError
from render.graphfile import input_dtype, num_weights
from render.hub import hub_folder
from render.resolve import Family, Layout, ModelInfo

__all__ = ["describe", "find", "find_tiny", "num_parameters", "pinned", "testcard_cost_s"]

T = TypeVar("T")

MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors library itself
FAMILIES: dict[str, Family] = {"StableDiffusionPipeline": "sd", "StableDiffusionXLPipeline": "sdxl"}
ONNX_PARTS = ("scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet", "vae_decoder")
PARTS = ("scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet", "vae")
WEIGHTS_FILES = ("model", "diffusion_pytorch_model")  # no variants (fp16, non_ema): they are not loaded
FILES = ("*.json", "*.txt", *(f"{name}{shard}.safetensors" for name in WEIGHTS_FILES for shard in ("", "-*-of-*")))
TINY = "vae_tiny"  # the demo model's
TINY_FILES = ("config.json", "diffusion_pytorch_model.safetensors")
UNET_GRAPH = "unet/model.onnx"
HUB_ID = re.compile(r"(?!.*\.\.)([A-Za-z0-9][\w.-]*/[\w.-]+)(?:@([\w./-]+))?", re.ASCII)  # no way up in it
TESTCARD = re.compile(r"testcard(?::(\d{1,6})ms)?")


def testcard_cost_s(model: str) -> float | None:
    """Seconds that each picture of a test card shall take (``testcard:50ms``), 0 for ``testcard``, None for models."""
    match = TESTCARD.fullmatch(model)
    return int(match[1] or 0) / 1000 if match else None


def find(model: str, *, download: bool) -> Path:
    """The folder of a model; of a hub model the cached one, fetched before when ``download`` is set.

    Raises ModelError that says what was looked for and what to do.
    """
    if model == "demo":
        return WEIGHTS
    if model.endswith((".safetensors", *trust.PICKLE_SUFFIXES)):
        pickled = "" if model.endswith(".safetensors") else "pickled weights can run code when they are read, and "
        raise ModelError(
            f"{model!r}: {pickled}single-file models are not built yet; convert it to a folder with save_pretrained"
        )
    if os.path.isdir(os.path.expanduser(model)):
        return Path(os.path.expanduser(model))
    hub = HUB_ID.fullmatch(model)
    if hub and not model.startswith((".", "/", "~")):
        files = [f"{part}/{pattern}" for part in PARTS for pattern in FILES]
        folder = hub_folder(hub[1], hub[2], "model_index.json", files, download=download)
        if download and trust.granted() and (bare := trust.unweighted(folder)):
            files = [f"{part.name}/{name}" for part in bare for name in trust.PICKLES]
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
    both = f"{info.fingerprint}\n{_fingerprint(folder, [folder / name for name in TINY_FILES])}"
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
    layout = _layout(folder)
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
        _fingerprint(folder, _model_files(folder, layout)) if fingerprint else ""
    )  # reads every byte of the weights: seconds for a large model
    levels = len(_entry(unet, "block_out_channels", list))
    return ModelInfo(
        family,
        (side, side),
        channels,
        scale,
        scheduler,
        digest,
        _revision(folder),
        size_step=scale * 2 ** (levels - 1),
        layout=layout,
        dtype=input_dtype(folder / UNET_GRAPH, "sample") if layout == "onnx" else None,
    )


def _layout(folder: Path) -> Layout:
    """Weights win over graphs where a folder holds both: they can be cast, and any graph made of them."""
    graphs = (folder / UNET_GRAPH).is_file() and not any((folder / "unet").glob("*.safetensors"))
    return "onnx" if graphs else "diffusers"


def pinned(model: str, revision: str | None) -> str:
    """A hub id with its revision: what ``main`` was when the plan was made. Any other model as it is."""
    hub = HUB_ID.fullmatch(model)
    if not revision or not hub or hub[2] or Path(model).expanduser().is_dir():
        return model
    return f"{model}@{revision}"


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


def _model_files(folder: Path, layout: Layout) -> Iterator[Path]:
    yield folder / "model_index.json"
    if layout == "onnx":  # all files: weights beside a graph have any name
        for part in ONNX_PARTS:
            yield from sorted(path for path in (folder / part).rglob("*") if path.is_file())
        return
    for part in PARTS:
        for pattern in FILES:
            yield from sorted((folder / part).glob(pattern))
    for bare in trust.unweighted(folder):
        yield from (bare / name for name in trust.PICKLES if (bare / name).exists())


def _fingerprint(folder: Path, files: Iterable[Path]) -> str:
    """sha256 over the names and sha256 sums of all files that decide a picture."""
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(folder).as_posix()}\0{_file_sha256(path)}\n".encode())
    return total.hexdigest()


def _file_sha256(path: Path) -> str:
    """Of a file in the hub's cache the name of its blob, which is the sum already; else computed."""
    target = path.resolve().name
    if path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", target):
        return target
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _revision(folder: Path) -> str | None:
    """The commit of a folder in the hub's cache (``…/snapshots/<commit>``), None for any other folder."""
    return folder.name if folder.parent.name == "snapshots" else None


def num_parameters(model: str, part: str) -> int:
    """Parameters of ``unet`` or ``vae``, read from the headers of their safetensors or ONNX files; 0 for a test card.

    A header is eight bytes of length, then JSON (https://github.com/huggingface/safetensors#format).
    """
    if testcard_cost_s(model) is not None:
        return 0
    folder = find(model, download=False)
    if _layout(folder) == "onnx":
        return num_weights(folder / ("vae_decoder" if part == "vae" else part) / "model.onnx")
    return sum(_parameters_in(path) for path in (folder / part).glob("*.safetensors"))


def _parameters_in(path: Path) -> int:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(min(length, MAX_HEADER_BYTES)))
            return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ModelError(f"{path}: is no safetensors file; fetch the model again") from None
