"""A folder in diffusers' layout -> torch modules and text encoders, through the pipeline of its family.

Nothing comes from the network; only safetensors are read, where nothing else was granted.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from render import models
from render.engine.backends.eager import EagerModel
from render.engine.families.base import Family
from render.engine.text_encoder import TextEncoder
from render.errors import ModelError

__all__ = ["Source", "load", "load_text", "open_pipeline", "pipeline_class", "quieten", "what_is_read"]

BROKEN = (
    *(OSError, ValueError, RuntimeError, LookupError, ImportError, TypeError, AttributeError),
    *(EOFError, SafetensorError, pickle.UnpicklingError),
)
"""What diffusers and transformers raise over files that are not what they should be."""


@dataclass(frozen=True)
class Source:
    """A folder in diffusers' layout; with ``trust`` also what in it could run code is loaded."""

    folder: Path
    family: Family
    trust: bool = False


def load(
    source: Source, dtype: torch.dtype, device: torch.device, tiny_vae: Path | None = None
) -> tuple[EagerModel, TextEncoder]:
    """Load a folder in diffusers' layout. Raises ModelError when no model can be made of it.

    ``tiny_vae`` is the folder of an ``AutoencoderTiny`` that decodes instead of the model's own VAE (TAESD,
    https://github.com/madebyollin/taesd). It takes the sampler's latents by the same rule as any VAE of diffusers:
    divided by its own ``scaling_factor``, which is 1 for TAESD.
    """
    pipeline = open_pipeline(source, dtype)
    vae = pipeline.vae if tiny_vae is None else _tiny_vae(tiny_vae, dtype)
    denoiser = source.family.row.denoiser
    modules = EagerModel(getattr(pipeline, denoiser), vae, source.family, dtype, device)
    pipeline.register_modules(vae=None, **{denoiser: None})
    return modules, TextEncoder(pipeline.to(device), source.family, device)


def _tiny_vae(folder: Path, dtype: torch.dtype) -> Any:
    import diffusers

    try:
        return _whole(diffusers.AutoencoderTiny, folder, use_safetensors=True, **{_dtype_argument(): dtype})
    except BROKEN as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(f"{folder}: diffusers cannot load it as a tiny VAE: {reason}") from error


def load_text(source: Source, device: torch.device) -> TextEncoder:
    """The text encoders alone. Raises ModelError."""
    pipeline = open_pipeline(source, torch.float32, vae=None, **{source.family.row.denoiser: None})
    return TextEncoder(pipeline.to(device), source.family, device)


def open_pipeline(source: Source, dtype: torch.dtype, **given: Any) -> Any:
    """diffusers' pipeline of a folder, denoiser and VAE in ``dtype``: nothing from the network.

    ``given`` modules are not read, nor is the scheduler, which `render.engine.sampler` makes. Raises ModelError.
    """
    name = source.family.row.denoiser
    dtypes = {"default": torch.float32, name: dtype, "vae": dtype}
    try:
        given = {"scheduler": None} | _weighted(source, dtypes, given) | given
        pipeline = pipeline_class(source.family).from_pretrained(
            source.folder, local_files_only=True, **what_is_read(source), **{_dtype_argument(): dtypes}, **given
        )
    except BROKEN as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(f"{source.folder}: diffusers cannot load it: {reason}") from error
    return pipeline


def _weighted(source: Source, dtypes: Mapping[str, torch.dtype], given: Mapping[str, Any]) -> dict[str, Any]:
    """The parts that have weights, each loaded as the variant that is there (``model.fp16.safetensors``).

    One by one: told to load a variant, diffusers' pipeline takes it of every part, also where there are full weights,
    and it never tells which weights were not there: those would be random. Raises ModelError for such a part.
    """
    quieten()
    index = pipeline_class(source.family).load_config(source.folder, local_files_only=True)
    variants, safe = models.variants(source.folder, source.family.row), None if source.trust else True
    loaded = {}
    for part in source.family.row.weighted:
        library, name = index[part]
        if part not in given and library in ("diffusers", "transformers"):  # else code that the model brings
            dtype = {_dtype_argument(library): dtypes.get(part, dtypes["default"])}
            loaded[part] = _whole(
                getattr(import_module(library), name),
                source.folder / part,
                variant=variants.get(part),
                use_safetensors=safe,
                **dtype,
            )
    return loaded


def _whole(cls: Any, folder: Path, **options: Any) -> Any:
    """A part of which every weight was read. Raises ModelError; what a class goes without, its library knows."""
    module, said = cls.from_pretrained(str(folder), local_files_only=True, output_loading_info=True, **options)
    if missing := sorted(said["missing_keys"]):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelError(
            f"{folder}: its weights lack {missing[0]}{more}, which its config.json asks for; fetch the model again, "
            "or put the config.json there that belongs to the weights"
        )
    return module


def pipeline_class(family: Family) -> Any:
    """diffusers' pipeline of a family."""
    import diffusers

    quieten()
    return getattr(diffusers, str(family.row.pipeline))


def quieten() -> None:
    """Turn off what diffusers and transformers say about themselves: errors are raised, and missing weights are."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def what_is_read(source: Source) -> dict[str, Any]:
    """Arguments of ``from_pretrained``. ``use_safetensors`` None: pickles where there are no safetensors."""
    index, row = pipeline_class(source.family).load_config(source.folder, local_files_only=True), source.family.row
    # parts that are not used need not be there, whatever the index names
    unused = {name: None for name, value in index.items() if isinstance(value, list) and name not in row.parts}
    trusted = {"use_safetensors": None, "trust_remote_code": True}
    return {**unused, **row.left_out, **(trusted if source.trust else {"use_safetensors": True})}


def _dtype_argument(library: str = "diffusers") -> str:
    """What ``from_pretrained`` calls it: diffusers 0.42 renamed ``torch_dtype``, and warns about the old name.

    transformers has renamed it in all versions that are supported.
    """
    import diffusers

    if library != "diffusers":
        return "dtype"
    major, minor = (int(part) for part in diffusers.__version__.split(".")[:2])
    return "dtype" if (major, minor) >= (0, 42) else "torch_dtype"
