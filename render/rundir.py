"""The run directory: everything one job wrote, and the only truth about its progress.

::

    job.yaml                          the resolved spec
    plan.json                         plan, digest, resolved settings
    segments/000000-000024.mp4        a chunk, encoded
    segments/000000-000024.json       its done record: the segment counts only while this stands
    frames/000000.png                 stills, when asked for
    frames/000000-000100x2.json       the done record of a ``--frames`` selection
    video.mp4                         the film, renamed into place when it is whole
    report.json, report.html, events.jsonl, lock

Every file is written beside its place, synced and renamed; a done record is written last. Knows nothing of pictures:
it moves bytes and records.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from render.errors import LockedError, RunDirError, SpecError, StoreError
from render.plan import Chunk, Plan
from render.record import Record, Segment

__all__ = ["RunDir"]


CHUNK_NAME = r"\d{6,}-\d{6,}(x\d+)?"
SEGMENT_FILE = re.compile(rf"{CHUNK_NAME}\.(mp4|mov|json)|\.{CHUNK_NAME}\.(mp4|mov|json)\.part")
STILL_FILE = re.compile(rf"\d{{6,}}\.(png|jpg|webp)|{CHUNK_NAME}\.json|\..*\.part")
FILES = (
    *("video.mp4", "video.mov", "video.gif", "video.webp", "report.json", "report.html", "preview.png"),
    *("job.yaml", "plan.json", "events.jsonl", "lock"),
)


class RunDir:
    """One job's directory on a local or network disk. Every method raises StoreError when the disk refuses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.segments = path / "segments"
        self.stills = path / "frames"

    def create(self) -> None:
        """Make the directory where it is missing."""
        with _blame(self.path):
            self.segments.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the directory for one driver. Raises LockedError while another one lives; a dead one's lock falls to us.

        The kernel drops an flock with its process, so nothing has to be cleaned up after a crash.
        """
        with _blame(self.path):
            file = (self.path / "lock").open("a+")
        with file:  # the body is not to be blamed on this directory: it may talk to a terminal or a cluster
            self._take(file)
            try:
                yield
            finally:
                file.truncate(0)

    def _take(self, file: TextIO) -> None:
        """Lock the open file; tried three times, because ``locked`` holds a lock of its own for an instant."""
        for pause_s in (0.1, 0.1, None):
            try:
                with _blame(self.path / "lock"):
                    return self._sign(file)
            except BlockingIOError:
                if pause_s:
                    time.sleep(pause_s)
        file.seek(0)
        holder = file.read().strip() or "another process"
        raise LockedError(
            f"{self.path}: {holder} is rendering here; wait for it, stop it, or choose another output.dir"
        )

    def _sign(self, file: TextIO) -> None:
        """Take the lock and write who holds it. Raises BlockingIOError while another process has it."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()

    def locked(self) -> bool:
        """Whether a driver is at work in the directory now."""
        path = self.path / "lock"
        if not path.exists():
            return False
        with _blame(path), path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def read_text(self, name: str) -> str | None:
        """The text of a file in the directory, None where there is none."""
        with _blame(self.path / name):
            try:
                return (self.path / name).read_text(encoding="utf-8", errors="replace")
            except FileNotFoundError:
                return None

    def read_plan(self) -> Plan | None:
        """The plan of the job, None where there is none yet. Raises RunDirError for one that cannot be read."""
        text = self.read_text("plan.json")
        if text is None:
            return None
        try:
            return Plan.from_json(text)
        except (ValueError, KeyError, TypeError, SpecError) as error:
            raise RunDirError(
                f"{self.path / 'plan.json'}: cannot be read ({error}); choose another output.dir"
            ) from None

    def write(self, name: str, data: bytes, *, sync_folder: bool = True) -> None:
        """Write a file whole or not at all: beside its place, synced, renamed, the folder synced."""
        target = self.path / name
        with _blame(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            beside = target.with_name(f".{target.name}.part")
            try:
                with beside.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                beside.replace(target)
            finally:
                beside.unlink(missing_ok=True)
            if sync_folder:
                _sync_folder(target.parent)

    def publish(self, beside: Path, name: str) -> Path:
        """Move a file that was written beside its place (``scratch``) to where it counts."""
        target = self.path / name
        with _blame(target):
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            beside.replace(target)
            _sync_folder(target.parent)
        return target

    def scratch(self, name: str) -> Path:
        """A path on the same disk to write ``name`` to before ``publish``."""
        target = self.path / name
        return target.with_name(f".part.{target.name}")

    def commit(self, segment: Segment) -> None:
        """Make a chunk count: stills, then the segment, then its done record."""
        record = segment.record
        for index, data in segment.stills.items():
            self.write(f"frames/{index:06}.{record.stills}", data, sync_folder=False)
        if segment.stills:
            _sync_folder(self.stills)
        if record.file:
            self.write(record.file, segment.data)
        self.write(_record_name(record), record.to_json().encode())

    def records(self) -> dict[Chunk, Record]:
        """The chunks that count: a readable done record of all frames, and every file of it there in full size.

        Sums are not computed here, so that ten thousand chunks resume at once; ``intact`` does before joining.
        """
        found: dict[Chunk, Record] = {}
        for path in [*sorted(self.segments.glob("*.json")), *sorted(self.stills.glob("*.json"))]:
            try:
                record = Record.from_json(path.read_text(encoding="utf-8"))
            except (ValueError, KeyError, TypeError, OSError):
                continue  # torn, foreign or unreadable: the chunk does not count and is rendered again
            if len(record.pictures) == len(record.chunk.frames) and self._complete(record):
                found[record.chunk] = record
        return found

    def _complete(self, record: Record) -> bool:
        sizes = {f"frames/{name}": size for name, size in record.stills_bytes.items()}
        if record.file:
            sizes[record.file] = record.bytes
        return all(self._size(name) == size for name, size in sizes.items())

    def _size(self, name: str) -> int | None:
        try:
            return (self.path / name).stat().st_size
        except OSError:
            return None

    def intact(self, record: Record) -> bool:
        """Whether the segment's bytes are still those that were committed."""
        if record.file is None:
            return True
        try:
            with (self.path / record.file).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == record.sha256
        except OSError:
            return False

    def discard(self, record: Record) -> None:
        """Make a chunk not count any more: the record goes first."""
        with _blame(self.path):
            (self.path / _record_name(record)).unlink(missing_ok=True)
            if record.file:
                (self.path / record.file).unlink(missing_ok=True)

    def log(self, event: str, **details: Any) -> None:
        """Append one line to ``events.jsonl``: the time, what happened, and to whom."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **details}).encode() + b"\n"
        path = self.path / "events.jsonl"
        with _blame(path), path.open("a+b") as file:
            if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
                line = b"\n" + line  # a crash tore the last line; ours must not hang on it
            file.write(line)

    def events(self) -> list[dict[str, Any]]:
        """All events so far, oldest first; a line torn by a crash is passed over."""
        events = []
        for line in (self.read_text("events.jsonl") or "").split("\n"):
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and "event" in event:
                    events.append(event)
        return events

    def clean(self, *, keep_film: bool) -> int:
        """Delete what ``render`` wrote here, the film and report apart if asked. Returns the number of files.

        Raises RunDirError for a directory that is no run directory, because a mistyped path must not lose anything, and
        LockedError while a driver is at work in it.
        """
        if not (self.path / "plan.json").exists():
            raise RunDirError(f"{self.path}: no plan.json in it, so this is no run directory; nothing was deleted")
        with self.lock(), _blame(self.path):
            written = [path for path in self._written(keep_film=keep_film) if path.is_file()]
            for path in written:
                path.unlink(missing_ok=True)
            for folder in (self.segments, self.stills, self.path):
                with contextlib.suppress(OSError):  # not empty: somebody keeps files of their own there
                    folder.rmdir()
            if keep_film:
                self.log("cleaned")
        return len(written)

    def cleaned(self) -> bool:
        """Whether the segments are gone because ``clean`` took them away."""
        events = self.events()
        return bool(events) and events[-1].get("event") == "cleaned"

    def _written(self, *, keep_film: bool) -> Iterator[Path]:
        """The files of ours by their exact names. A film that stays keeps its stills, plan and log."""
        folders = (
            [(self.segments, SEGMENT_FILE)] if keep_film else [(self.segments, SEGMENT_FILE), (self.stills, STILL_FILE)]
        )
        for folder, pattern in folders:
            yield from (path for path in folder.glob("*") if pattern.fullmatch(path.name))
        yield from self.path.glob(".part.video.*")
        yield from self.path.glob(".*.part")
        if not keep_film:
            yield from (self.path / name for name in FILES)


def _record_name(record: Record) -> str:
    folder = "segments" if record.file else "frames"
    return f"{folder}/{record.chunk.name}.json"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _blame(path: Path) -> Iterator[None]:
    """OSError -> StoreError with the cure. A lock that is held passes through: it is no failure."""
    try:
        yield
    except BlockingIOError:
        raise
    except OSError as error:
        raise StoreError.of(error, path) from error
