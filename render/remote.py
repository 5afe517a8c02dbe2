"""A run directory in an object store: ``s3://``, ``gs://``, ``az://``… through fsspec, which only this file knows.

An object is put whole or not at all, so nothing is renamed: stills and segment first, then the done record, and a
record counts while the listing shows its files in full size. The log grows in numbered parts; the records are kept a
second time in such parts (``index/``), because thousands of small objects cannot be read in seconds. The lock is a
lease. Credentials are found by the stores' own conventions; this file neither knows nor tells any.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from render.errors import RenderError, SpecError, StoreError
from render.journal import Journal
from render.lease import BEAT_S, LEASE_S, Lease
from render.outage import blame

__all__ = ["ObjectStore", "open_store", "unusable"]

Item = TypeVar("Item")
Result = TypeVar("Result")

CALLS = 32  # at a time: what a store of records answers in parallel
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}  # of this package
UNFIT = {
    "file": "write the folder itself",
    "local": "write the folder itself",
    "memory": "it dies with the process",
    "http": "it cannot be written",
    "https": "it cannot be written",
    "data": "it cannot be written",
    "zip": "it cannot be gone on with after a crash",
    "tar": "it cannot be written",
}
S3_OPTIONS = {  # botocore's own would wait a minute for each of five attempts
    "config_kwargs": {"connect_timeout": 10, "read_timeout": 60, "retries": {"mode": "standard", "max_attempts": 5}}
}
OPTIONS: Mapping[str, dict[str, Any]] = {"s3": S3_OPTIONS, "s3a": S3_OPTIONS}


def unusable(url: str) -> str | None:
    """Why run directories cannot lie at this address, with the cure; None where they can. Asks no network."""
    scheme = url.split("://", 1)[0]
    if scheme in UNFIT:
        return f"{url}: {scheme}:// is no place for a run directory: {UNFIT[scheme]}"
    try:
        from fsspec.registry import known_implementations, registry
    except ImportError:
        return f"{url}: object stores need fsspec; pip install 'render[{EXTRAS.get(scheme, 's3')}]'"
    if scheme in registry:
        return None
    if scheme not in known_implementations:
        return f"{url}: unknown kind of store {scheme}://; for example s3://bucket/films or gs://bucket/films"
    package = known_implementations[scheme]["class"].split(".")[0]
    if find_spec(package) is None:
        wanted = f"'render[{EXTRAS[scheme]}]'" if scheme in EXTRAS else package
        return f"{url}: {scheme}:// needs the package {package}; pip install {wanted}"
    return None


def open_store(url: str) -> ObjectStore:
    """The store at an address. Raises SpecError for an address that ``unusable`` refuses."""
    if refusal := unusable(url):
        raise SpecError(refusal)
    from fsspec import get_filesystem_class

    scheme = url.split("://", 1)[0]
    fresh = {"skip_instance_cache": True, "use_listings_cache": False}  # what others write must be seen
    return ObjectStore(url, get_filesystem_class(scheme)(**fresh, **OPTIONS.get(scheme, {})))


class ObjectStore:
    """A prefix of a bucket. ``filesystem`` is fsspec's; times are of the lease."""

    def __init__(self, url: str, filesystem: Any, *, beat_s: float = BEAT_S, lease_s: float = LEASE_S) -> None:
        self._url = url.rstrip("/")
        self._files = filesystem
        self._root = str(filesystem._strip_protocol(self._url)).rstrip("/")
        self._times = {"beat_s": beat_s, "lease_s": lease_s}
        self._lease: Lease | None = None
        self._local: TemporaryDirectory[str] | None = None
        self._events = self._journal("events")
        self._index = self._journal("index")

    def create(self) -> None:
        """Nothing: a prefix is there as soon as something lies in it."""

    def place(self, name: str = "") -> str:
        """The URL."""
        return f"{self._url}/{name}" if name else self._url

    def read(self, name: str) -> bytes | None:
        """The bytes of an object, None where there is none."""
        with self._blame(name), contextlib.suppress(FileNotFoundError):
            return bytes(self._files.cat_file(self._path(name)))
        return None

    def read_marks(self, sizes: Mapping[str, int]) -> dict[str, bytes]:
        """Out of the index where it knows them in their listed size, one by one where not."""
        indexed = {}
        for line in self._text("index").splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError):  # no line of ours: read one by one
                entry = json.loads(line)
                indexed[entry["name"]] = entry["text"].encode()
        found = {name: indexed[name] for name, size in sizes.items() if len(indexed.get(name, b"")) == size}
        others = [name for name in sizes if name not in found]
        read = {
            name: data for name, data in zip(others, self._each(self.read, others), strict=True) if data is not None
        }
        if read and self._lease is not None:
            self._index.append(_entry(name, data) for name, data in read.items())
        return found | read

    def sizes(self, folder: str = "") -> dict[str, int]:
        """One listing."""
        with self._blame(folder), contextlib.suppress(FileNotFoundError):
            entries = self._files.ls(self._path(folder), detail=True)
            names = {
                entry["name"].rstrip("/").rsplit("/", 1)[-1]: entry for entry in entries if entry["type"] == "file"
            }
            return {f"{folder}/{name}" if folder else name: int(entry["size"]) for name, entry in names.items()}
        return {}

    def write(self, files: Mapping[str, bytes]) -> None:
        """Put objects, many at a time."""

        def put(name: str) -> None:
            with self._blame(name):
                self._files.pipe_file(self._path(name), files[name])

        self._check()
        self._each(put, files)
        for name in files:
            self._forget(name)

    def mark(self, name: str, data: bytes) -> None:
        """The object first, then its copy in the index: an entry whose object is not there counts for nothing."""
        self.write({name: data})
        self._append(self._index, _entry(name, data))

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; the index may still know them, but what is not listed does not count."""

        def delete(name: str) -> None:
            with self._blame(name), contextlib.suppress(FileNotFoundError):
                self._files.rm_file(self._path(name))

        self._check()
        names = list(names)
        self._each(delete, names)
        for name in names:
            self._forget(name)

    def scratch(self, name: str) -> Path:
        """In the folder of temporary files, of this name's own."""
        return self._copy(name).with_name(f".part.{name}")

    def publish(self, beside: Path, name: str) -> Path:
        """Put the file and see that it arrived whole."""
        self._check()
        size = beside.stat().st_size
        with self._blame(name):
            self._files.put_file(str(beside), self._path(name))
            arrived = self._files.info(self._path(name))["size"]
        if arrived != size:
            raise StoreError(
                f"{self.place(name)}: {arrived} of {size} bytes arrived; run the same command again, it puts it again"
            )
        return beside.replace(self._copy(name))

    def fetch(self, names: Sequence[str]) -> list[Path]:
        """Downloaded into the folder of temporary files, once."""

        def fetch(name: str) -> Path:
            target = self._copy(name)
            if not target.exists():
                target.parent.mkdir(exist_ok=True)
                beside = target.with_name(f".part.{target.name}")
                with self._blame(name), contextlib.suppress(FileNotFoundError):
                    self._files.get_file(self._path(name), str(beside))
                    beside.replace(target)
            return target

        return self._each(fetch, names)

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
        self._lease = lease
        try:
            yield
        except BaseException:
            with contextlib.suppress(RenderError):  # what ended the work is what to tell
                self._release(lease)
            raise
        else:
            self._release(lease)
        finally:
            self._lease = None
            self.close()

    def locked(self) -> bool:
        """Whether the lease beats."""
        return self._claim().held()

    def tidy(self, folders: Sequence[str]) -> None:
        """Nothing: a prefix without objects is gone."""

    def _release(self, lease: Lease) -> None:
        try:
            self._flush()
        finally:
            lease.release()

    def _claim(self) -> Lease:
        cell = _Cell(self, self._files, self._path("lock"))
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
        return b"".join(part for part in self._each(self.read, self._parts(folder)) if part is not None)

    def _check(self) -> None:
        """Before anything is written: is the run directory still ours?"""
        if self._lease is not None:
            self._lease.check()

    def _each(self, call: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Results in order, calls many at a time: a store answers each in its own time."""
        items = list(items)
        if len(items) < 2:
            return [call(item) for item in items]
        with ThreadPoolExecutor(min(CALLS, len(items))) as callers:
            return list(callers.map(call, items))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _copy(self, name: str) -> Path:
        """Where a file's local copy is, or would be."""
        if self._local is None:
            self._local = TemporaryDirectory(prefix="render-", ignore_cleanup_errors=True)
        return Path(self._local.name) / name

    def _forget(self, name: str) -> None:
        """Drop the local copy of what was written anew."""
        if self._local is not None:
            self._copy(name).unlink(missing_ok=True)

    def _blame(self, name: str) -> contextlib.AbstractContextManager[None]:
        return blame(self.place(name))


class _Cell:
    """The object of the lease. It is written without asking for the lease first."""

    def __init__(self, store: ObjectStore, filesystem: Any, path: str) -> None:
        self._store = store
        self._files = filesystem
        self._path = path

    def read(self) -> bytes | None:
        return self._store.read("lock")

    def create(self, data: bytes) -> bool:
        if self.read() is not None:  # not every store heeds a put that must not overwrite
            return False
        with blame(self._store.place("lock")):
            try:
                self._files.pipe_file(self._path, data, mode="create")
            except FileExistsError:
                return False
        return True

    def write(self, data: bytes) -> None:
        with blame(self._store.place("lock")):
            self._files.pipe_file(self._path, data)

    def delete(self) -> None:
        with blame(self._store.place("lock")), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._path)


def _entry(name: str, data: bytes) -> bytes:
    """A line of the index."""
    return json.dumps({"name": name, "text": data.decode()}).encode() + b"\n"
