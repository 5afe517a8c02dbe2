"""A lock where nothing drops it with its process: an object that names its holder and beats.

Machines' clocks are never compared. Whoever wants the lease watches the beat: while it changes the holder lives; one
that stood still for ``lease_s`` of the watcher's own clock is dead, and so is a process that this machine no longer
has. A holder that could not renew in time makes sure that the lease is still its own before it goes on.
"""

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from pydantic import ConfigDict, TypeAdapter

from render.errors import LockedError, StoreError
from render.store.cell import Cell

__all__ = ["BEAT_S", "LEASE_S", "Lease"]

BEAT_S = 3.0  # between two beats: what a status or a second driver waits to see life
LEASE_S = 30.0  # without a beat: ten are missed, longer than a store's retries take
SILENT_BEATS = 3  # no beat for so long and ``held`` takes the holder for dead
GONE_STATES = "ZX"  # a zombie renders nothing


@dataclass(frozen=True)
class Holder:
    """Who holds a lease. ``machine`` tells processes of other machines and containers apart, None where unknown."""

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")

    host: str
    pid: int
    machine: str | None
    started: str | None
    token: str
    beat: int = 0

    @classmethod
    def this_process(cls) -> Self:
        """A new claim of this process."""
        return cls(socket.gethostname(), os.getpid(), _machine(), _started(os.getpid()), secrets.token_hex(8))

    @staticmethod
    def from_bytes(data: bytes) -> "Holder | None":
        """None for bytes that are none."""
        try:
            return _HOLDERS.validate_json(data)
        except ValueError:
            return None

    def to_bytes(self) -> bytes:
        """The text of the object."""
        return json.dumps(asdict(self)).encode()

    def gone(self) -> bool:
        """Whether it was a process of this machine that is no more. False where that cannot be known."""
        return self.machine is not None and self.machine == _machine() and self.started != _started(self.pid)


_HOLDERS = TypeAdapter(Holder)


class Lease:
    """A claim of this process to one cell of a store. ``where`` is for messages; ``tick`` is called at every beat."""

    def __init__(
        self,
        cell: Cell,
        where: str,
        tick: Callable[[], None] = lambda: None,
        *,
        beat_s: float = BEAT_S,
        lease_s: float = LEASE_S,
    ) -> None:
        self._cell = cell
        self._where = where
        self._tick = tick
        self._beat_s = beat_s
        self._lease_s = lease_s
        self._mine = Holder.this_process()
        self._renewed = 0.0
        self._lost: LockedError | None = None
        self._renewing = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="lease", daemon=True)

    def take(self) -> None:
        """Take the lease and keep it alive. Raises LockedError while another holder lives."""
        while not self._claim():
            seen = self._cell.read()
            if seen is None:
                continue  # released a moment ago
            if self._is_mine(seen):  # it was written, only the store's answer got lost
                self._settle()
                break
            self._await_death(seen)
            if self._cell.read() == seen:
                self._cell.write(self._mine.to_bytes())
                self._settle()
                break
        self._thread.start()

    def _claim(self) -> bool:
        if not self._cell.create(self._mine.to_bytes()):
            return False
        self._settle()
        return True

    def _settle(self) -> None:
        """Two may write at once, where a store cannot create exclusively or a holder died: who stays has it."""
        time.sleep(self._beat_s / 3)
        now, seen = _clock(), self._cell.read()
        if seen != self._mine.to_bytes():
            raise LockedError.held(self._where, _name(seen or b""))
        self._renewed = now

    def _await_death(self, seen: bytes) -> None:
        """Return when the holder is dead or has released the lease. Raises LockedError as soon as it beats."""
        holder = Holder.from_bytes(seen)
        if holder is not None and holder.gone():
            return
        if self._changes(seen, self._lease_s):
            raise LockedError.held(self._where, _name(seen))

    def _changes(self, seen: bytes, within_s: float) -> bool:
        """Whether the holder beats in that time; a lease that is released does not."""
        until = _clock() + within_s
        while _clock() < until:
            time.sleep(min(self._beat_s / 3, within_s))
            now = self._cell.read()
            if now != seen:
                return now is not None
        return False

    def held(self) -> bool:
        """Whether a living process holds the lease; takes a few beats where one died without releasing it."""
        seen = self._cell.read()
        if seen is None:
            return False
        holder = Holder.from_bytes(seen)
        if holder is not None and holder.gone():
            return False
        return self._changes(seen, SILENT_BEATS * self._beat_s)

    def check(self) -> None:
        """Nothing while the lease is ours. Raises LockedError when another took it, StoreError when nobody knows."""
        if self._lost is not None:
            raise self._lost
        if _clock() - self._renewed > self._lease_s / 2:
            self._renew()

    def release(self) -> None:
        """Stop beating and give the lease back, if it is still ours."""
        self._ended.set()
        self._thread.join()
        if self._lost is None and (seen := self._cell.read()) is not None and self._is_mine(seen):
            self._cell.delete()

    def _live(self) -> None:
        while not self._ended.wait(self._beat_s):
            with contextlib.suppress(StoreError):  # tried again at the next beat; ``check`` raises if it lasts
                try:
                    self._renew()
                    self._tick()
                except LockedError:
                    return

    def _renew(self) -> None:
        with self._renewing:
            now, seen = _clock(), self._cell.read()
            if self._lost is None and (seen is None or not self._is_mine(seen)):
                who = _name(seen or b"") or "another process"
                self._lost = LockedError(
                    f"{self._where}: {who} took the lock of this run directory away; this process writes nothing more, "
                    "and what is committed stays"
                )
            if self._lost is not None:
                raise self._lost
            self._mine = replace(self._mine, beat=self._mine.beat + 1)
            self._cell.write(self._mine.to_bytes())
            self._renewed = now

    def _is_mine(self, data: bytes) -> bool:
        holder = Holder.from_bytes(data)
        return holder is not None and holder.token == self._mine.token


def _name(data: bytes) -> str:
    holder = Holder.from_bytes(data)
    return f"process {holder.pid} on {holder.host}" if holder else ""


def _clock() -> float:
    """Seconds that go on while the machine sleeps, where it can: a lease runs out meanwhile."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _machine() -> str | None:
    """This boot of this machine, and the space its process numbers count in; None where Linux's /proc is not there."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + " " + os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """When a process began, in ticks since boot: with its number it is one of a kind. None for one that is gone."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in GONE_STATES else fields[18]
