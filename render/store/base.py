"""What a run directory asks of the store it lies in. ``disk.py`` and ``object_store.py`` are such stores.

A store moves whole files by name (``segments/000000-000008.mp4``) and keeps a log and a lock. It knows neither plans
nor pictures. Every method raises StoreError, with the cure, when the store refuses.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from render.spec import Location

__all__ = ["Store"]


class Store(Protocol):
    """A location for one run directory, and what can be done there."""

    def create(self) -> None:
        """Make the location where it has to be made."""
        ...

    def location(self, name: str = "") -> Location:
        """Where a file is, for people and for programs on this machine. Holds no credentials."""
        ...

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, None where there is none."""
        ...

    def read_marks(self, sizes: Mapping[str, int]) -> dict[str, bytes]:
        """Many small files that ``mark`` wrote and ``sizes`` listed, fast; those that cannot be read are left out."""
        ...

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Bytes of the files directly in a folder, by name from the root; empty where there is no such folder."""
        ...

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write files, each whole or not at all; all are durable when this returns."""
        ...

    def mark(self, name: str, data: bytes) -> None:
        """Write a small file that will be read back together with thousands of its kind (``read_marks``)."""
        ...

    def delete(self, names: Iterable[str]) -> None:
        """Delete files; those that are gone already do not matter."""
        ...

    def scratch(self, name: str) -> Path:
        """A local path to write a large ``name`` to before ``publish``."""
        ...

    def publish(self, beside: Path, name: str) -> Path:
        """Bring a file from its scratch path to where it counts; returns a local path to read it from."""
        ...

    def fetch(self, names: Sequence[str]) -> list[Path]:
        """Local paths of files, downloaded once where they are not local; a missing file's path does not exist.

        Downloads stay until the lock is released, or ``close``.
        """
        ...

    def close(self) -> None:
        """Remove local copies."""
        ...

    def append(self, line: bytes) -> None:
        """Add a line to the log. It may rest in memory for seconds, but no longer than the lock is held."""
        ...

    def log(self) -> bytes:
        """The log so far."""
        ...

    def lock(self) -> AbstractContextManager[None]:
        """Hold it for this process. Raises LockedError while another one does; a dead one's lock falls to us."""
        ...

    def locked(self) -> bool:
        """Whether a process holds it now."""
        ...

    def tidy(self, folders: Sequence[str]) -> None:
        """Take away these folders where nothing is in them; an empty name is the location itself."""
        ...
