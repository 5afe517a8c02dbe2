"""Places that commands are told of: whether a folder can be made there, and written to. Makes and opens nothing."""

import os
from collections.abc import Iterator
from pathlib import Path

from render.errors import SpecError, StoreError, shown

__all__ = ["check_working_folder", "given_file", "given_folder", "given_job", "obstacle"]

ROOM_BYTES = 80  # below a run directory, for the longest name: segments/.00000000-00000000x1000.mp4.part


def check_working_folder() -> None:
    """Raise StoreError where the folder is gone in which the command was started: all other names begin there."""
    try:
        os.getcwd()
    except OSError as error:
        raise StoreError(
            f"the folder in which this was started is gone ({error.strerror}); cd to one that is there"
        ) from None


def given_job(text: str) -> Path:
    """A job file, a directory of them, or ``-`` for standard input. A file of that name is written ``./-``."""
    path = Path(os.path.expanduser(text))
    return path.absolute() if str(path) == "-" and text != "-" else path


def given_folder(text: str) -> Path:
    """A folder to be written: ``~`` is home, however it was quoted. Raises SpecError where it cannot be one."""
    path = _path(text)
    if mistake := obstacle(path):
        raise SpecError(f"{mistake}; choose another folder")
    return path


def given_file(text: str) -> Path:
    """The same for a file: its folder has to be possible, and it may be there already."""
    path = _path(text)
    if mistake := obstacle(path.parent):
        raise SpecError(f"{mistake}; choose another folder")
    if os.path.isdir(path):
        raise SpecError(f"{shown(path)}: is a folder; name a file")
    return path


def _path(text: str) -> Path:
    from render.spec.location import folder_mistake, home_mistake  # with pydantic behind it: only where it is needed

    if mistake := folder_mistake(text) or home_mistake(text):
        raise SpecError(mistake)
    return Path(os.path.expanduser(text))


def obstacle(folder: Path) -> str | None:
    """Why this folder cannot be made or written to, with what is in the way; None where nothing is."""
    try:
        absolute = folder.absolute()
        if len(os.fsencode(absolute)) + ROOM_BYTES > os.pathconf("/", "PC_PATH_MAX"):
            return f"{shown(absolute)[:40]}…: a path of {len(os.fsencode(absolute)):,} bytes; choose a shorter one"
        existing = next(_existing(absolute))
        if not os.path.isdir(existing):
            return f"{shown(absolute)}: {_in_the_way(existing)}"
    except UnicodeEncodeError as error:
        return f"{folder}: {error.encoding} names no such folder here; set LC_ALL=C.UTF-8, or choose another one"
    if os.access(existing, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return None
    if os.statvfs(existing).f_flag & os.ST_RDONLY:
        return f"{shown(absolute)}: {shown(existing)} lies on a read-only disk"
    return f"{shown(absolute)}: {shown(existing)} is not writable"


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
