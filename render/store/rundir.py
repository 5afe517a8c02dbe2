"""The run directory: everything one job wrote, and the only truth about its progress. ``layout.py`` shows its files.

It lies in a store (``base.py``): a disk or an object store. Every file is written whole or not at all; a done record
is written last. Knows nothing of pictures: it moves bytes and records.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from render.errors import RunDirError, SpecError, redacted
from render.plan import Chunk, Plan
from render.spec import Location
from render.store import filesystems
from render.store.base import Store
from render.store.events import Event, LogEntry, parse_log
from render.store.layout import FOLDERS, is_ours, names_its_own, record_name
from render.store.record import Record, Segment

__all__ = ["RunDir"]


class RunDir:
    """One job's directory. Every method raises StoreError when its store refuses."""

    def __init__(self, at: Location | Store) -> None:
        self._store = filesystems.open_store(at) if isinstance(at, Path | str) else at
        self._known: dict[tuple[str, int], Record] | None = None  # by name and size; only while nobody else writes

    def __str__(self) -> str:
        return str(self._store.location())

    def create(self) -> None:
        """Make the directory where it is missing."""
        self._store.create()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the directory for one driver. Raises LockedError while another one lives; a dead one's lock falls to us.

        Local copies that ``fetch`` made are removed with it. While it is held a record is read once.
        """
        with self._store.lock():
            self._known = {}
            try:
                yield
            finally:
                self._known = None

    def locked(self) -> bool:
        """Whether a driver is at work in the directory now."""
        return self._store.locked()

    def location(self, name: str = "") -> Location:
        """Where a file is, for people: a path of a disk, a URL of an object store."""
        return self._store.location(name)

    def fetch(self, name: str) -> Path:
        """A local path to read a file from: itself on a disk, a copy of an object; not there where the file is not."""
        return self._store.fetch([name])[0]

    def fetch_all(self, names: Iterable[str]) -> list[Path]:
        """``fetch`` for many files, which object stores answer many at a time."""
        return self._store.fetch(list(names))

    def close(self) -> None:
        """Remove the local copies; for who reads without holding the lock."""
        self._store.close()

    def size(self, name: str) -> int | None:
        """Bytes of a file, None where there is none."""
        folder, _, _ = name.rpartition("/")
        return self._store.sizes(folder).get(name)

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of the files directly in a folder, by name from the root; empty where there is no such folder."""
        return self._store.sizes(folder)

    def read_text(self, name: str) -> str | None:
        """The text of a file in the directory, None where there is none."""
        data = self._store.read(name)
        return None if data is None else data.decode("utf-8", errors="replace")

    def read_plan(self) -> Plan | None:
        """The plan of the job, None where there is none yet. Raises RunDirError for one that cannot be read."""
        text = self.read_text("plan.json")
        if text is None:
            return None
        try:
            return Plan.from_json(text)
        except (ValueError, KeyError, TypeError, RecursionError, SpecError) as error:
            raise RunDirError(
                f"{self.location('plan.json')}: cannot be read ({error}); choose another output.dir"
            ) from None

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all."""
        self._store.write({name: data})

    def publish(self, beside: Path, name: str) -> Path:
        """Bring a file that was written to its scratch path to where it counts; returns a local path of it."""
        return self._store.publish(beside, name)

    def scratch(self, name: str) -> Path:
        """A local path to write ``name`` to before ``publish``."""
        return self._store.scratch(name)

    def commit(self, segment: Segment) -> None:
        """Make a chunk count: stills, then the segment, then its done record."""
        record = segment.record
        if segment.stills:
            self._store.write({f"frames/{index:06}.{record.stills}": data for index, data in segment.stills.items()})
        if record.file:
            self._store.write({record.file: segment.data})
        name, text = record_name(record), record.to_json().encode()
        self._store.mark(name, text)
        if self._known is not None:
            self._known[name, len(text)] = record

    def records(self) -> dict[Chunk, Record]:
        """The chunks that count: a readable done record of all frames, and every file of it there in full size.

        Sums are not computed here, so that ten thousand chunks resume at once; ``intact`` does before joining.
        """
        sizes = self._store.sizes("segments") | self._store.sizes("frames")
        listed = [mark for mark in sizes.items() if mark[0].endswith(".json")]
        known = {} if self._known is None else self._known
        unread = dict(mark for mark in listed if mark not in known)
        for name, data in self._store.read_marks(unread).items():
            with contextlib.suppress(ValueError):  # torn or foreign: the chunk is rendered again
                record = Record.from_json(data.decode("utf-8"))
                if name == record_name(record) and names_its_own(record):
                    known[name, unread[name]] = record
        listed.sort(key=lambda mark: mark[0].startswith("frames/"))
        read = [known[mark] for mark in listed if mark in known]
        return {record.chunk: record for record in read if _complete(record, sizes)}

    def intact(self, record: Record) -> bool:
        """Whether the segment's bytes are still those that were committed."""
        if record.file is None:
            return True
        try:
            with self.fetch(record.file).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == record.sha256
        except OSError:
            return False

    def discard(self, record: Record) -> None:
        """Make a chunk not count any more: the record goes first."""
        self._store.delete([record_name(record)])
        if record.file:
            self._store.delete([record.file])

    def remove(self, name: str) -> None:
        """Delete a file that nothing counts on, where it is there."""
        if self.size(name) is not None:
            self._store.delete([name])

    def log(self, event: Event, **details: Any) -> None:
        """Add one line to the log: what happened and to whom, now or at ``time``. Foreign causes may hold secrets."""
        moment = round(details.pop("time", time.time()), 3)
        shown = {
            key: redacted(value) if isinstance(value, str) else value
            for key, value in details.items()
            if key != "details" or value  # a stack trace, where there is one
        }
        self._store.append(json.dumps({"time": moment, "event": event, **shown}).encode() + b"\n")

    def events(self) -> list[LogEntry]:
        """All entries of the log so far, oldest first; a line torn by a crash is passed over."""
        return parse_log(self._store.log().decode("utf-8", errors="replace"))

    def clean(self, *, keep_film: bool) -> int:
        """Delete what ``render`` wrote here, the film and report apart if asked. Returns the number of files.

        Raises RunDirError for a directory that is no run directory, because a mistyped path must not lose anything, and
        LockedError while a driver is at work in it.
        """
        if self.size("plan.json") is None:
            raise RunDirError(f"{self}: no plan.json in it, so this is no run directory; nothing was deleted")
        with self.lock():
            written = [name for folder in FOLDERS for name in self._ours(folder, keep_film=keep_film)]
            self._store.delete(written)
            rest = list(self._ours("", keep_film=keep_film))  # last: it says that this is a run directory
            self._store.delete(rest)
            self._store.tidy(FOLDERS if keep_film else (*FOLDERS, ""))
            if keep_film:
                self.log(Event.CLEANED)
        return len(written) + len(rest)

    def _ours(self, folder: str, *, keep_film: bool) -> Iterator[str]:
        return (name for name in self._store.sizes(folder) if is_ours(name, keep_film=keep_film))


def _complete(record: Record, sizes: Mapping[str, int]) -> bool:
    """Whether a record is of all frames of its chunk, and the listing shows every file of it in full size."""
    if len(record.pictures) != len(record.chunk.frames):
        return False
    wanted = {f"frames/{name}": size for name, size in record.stills_bytes.items()}
    if record.file:
        wanted[record.file] = record.bytes
    return all(sizes.get(name) == size for name, size in wanted.items())
