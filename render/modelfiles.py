"""Where a model's files are, and what their JSON says. No torch: ``check`` and ``plan`` answer at once.

A model is ``demo`` (shipped inside), ``testcard`` (no model at all), a folder in diffusers' layout, a folder of ONNX
graphs as ``render export`` and Optimum write them, or a hub id such as ``org/name`` or ``org/name@revision``. Weights
are safetensors or ONNX only: other formats can run code when they are read.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from render.demo import WEIGHTS
from render.errors import ModelError
from render.graphfile import input_dtype, num_weights
from render.resolve import Family, Layout, ModelInfo

__all__ = ["describe", "find", "num_parameters", "pinned", "testcard_cost_s"]

T = TypeVar("T")

MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors library itself
FAMILIES: dict[str, Family] = {"StableDiffusionPipeline": "sd", "StableDiffusionXLPipeline": "sdxl"}
ONNX_PARTS = ("scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet", "vae_decoder")
PARTS = ("scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet", "vae")
WEIGHTS_FILES = ("model", "diffusion_pytorch_model")  # no variants (fp16, non_ema): they are not loaded
FILES = ("*.json", "*.txt", *(f"{name}{shard}.safetensors" for name in WEIGHTS_FILES for shard in ("", "-*-of-*")))
UNET_GRAPH = "unet/model.onnx"
HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[\w.-]+)(?:@([\w./-]+))?")
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
    if model.endswith((".safetensors", ".ckpt", ".pt", ".bin")):
        raise ModelError(
            f"{model!r}: single-file models are not built yet; convert it to a folder with save_pretrained"
        )
    folder = os.path.expanduser(model)
    if os.path.isdir(folder):
        return Path(folder)
    hub = HUB_ID.fullmatch(model)
    if hub and not model.startswith((".", "/", "~")):
        return _hub_folder(hub[1], hub[2], download=download)
    raise ModelError(f"{model!r}: no such folder, and not a hub id; write demo, testcard, a folder, or org/name")


def describe(model: str, *, download: bool = False, fingerprint: bool = True) -> ModelInfo:
    """What a plan has to know of ``model``. Raises ModelError when it is missing, incomplete or of another family."""
    if testcard_cost_s(model) is not None:
        return ModelInfo("testcard", (256, 144), 0, 1, {}, "testcard-1")
    folder = find(model, download=download)
    index = _json(folder / "model_index.json")
    family = FAMILIES.get(str(index.get("_class_name")).removeprefix("ORT"))
    if family is None:
        raise ModelError(f"{model!r} is a {index.get('_class_name')}; known: {', '.join(FAMILIES)}")
    layout = _layout(folder)
    unet, vae = folder / "unet/config.json", folder / ("vae_decoder" if layout == "onnx" else "vae") / "config.json"
    channels, taken = _entry(vae, "latent_channels", int), _entry(unet, "in_channels", int)
    if taken != channels:
        raise ModelError(f"{model!r}: its UNet takes {taken} channels (an inpainting model?), not the VAE's latents")
    scale = 2 ** (len(_entry(vae, "block_out_channels", list)) - 1)
    side = _entry(unet, "sample_size", int) * scale
    scheduler = _json(folder / "scheduler/scheduler_config.json")
    digest = (
        _fingerprint(folder, layout) if fingerprint else ""
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


def _hub_folder(repository: str, revision: str | None, *, download: bool) -> Path:
    """The snapshot folder in the hub's cache. Asks the hub once before fetching: its client retries half a minute."""
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    patterns = ["model_index.json", *(f"{part}/{pattern}" for part in PARTS for pattern in FILES)]
    try:
        try:
            cached = hf_hub_download(repository, "model_index.json", revision=revision, local_files_only=True)
        except LocalEntryNotFoundError:
            HfApi().model_info(repository, revision=revision, timeout=10)
            wanted = patterns if download else [pattern for pattern in patterns if pattern.endswith(".json")]
            return Path(snapshot_download(repository, revision=revision, allow_patterns=wanted))
        if download:
            return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
        return Path(cached).parent
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise ModelError(
            f"{repository!r}: the hub knows no such model or revision, or it needs a token (`hf auth login`)"
        ) from None
    except Exception as error:  # noqa: BLE001 - which HTTP library fails, and how, depends on the client's version
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{repository!r} is not in the local cache and cannot be fetched ({reason}); "
            "try again online, or give the folder of a downloaded model"
        ) from None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path.parent}: no {path.name} in it; a model folder is in diffusers' layout") from None
    except (OSError, ValueError) as error:
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


def _fingerprint(folder: Path, layout: Layout) -> str:
    """sha256 over the names and sha256 sums of all files that decide a picture."""
    total = hashlib.sha256()
    for path in _model_files(folder, layout):
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
