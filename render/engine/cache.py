"""Where this machine keeps what is costly to make and can be made again: compiled kernels, exported graphs.

``$XDG_CACHE_HOME/render``, by default ``~/.cache/render``; it may be deleted at any time. Workers of several jobs share
it: what one is making, the others wait for.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from render.errors import StoreError, shown

__all__ = ["folder", "making"]


def folder(kind: str) -> Path:
    """The cache's folder for one kind of thing, made where it is missing. Raises StoreError."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = Path(base, "render", kind)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{shown(path)}: the cache cannot be made there ({error.strerror}); set XDG_CACHE_HOME to a folder of yours"
        ) from error
    return path


@contextlib.contextmanager
def making(path: Path) -> Iterator[Path]:
    """Holds ``path`` for one process: whoever comes second finds it made, once the first one is done.

    Yields a temporary path beside it; what stands there when the block ends is renamed to ``path``.
    """
    with FileLock(f"{path}.lock"):
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            yield temporary
            if temporary.exists():
                temporary.rename(path)
        finally:
            if temporary.is_dir():
                shutil.rmtree(temporary)
            else:
                temporary.unlink(missing_ok=True)
