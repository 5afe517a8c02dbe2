"""Folders of this machine: what is in the way of one that is to be made or written to, and one for temporary files."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from render.errors import StoreError, shown
from render.store.layout import is_ours

__all__ = ["foreign_file", "obstacle", "temporary_folder"]

ROOM_BYTES = 80  # below a run directory, for the longest name: segments/.00000000-00000000x1000.mp4.part


def foreign_file(folder: Path) -> str | None:
    """A file of somebody else's that a run in the folder would write over; None where there is none, or a run was here.

    A preview is made before any run.
    """
    try:
        names = set(os.listdir(folder))
    except OSError:
        return None
    if names & {"plan.json", "lock"}:
        return None
    ours = (name for name in names if is_ours(name, keep_film=False) and not name.startswith((".", "preview.")))
    return min(ours, default=None)


def temporary_folder(purpose: str) -> TemporaryDirectory[str]:
    """A folder that goes with its block, or with ``cleanup``. Raises StoreError where no place for one is to be had."""
    try:
        return TemporaryDirectory(prefix=f"render-{purpose}-", ignore_cleanup_errors=True)
    except OSError as error:
        raise StoreError(
            f"there is no place for temporary files ({error.strerror}); set TMPDIR to a folder that can be written"
        ) from None


def obstacle(folder: Path) -> str | None:
    """Why this folder cannot be made or written to, with what is in the way; None where nothing is."""
    try:
        absolute = folder.absolute()
        if len(os.fsencode(absolute)) + ROOM_BYTES > os.pathconf("/", "PC_PATH_MAX"):
            return f"{shown(absolute)[:40]}…: a path of {len(os.fsencode(absolute)):,} bytes; choose a shorter one"
        existing = next(_existing(absolute))
        where = "" if existing == absolute else f"{shown(absolute)}: "
        if not os.path.isdir(existing):
            return where + _in_the_way(existing)
        if of_kernel := re.match(r"/(proc|sys)(?=/|$)", os.path.realpath(existing)):
            return f"{shown(absolute)}: in {of_kernel[0]} there are only files of the system, and none can be made"
    except UnicodeEncodeError as error:
        return f"{folder}: {error.encoding} names no such folder here; set LC_ALL=C.UTF-8, or choose another one"
    if os.access(existing, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return None
    if os.statvfs(existing).f_flag & os.ST_RDONLY:
        return f"{where}{shown(existing)} lies on a read-only disk"
    return f"{where}{shown(existing)} is not writable"


def _existing(folder: Path) -> Iterator[Path]:
    """What there is of a path, the deepest first; a link counts, wherever it leads."""
    return (path for path in (folder, *folder.parents) if os.path.lexists(path))


def _in_the_way(path: Path) -> str:
    """What stands where a folder should be."""
    if not path.is_symlink():
        return f"{shown(path)} is a file, so no folder can be made there"
    if os.path.exists(path):
        return f"{shown(path)} is a link to a file, so no folder can be made there"
    return f"{shown(path)} is a link to {shown(os.readlink(path))}, which is not there: make that folder"
