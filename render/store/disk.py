"""A run directory on a local or network disk.

Every file is written beside its target, synced and renamed, its folder synced. The lock is an flock, which the kernel
drops with its process; NFS carries it from machine to machine.
"""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

from render.errors import LockedError, StoreError

__all__ = ["DiskStore"]

READERS = 8  # at a time: a network disk answers many as fast as one


class DiskStore:
    """A folder of a disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self) -> None:
        """Make the folder, and where its segments go."""
        with disk_errors(self._folder):
            (self._folder / "segments").mkdir(parents=True, exist_ok=True)

    def location(self, name: str = "") -> Path:
        """The file itself."""
        return self._folder / name

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, None where there is none."""
        with disk_errors(self._folder / name):
            try:
                return (self._folder / name).read_bytes()
            except FileNotFoundError:
                return None

    def read_marks(self, sizes: Mapping[str, int]) -> dict[str, bytes]:
        """Files by name; what the disk cannot read is as good as absent."""

        def read(name: str) -> bytes | None:
            try:
                return (self._folder / name).read_bytes()
            except OSError:
                return None

        with ThreadPoolExecutor(READERS) as readers:
            found = zip(sizes, readers.map(read, sizes), strict=True)
            return {name: data for name, data in found if data is not None}

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Bytes of the files in a folder."""
        found = {}
        with disk_errors(self._folder / folder):
            try:
                with os.scandir(self._folder / folder) as entries:
                    for entry in entries:
                        with contextlib.suppress(FileNotFoundError):  # deleted while we look
                            if entry.is_file():
                                found[f"{folder}/{entry.name}" if folder else entry.name] = entry.stat().st_size
            except FileNotFoundError:
                return {}
        return found

    def write(self, files: Mapping[str, bytes]) -> None:
        """Each beside its target, synced, renamed; then their folders are synced."""
        for name, data in files.items():
            self._write(self._folder / name, data)
        for folder in {(self._folder / name).parent for name in files}:
            with disk_errors(folder):
                _sync_folder(folder)

    def _write(self, target: Path, data: bytes) -> None:
        with disk_errors(target):
            # a folder below must not bring back the whole directory: its disk may have been unmounted a moment ago
            target.parent.mkdir(parents=target.parent == self._folder, exist_ok=True)
            beside = target.with_name(f".{target.name}.part")
            try:
                with beside.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                beside.replace(target)
            finally:
                beside.unlink(missing_ok=True)

    def mark(self, name: str, data: bytes) -> None:
        """A file like others."""
        self.write({name: data})

    def delete(self, names: Iterable[str]) -> None:
        """Delete files, in the order they are named."""
        for name in names:
            with disk_errors(self._folder / name):
                (self._folder / name).unlink(missing_ok=True)

    def scratch(self, name: str) -> Path:
        """Beside its target: a rename crosses no disks."""
        target = self._folder / name
        return target.with_name(f".part.{target.name}")

    def publish(self, beside: Path, name: str) -> Path:
        """Synced and renamed."""
        target = self._folder / name
        with disk_errors(target):
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            beside.replace(target)
            _sync_folder(target.parent)
        return target

    def fetch(self, names: Sequence[str]) -> list[Path]:
        """The files themselves."""
        return [self._folder / name for name in names]

    def close(self) -> None:
        """Nothing: there are no copies."""

    def append(self, line: bytes) -> None:
        """At once; a line that a crash tore is ended first."""
        path = self._folder / "events.jsonl"
        with disk_errors(path), path.open("a+b") as file:
            if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
                line = b"\n" + line  # ours must not hang on it
            file.write(line)

    def log(self) -> bytes:
        """``events.jsonl``."""
        return self.read("events.jsonl") or b""

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold an flock. The kernel drops it with its process, so nothing has to be cleaned up after a crash."""
        with disk_errors(self._folder):
            file = (self._folder / "lock").open("a+")
        try:  # the body is not to be blamed on this folder: it may talk to a terminal or a cluster
            self._take(file)
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # what it says is for people; the body's own error is what counts
                    file.truncate(0)
        finally:
            with contextlib.suppress(OSError):  # closed is unlocked, also where the disk refuses to write
                file.close()

    def _take(self, file: TextIO) -> None:
        """Lock the open file; tried three times, because ``locked`` holds a lock of its own for an instant."""
        for pause_s in (0.1, 0.1, None):
            try:
                with disk_errors(self._folder / "lock"):
                    return _sign(file)
            except BlockingIOError:
                if pause_s:
                    time.sleep(pause_s)
        file.seek(0)
        raise LockedError.held(self._folder, file.read().strip())

    def locked(self) -> bool:
        """Whether a process holds the flock."""
        path = self._folder / "lock"
        if not path.exists():
            return False
        with disk_errors(path), path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def tidy(self, folders: Sequence[str]) -> None:
        """Remove empty folders."""
        for name in folders:
            with contextlib.suppress(OSError):  # not empty: somebody keeps files of their own there
                (self._folder / name).rmdir()


def _sign(file: TextIO) -> None:
    """Take the lock and write who holds it. Raises BlockingIOError while another process has it."""
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """OSError -> StoreError with the cure. A lock that is held passes through: it is no failure."""
    try:
        yield
    except BlockingIOError:
        raise
    except OSError as error:
        raise StoreError.of(error, path) from error
