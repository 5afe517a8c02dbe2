"""What can go wrong, one function a fault: it does its harm to the stage and says whom it hit.

``None`` means that there is nothing to hit now (no worker yet, a single node left): the fault is tried again later.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.stage import Stage

LARGEST_BATCH = 3  # records deleted at once


@dataclass(frozen=True)
class Injected:
    """A fault that happened. ``workers`` are process ids, ``chunks`` names of chunks."""

    time: float
    kind: str
    workers: tuple[int, ...] = ()
    chunks: tuple[str, ...] = ()


Harm = tuple[tuple[int, ...], tuple[str, ...]]
Fault = Callable[[Stage, random.Random], Harm | None]


def kill_worker(stage: Stage, dice: random.Random) -> Harm | None:
    """SIGKILL one worker."""
    workers = stage.workers()
    if not workers:
        return None
    pid = dice.choice(workers).pid
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return (pid,), ()


def freeze_worker(stage: Stage, dice: random.Random) -> Harm | None:
    """SIGSTOP one worker that has rendered something: the deadline of a chunk is to find it."""
    workers = [worker for worker in stage.workers() if worker.chunks_done and worker.pid not in stage.frozen]
    if not workers:
        return None
    pid = dice.choice(workers).pid
    try:
        os.kill(pid, signal.SIGSTOP)
    except ProcessLookupError:
        return None
    stage.frozen.append(pid)
    return (pid,), ()


def kill_node(stage: Stage, dice: random.Random) -> Harm | None:
    """Take a whole node away, never the last one."""
    if len(stage.nodes) < 2:
        return None
    victims = stage.kill_raylet(dice.randrange(len(stage.nodes)))
    return tuple(victims), ()


def add_node(stage: Stage, _dice: random.Random) -> Harm | None:
    """One more node."""
    stage.add_node()
    return (), ()


def corrupt_segment(stage: Stage, dice: random.Random) -> Harm | None:
    """Turn bytes of a committed segment over; its size stays."""
    if not (segments := _segments(stage)):
        return None
    path = dice.choice(segments)
    data = bytearray(path.read_bytes())
    for _ in range(8):
        data[dice.randrange(len(data))] ^= 0xFF
    path.write_bytes(data)
    return (), (path.stem,)


def truncate_segment(stage: Stage, dice: random.Random) -> Harm | None:
    """Cut the end off a committed segment."""
    if not (segments := _segments(stage)):
        return None
    path = dice.choice(segments)
    os.truncate(path, dice.randrange(path.stat().st_size))
    return (), (path.stem,)


def delete_records(stage: Stage, dice: random.Random) -> Harm | None:
    """Delete a few done records."""
    if not (segments := _segments(stage)):
        return None
    chosen = dice.sample(segments, min(len(segments), dice.randint(1, LARGEST_BATCH)))
    for path in chosen:
        path.with_suffix(".json").unlink(missing_ok=True)
    return (), tuple(path.stem for path in chosen)


def lose_half(stage: Stage, dice: random.Random) -> Harm:
    """Delete half of the segments with their records: a job that was through has something to do again."""
    chosen = dice.sample(_segments(stage), len(_segments(stage)) // 2)
    for path in chosen:
        path.with_suffix(".json").unlink()
        path.unlink()
    return (), tuple(path.stem for path in chosen)


def kill_driver(stage: Stage, _dice: random.Random) -> Harm | None:
    """SIGKILL the driver once it has begun to render; it is started again."""
    if not any(event["event"] == "done" for event in stage.this_run()):
        return None
    return (stage.kill_driver(),), ()


FAULTS: dict[str, Fault] = {
    "kill worker": kill_worker,
    "freeze worker": freeze_worker,
    "kill node": kill_node,
    "add node": add_node,
    "corrupt segment": corrupt_segment,
    "truncate segment": truncate_segment,
    "delete records": delete_records,
    "kill driver": kill_driver,
}


class Injector:
    """Faults in a random order at random times. The same seed gives the same order, not the same run."""

    def __init__(self, dice: random.Random, faults: int, gap_s: tuple[float, float]) -> None:
        """Every kind equally often, as far as that goes; ``gap_s`` is the least and most time between two."""
        self._dice, self._gap_s = dice, gap_s
        often, rest = divmod(faults, len(FAULTS))
        others = [kind for kind in FAULTS if not kind.endswith("node")]  # as many nodes are added as are killed
        self.waiting = list(FAULTS) * often + dice.choices(others, k=rest)
        dice.shuffle(self.waiting)
        self.done: list[Injected] = []
        self._next = 0.0

    def turn(self, stage: Stage) -> None:
        """Do what is due: the first of the waiting faults that finds something to hit."""
        if time.monotonic() < self._next:
            return
        for kind in self.waiting:
            if self._inject(stage, kind, FAULTS[kind]):
                self.waiting.remove(kind)
                self._next = time.monotonic() + self._dice.uniform(*self._gap_s)
                return

    def between_runs(self, stage: Stage) -> None:
        """The driver is through, and faults that need it at work are left."""
        self._inject(stage, "lose half", lose_half)

    def _inject(self, stage: Stage, kind: str, fault: Fault) -> bool:
        began = time.time()
        if (harm := fault(stage, self._dice)) is None:
            return False
        self.done.append(Injected(began, kind, *harm))
        return True


def _segments(stage: Stage) -> Sequence[Path]:
    """Committed segments."""
    committed = {path.stem for path in stage.segments.glob("*.json")}
    return sorted(path for path in stage.segments.glob("*.mp4") if path.stem in committed)
