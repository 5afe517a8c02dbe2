"""The lease: one holder, a dead one's falls to the next, and who lost it notices before it writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from render.errors import LockedError, StoreError
from render.store.lease import Holder, Lease

BEAT_S, LEASE_S = 0.1, 1.0  # three beats of time for a thread of a busy machine to have its turn


class Memory:
    """A cell. ``broken`` refuses everything, ``exclusive=False`` is a store that overwrites whatever it is told."""

    def __init__(self, *, exclusive: bool = True) -> None:
        self.data: bytes | None = None
        self.exclusive = exclusive
        self.broken = False

    def _check(self) -> None:
        if self.broken:
            raise StoreError("the store refuses")

    def read(self) -> bytes | None:
        self._check()
        return self.data

    def create(self, data: bytes) -> bool:
        self._check()
        if self.exclusive and self.data is not None:
            return False
        self.data = data
        return True

    def write(self, data: bytes) -> None:
        self._check()
        self.data = data

    def delete(self) -> None:
        self._check()
        self.data = None


def lease(cell: Memory) -> Lease:
    return Lease(cell, "s3://b/run", beat_s=BEAT_S, lease_s=LEASE_S)


def foreign(**changes: object) -> bytes:
    """A lease of another machine."""
    return replace(Holder.this_process(), host="elsewhere", machine="another boot", **changes).to_bytes()  # type: ignore[arg-type]


def test_it_beats_and_is_given_back() -> None:
    cell = Memory()
    mine = lease(cell)
    mine.take()
    first = json.loads(cell.data or b"{}")
    time.sleep(6 * BEAT_S)
    assert json.loads(cell.data or b"{}")["beat"] > first["beat"]
    assert lease(cell).held()
    with pytest.raises(LockedError, match=rf"s3://b/run: process {os.getpid()} on .* is rendering here; wait for it"):
        lease(cell).take()
    mine.release()
    assert cell.data is None
    assert not lease(cell).held()


@pytest.mark.slow
def test_a_dead_machine_s_lease_falls_to_the_next_after_its_time() -> None:
    cell = Memory()
    cell.data = foreign()
    began = time.monotonic()
    mine = lease(cell)
    mine.take()
    assert time.monotonic() - began >= LEASE_S
    mine.check()
    mine.release()


@pytest.mark.parametrize(
    "garbage", [b"{", *(pytest.param(other, marks=pytest.mark.slow) for other in (b"", b"[]", b'{"pid": 1}'))]
)
def test_what_names_nobody_is_waited_for_as_well(garbage: bytes) -> None:
    cell = Memory()
    cell.data = garbage
    assert not lease(cell).held()
    mine = lease(cell)
    mine.take()
    mine.release()


def test_a_dead_process_of_this_machine_is_not_waited_for() -> None:
    code = "from render.store.lease import Holder; print(Holder.this_process().to_bytes().decode())"
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    cell = Memory()
    cell.data = dead.stdout
    assert not lease(cell).held()
    mine = Lease(cell, "s3://b/run", beat_s=BEAT_S, lease_s=3600)
    mine.take()
    mine.release()


def test_a_number_that_another_process_has_now_is_a_dead_one() -> None:
    assert replace(Holder.this_process(), started="1").gone()
    assert not Holder.this_process().gone()
    assert not replace(Holder.this_process(), started="1", machine=None).gone(), "without /proc nobody can tell"


def test_who_lost_it_writes_no_more() -> None:
    cell = Memory()
    mine = lease(cell)
    mine.take()
    cell.data = foreign(pid=7)
    time.sleep(4 * BEAT_S)
    with pytest.raises(LockedError, match="process 7 on elsewhere took the lock of this run directory away"):
        mine.check()
    mine.release()
    assert cell.data is not None, "what is another's is not given back"


def test_who_slept_asks_before_it_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was stopped for longer than the lease has not heard of the next holder yet."""
    cell = Memory()
    mine = Lease(cell, "s3://b/run", beat_s=3600, lease_s=LEASE_S)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    mine.take()
    cell.data = foreign()
    mine.check()
    monkeypatch.setattr("render.store.lease._clock", lambda: time.monotonic() + 1e9)
    with pytest.raises(LockedError):
        mine.check()
    mine.release()


@pytest.mark.slow
def test_an_outage_is_told_when_it_lasts_and_forgotten_when_it_ends() -> None:
    cell = Memory()
    mine = lease(cell)
    mine.take()
    cell.broken = True
    time.sleep(2 * BEAT_S)
    mine.check()  # a beat or two may fail
    time.sleep(LEASE_S)
    with pytest.raises(StoreError, match="the store refuses"):
        mine.check()
    cell.broken = False
    mine.check()
    mine.release()
    assert cell.data is None


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("dead", [False, True], ids=["free", "dead"])
def test_many_at_once_are_one(exclusive: bool, dead: bool) -> None:
    cell = Memory(exclusive=exclusive)
    cell.data = foreign() if dead and exclusive else None
    taken: list[Lease] = []
    leases = [Lease(cell, "s3://b/run", beat_s=2 * BEAT_S, lease_s=2 * LEASE_S) for _ in range(8)]

    def take(one: Lease) -> None:
        try:
            one.take()
        except LockedError:
            return
        taken.append(one)

    threads = [threading.Thread(target=take, args=(one,)) for one in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
    taken[0].check()
    taken[0].release()
