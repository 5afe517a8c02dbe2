"""One object of a store that several processes want to write: what a lease is kept in."""

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

from render.store.object_errors import store_errors

__all__ = ["Cell", "ObjectCell"]


class Cell(Protocol):
    """One object of a store."""

    def read(self) -> bytes | None:
        """Its bytes, None where it is not there."""
        ...

    def create(self, data: bytes) -> bool:
        """Write it where it is not there; False where it is, also when somebody else was faster."""
        ...

    def write(self, data: bytes) -> None:
        """Write it, there or not."""
        ...

    def delete(self) -> None:
        """Delete it."""
        ...


class ObjectCell:
    """A cell over fsspec's interface. It is read as the store reads, and written without asking for the lease first."""

    def __init__(self, filesystem: Any, path: str, where: str, read: Callable[[], bytes | None]) -> None:
        """``where`` is for messages."""
        self._files = filesystem
        self._path = path
        self._where = where
        self._read = read

    def read(self) -> bytes | None:
        """The object's bytes, None where it is not there."""
        return self._read()

    def create(self, data: bytes) -> bool:
        """Put the object where none is."""
        if self.read() is not None:  # not every store heeds a put that must not overwrite
            return False
        with store_errors(self._where):
            try:
                self._files.pipe_file(self._path, data, mode="create")
            except FileExistsError:
                return False
        return True

    def write(self, data: bytes) -> None:
        """Put the object."""
        with store_errors(self._where):
            self._files.pipe_file(self._path, data)

    def delete(self) -> None:
        """Delete the object, where it is there."""
        with store_errors(self._where), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._path)
