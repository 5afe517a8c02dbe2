"""What is wrong with one file of a model, in words with the cure: looked at as far as its size and its header say.

Nothing is read of a file of weights but its header, which the library of the format takes apart.
"""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from render.errors import ModelError
from render.models.trust import MAX_JSON_BYTES

__all__ = ["damage", "open_weights", "require_whole"]

POINTER = b"version https://git-lfs.github.com/spec/"
AGAIN = "delete it and fetch the model again"


def require_whole(path: Path) -> None:
    """Raise ModelError where a file cannot be what its name says."""
    if what := damage(path):
        raise ModelError(f"{path}: {what}")


def damage(path: Path) -> str | None:
    """What is wrong with a file, None where nothing can be seen without reading all of it."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return f"is no file, but something else of that name; {AGAIN}"
        with path.open("rb") as file:
            head = file.read(len(POINTER))
    except OSError as error:
        return _unreadable(path, error)
    if not head:
        return f"is empty; {AGAIN}"
    if head == POINTER:
        return (
            "is a Git LFS pointer, which stands for the file and is not the file; run `git lfs pull` in the model's "
            "folder, or fetch the model again"
        )
    check = CHECKS.get(path.suffix)
    return check(path) if check else None


def open_weights(path: Path) -> Any:
    """A safetensors file, opened: its header was checked, against its size too. Raises ModelError."""
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="numpy")
    except (SafetensorError, OSError):
        raise ModelError(f"{path}: {damage(path) or f'cannot be read; {AGAIN}'}") from None


def _unreadable(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"cannot be read: permission denied; make it readable (`chmod u+r {path.name}`), also its folder"
    if path.is_symlink() and isinstance(error, FileNotFoundError):
        return f"is a link to a file that is gone ({os.readlink(path)}); {AGAIN}"
    return f"cannot be read: {error.strerror}; {AGAIN}"


def _no_json(path: Path) -> str | None:
    if path.stat().st_size > MAX_JSON_BYTES:
        return f"is larger than {MAX_JSON_BYTES >> 20} MiB; that is no model's configuration"
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return f"cannot be read: {error}; {AGAIN}"
    return None


def _no_safetensors(path: Path) -> str | None:
    from safetensors import SafetensorError, safe_open

    try:
        safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        reason = str(error).removeprefix("Error while deserializing header: ")
        if "incomplete" in reason or "header length" in reason:  # in the library's words
            reason = f"it has {path.stat().st_size} bytes, and not as many as its header says: was it cut short?"
        return f"is no safetensors file ({reason}); {AGAIN}"
    return None


CHECKS: dict[str, Callable[[Path], str | None]] = {".json": _no_json, ".safetensors": _no_safetensors}
"""What more is to be seen, by the ending of a name."""
