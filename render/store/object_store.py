"""A run directory in an object store, over a filesystem of fsspec's interface (``filesystems.py`` makes them).

An object is put whole or not at all, so nothing is renamed: stills and segment first, then the done record, and a
record counts while the listing shows its files in full size. The log grows in numbered parts; the records are kept a
second time in such parts (``index/``), because thousands of small objects cannot be read in seconds. The lock is a
lease. While it is held a passing outage is waited for.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from render.errors import RenderError, StoreError
from render.store.cell import ObjectCell
from render.store.folders import temporary_folder
from render.store.journal import Journal
from render.store.lease import BEAT_S, LEASE_S, Lease
from render.store.retry import Retry, each

__all__ = ["ObjectStore"]

Result = TypeVar("Result")


class ObjectStore:
    """A prefix of a bucket. ``filesystem`` is fsspec's; times are of the lease."""

    def __init__(self, url: str, filesystem: Any, *, beat_s: float = BEAT_S, lease_s: float = LEASE_S) -> None:
        self._url = url.rstrip("/")
        self._files = filesystem
        self._root = str(filesystem._strip_protocol(self._url)).rstrip("/")
        self._times = {"beat_s": beat_s, "lease_s": lease_s}
        self._lease: Lease | None = None
        self._retry = Retry()
        self._local: TemporaryDirectory[str] | None = None
        self._events = self._journal("events")
        self._index = self._journal("index")

    def create(self) -> None:
        """Nothing: a prefix is there as soon as something lies in it."""

    def location(self, name: str = "") -> str:
        """The URL."""
        return f"{self._url}/{name}" if name else self._url

    def read(self, name: str) -> bytes | None:
        """The bytes of an object, None where there is none."""

        def read() -> bytes | None:
            with contextlib.suppress(FileNotFoundError):
                return bytes(self._files.cat_file(self._path(name)))
            return None

        return self._ask(name, read)

    def read_marks(self, sizes: Mapping[str, int]) -> dict[str, bytes]:
        """Out of the index where it knows them in their listed size, one by one where not.

        A crash may leave the index a commit behind; an old entry's sum is checked before joining like any other.
        """
        indexed = {}
        for line in self._text("index").splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):  # no line of ours
                entry = json.loads(line)
                indexed[entry["name"]] = entry["text"].encode()
        found = {name: indexed[name] for name, size in sizes.items() if name in indexed and len(indexed[name]) == size}
        others = [name for name in sizes if name not in found]
        texts = zip(others, each(self.read, others), strict=True)
        read = {name: data for name, data in texts if data is not None}
        if read and self._lease is not None:
            self._index.append(_entry(name, data) for name, data in read.items())
        return found | read

    def sizes(self, folder: str = "") -> dict[str, int]:
        """One listing."""

        def listing() -> list[dict[str, Any]]:
            with contextlib.suppress(FileNotFoundError):
                return list(self._files.ls(self._path(folder), detail=True))
            return []

        found = {}
        for entry in self._ask(folder, listing):
            if entry["type"] == "file":
                name = entry["name"].rsplit("/", 1)[-1]
                found[f"{folder}/{name}" if folder else name] = int(entry["size"])
        return found

    def write(self, files: Mapping[str, bytes]) -> None:
        """Put objects, many at a time."""
        each(lambda name: self._put(name, files[name]), files)

    def _put(self, name: str, data: bytes) -> None:
        self._change(name, lambda: self._files.pipe_file(self._path(name), data))

    def mark(self, name: str, data: bytes) -> None:
        """The object first, then its copy in the index: an entry whose object is not there counts for nothing."""
        self.write({name: data})
        self._append(self._index, _entry(name, data))

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; the index may still know them, but what is not listed does not count."""

        def delete(name: str) -> None:
            with contextlib.suppress(FileNotFoundError):
                self._files.rm_file(self._path(name))

        each(lambda name: self._change(name, lambda: delete(name)), names)

    def scratch(self, name: str) -> Path:
        """In the folder of temporary files, of this name's own."""
        return self._copy(name).with_name(f".part.{name}")

    def publish(self, beside: Path, name: str) -> Path:
        """Put the file and see that it arrived whole."""
        size = beside.stat().st_size
        self._change(name, lambda: self._files.put_file(str(beside), self._path(name)))
        arrived = self._ask(name, lambda: self._files.info(self._path(name))["size"])
        if arrived != size:
            raise StoreError(
                f"{self.location(name)}: {arrived} of {size} bytes arrived; "
                "run the same command again, it puts it again"
            )
        return beside.replace(self._copy(name))

    def fetch(self, names: Sequence[str]) -> list[Path]:
        """Downloaded into a folder of temporary files, once."""
        missing = [name for name in dict.fromkeys(names) if not self._copy(name).exists()]
        each(self._download, missing)
        return [self._copy(name) for name in names]

    def _download(self, name: str) -> None:
        target = self._copy(name)
        target.parent.mkdir(exist_ok=True)
        beside = target.with_name(f".part.{target.name}")

        def download() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._files.get_file(self._path(name), str(beside))
                beside.replace(target)

        self._ask(name, download)

    def close(self) -> None:
        """Remove the downloads."""
        if self._local is not None:
            self._local.cleanup()
            self._local = None

    def append(self, line: bytes) -> None:
        """Put away within seconds while the lock is held, at once without it."""
        self._append(self._events, line)

    def log(self) -> bytes:
        """All parts, and what is still on its way."""
        self._events.flush()
        return self._text("events")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lease. What the log still holds in memory is put away before it is given back."""
        lease = self._claim()
        lease.take()
        self._lease, self._retry.patient = lease, True  # nobody waits for an answer
        self._events, self._index = self._journal("events"), self._journal("index")  # others may have written parts
        try:
            yield
            self._flush()
        except BaseException:
            self._retry.patient = False
            with contextlib.suppress(RenderError):  # what ended the work is what counts
                self._flush()
            with contextlib.suppress(RenderError):
                lease.release()
            raise
        else:
            lease.release()
        finally:
            self._lease, self._retry.patient = None, False
            self.close()

    def locked(self) -> bool:
        """Whether the lease beats."""
        return self._claim().held()

    def tidy(self, folders: Sequence[str]) -> None:
        """Nothing: a prefix without objects is gone."""

    def _claim(self) -> Lease:
        cell = ObjectCell(self._files, self._path("lock"), self.location("lock"), lambda: self.read("lock"))
        return Lease(cell, self._url, self._flush, **self._times)

    def _flush(self) -> None:
        self._index.flush()
        self._events.flush()

    def _append(self, journal: Journal, line: bytes) -> None:
        journal.append([line])
        if self._lease is None:
            journal.flush()

    def _journal(self, folder: str) -> Journal:
        return Journal(
            folder,
            count=lambda: max((int(Path(name).stem) for name in self._parts(folder)), default=-1) + 1,
            put=lambda name, data: self.write({name: data}),
        )

    def _parts(self, folder: str) -> list[str]:
        return sorted(name for name in self.sizes(folder) if re.fullmatch(r"\d{6}\.jsonl", name.rsplit("/", 1)[-1]))

    def _text(self, folder: str) -> bytes:
        return b"\n".join(part for part in each(self.read, self._parts(folder)) if part is not None)

    def _change(self, name: str, call: Callable[[], Any]) -> None:
        """Write or delete, while the run directory is still ours; a local copy is old then."""

        def change() -> None:
            if self._lease is not None:
                self._lease.check()
            call()

        self._ask(name, change)
        if self._local is not None:
            self._copy(name).unlink(missing_ok=True)

    def _ask(self, name: str, call: Callable[[], Result]) -> Result:
        return self._retry.call(self.location(name), call)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _copy(self, name: str) -> Path:
        """Where a file's local copy is, or would be."""
        if self._local is None:
            self._local = temporary_folder("copies")
        return Path(self._local.name) / name


def _entry(name: str, data: bytes) -> bytes:
    """A line of the index."""
    return json.dumps({"name": name, "text": data.decode()}).encode() + b"\n"
