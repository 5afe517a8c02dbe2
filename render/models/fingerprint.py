"""Which files of a model decide a picture, and one sum over all of them. Knows their names and bytes, no content."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from render.errors import ModelError
from render.models.contents import contents_of, files_of, weights_of
from render.models.damage import damage
from render.models.families import Family, Layout

__all__ = ["fingerprint_of", "layout_of", "model_files", "revision_of"]


def layout_of(folder: Path, family: Family) -> Layout:
    """Weights win over graphs where a folder holds both: they can be cast, and any graph made of them."""
    denoiser = folder / family.denoiser
    graphs = (denoiser / "model.onnx").is_file() and not any(denoiser.glob("*.safetensors"))
    return "onnx" if graphs else "diffusers"


def model_files(folder: Path, family: Family, layout: Layout) -> Iterator[Path]:
    """The files that decide a picture, in the order in which they are summed."""
    yield folder / "model_index.json"
    if layout == "onnx":  # all files: weights beside a graph have any name
        for part in family.graph_parts:
            yield from sorted(path for path in (folder / part).rglob("*") if path.is_file())
        return
    contents = contents_of(folder)
    for part in family.parts:
        yield from (folder / part / name for name in files_of(part, contents[part]))
    for part in sorted(family.weighted):
        weights = weights_of(part, contents[part])
        if weights is not None and weights.pickled:
            yield from (folder / part / name for name in weights.files)


def fingerprint_of(folder: Path, files: Iterable[Path]) -> str:
    """sha256 over the names and sha256 sums of all files that decide a picture. Raises ModelError."""
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(folder).as_posix()}\0{_file_sha256(path)}\n".encode())
    return total.hexdigest()


def _file_sha256(path: Path) -> str:
    """Of a file in the hub's cache the name of its blob, which is the sum already; else computed."""
    target = path.resolve().name
    if path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", target):
        return target
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: {damage(path) or f'cannot be read: {error.strerror}'}") from None


def revision_of(folder: Path) -> str | None:
    """The commit of a folder in the hub's cache (``…/snapshots/<commit>``), None for any other folder."""
    return folder.name if folder.parent.name == "snapshots" else None
