"""Which files of a model are read, by their names alone: those of a folder, or those that the hub lists.

Weights lie in a folder under their plain name, or as a variant in another precision (``model.fp16.safetensors``); whole
or in shards that an index names. Knows no bytes.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from render.errors import ModelError
from render.models.families import FAMILIES, Family

__all__ = [
    "CONFIGS",
    "Contents",
    "Located",
    "Weights",
    "contents_of",
    "files_of",
    "listed",
    "variants",
    "wanted",
    "weights_of",
]

Contents = Mapping[str, frozenset[str]]
"""The names of the files in each folder of a model; those at the top are in ``""``."""

CONFIGS = ("*.json", "*.txt")
VARIANTS = ("", "fp32", "bf16", "fp16")
"""The same weights in other precisions, the first that is there is read. Any other variant is another model's."""
TRANSFORMERS = {"safetensors": "model", "bin": "pytorch_model"}
DIFFUSERS = {"safetensors": "diffusion_pytorch_model", "bin": "diffusion_pytorch_model"}
"""What the two libraries call weights, each of its own parts and no other name."""


@dataclass(frozen=True)
class Located:
    """A model's folder, and what is in it. ``fetched``: else ``contents`` are what the hub lists, and will be there."""

    folder: Path
    contents: Contents
    fetched: bool = True


@dataclass(frozen=True)
class Weights:
    """The files of a part's weights, the variant that they are (``""`` for none), and whether they are pickled."""

    files: tuple[str, ...]
    variant: str
    pickled: bool = False

    @property
    def index(self) -> str:
        """The name of the index of shards, where there are any."""
        stem, dot = self.files[0].partition(".")[0], f".{self.variant}" if self.variant else ""
        return f"{stem.partition('-')[0]}.safetensors.index{dot}.json"


def contents_of(folder: Path) -> Contents:
    """The names in a model's folder and the folders of its parts, broken links included. Raises ModelError."""
    found = {}
    for part in ("", *_parts()):
        try:
            found[part] = frozenset(os.listdir(folder / part))
        except (FileNotFoundError, NotADirectoryError):
            found[part] = frozenset()
        except OSError as error:
            raise ModelError(f"{folder / part}: cannot be read: {error.strerror}") from None
    return found


def listed(paths: Iterable[str]) -> Contents:
    """The same of files by their paths, as the hub lists a repository."""
    found: dict[str, set[str]] = {part: set() for part in ("", *_parts())}
    for path in paths:
        part, _, name = path.rpartition("/")
        if part in found:
            found[part].add(name)
    return {part: frozenset(names) for part, names in found.items()}


def weights_of(part: str, names: frozenset[str]) -> Weights | None:
    """The weights among the files of a part: safetensors first, full precision first; None where there are none."""
    texts = {encoder for family in FAMILIES.values() for encoder in family.text_encoders}
    for suffix, stem in (TRANSFORMERS if part in texts else DIFFUSERS).items():
        for variant in VARIANTS:
            if files := _matching(names, _patterns(stem, variant, suffix)):
                return Weights(tuple(files), variant, pickled=suffix == "bin")
    return None


def files_of(part: str, names: frozenset[str]) -> list[str]:
    """The files of a part that are read, safetensors and no pickles, in the order in which they are summed."""
    weights = weights_of(part, names)
    safe = [] if weights is None or weights.pickled else [*weights.files]
    return [*_matching(names, CONFIGS), *safe]


def wanted(contents: Contents, *, trust: bool) -> list[str]:
    """The paths to fetch: what is read of every part, pickles only with ``trust`` and where there is nothing else."""
    found = ["model_index.json"] if "model_index.json" in contents[""] else []
    for part in sorted({part for family in FAMILIES.values() for part in family.parts}):
        weights = weights_of(part, contents[part])
        pickles = weights.files if trust and weights is not None and weights.pickled else ()
        found += [f"{part}/{name}" for name in (*files_of(part, contents[part]), *pickles)]
    return found


def variants(folder: Path, family: Family) -> dict[str, str]:
    """The parts of which a variant is read, and which: ``{"unet": "fp16"}``. Raises ModelError."""
    contents = contents_of(folder)
    weights = {part: weights_of(part, contents[part]) for part in family.weighted}
    return {part: found.variant for part, found in weights.items() if found is not None and found.variant}


def _patterns(stem: str, variant: str, suffix: str) -> list[str]:
    dot, shards = f".{variant}" if variant else "", ("", "-*-of-*") if suffix == "safetensors" else ("",)
    return [f"{stem}{dot}{shard}.{suffix}" for shard in shards]


def _matching(names: frozenset[str], patterns: Iterable[str]) -> list[str]:
    """Names by pattern, each once."""
    found = (name for pattern in patterns for name in sorted(names) if fnmatchcase(name, pattern))
    return list(dict.fromkeys(found))


def _parts() -> list[str]:
    """The folders of all families, of models and of graphs."""
    rows = FAMILIES.values()
    return sorted({part for family in rows for part in (*family.parts, *family.graph_parts)})
