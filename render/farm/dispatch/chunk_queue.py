"""The chunks of one job: which wait, which are done, which failed on whom and which were given up. Pure.

Every attempt that fails is charged to its chunk, with the worker and the cause; after ``attempts`` the chunk is given
up. Where the farm took the worker away nobody is charged, but not without end: a chunk that brings down machine after
machine is not unlucky.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

from render.plan import Chunk
from render.spec import FarmSpec

__all__ = [
    "DEADLINE_FACTOR",
    "FIRST_DEADLINE_S",
    "FREE_LOSSES",
    "SHORTEST_DEADLINE_S",
    "ChunkQueue",
    "Failure",
    "RetryPolicy",
]

FIRST_DEADLINE_S = 7200.0  # of a worker nobody has measured: 18 frames of SD 1.5 take a CPU 80 minutes
DEADLINE_FACTOR = 10.0  # ten times the slowest chunk so far is a hang, not a slow chunk
SHORTEST_DEADLINE_S = 60.0
FREE_LOSSES = 10  # times that one chunk may lose its worker to a preemption or a dead node before it is charged
LEAST_FAILED = 3  # chunks given up that no job of any length minds
SHARE_FAILED = 10  # one chunk of so many


@dataclass(frozen=True)
class RetryPolicy:
    """How often a chunk is tried, and how many may be given up. None: there is no limit.

    More than ``max_failed`` chunks given up, or more than ``max_failed_first`` before any is done, and the rest is not
    begun. ``deadline_s`` is what one chunk may take; None: what the slowest one took decides.
    """

    attempts: int = 3
    max_failed: int | None = None
    max_failed_first: int | None = None
    deadline_s: float | None = None

    @classmethod
    def of(cls, farm: FarmSpec, num_chunks: int, *, resumed: bool) -> Self:
        """What the job wants, with ``auto`` resolved for a film of ``num_chunks``, of which some were done before."""
        auto = farm.max_failed == "auto"
        return cls(
            farm.attempts,
            max(LEAST_FAILED, num_chunks // SHARE_FAILED) if farm.max_failed == "auto" else farm.max_failed,
            LEAST_FAILED if auto and not resumed else None,
            None if farm.deadline == "auto" else float(farm.deadline.seconds or 0),
        )


@dataclass(frozen=True)
class Failure:
    """One failed attempt at a chunk."""

    chunk: Chunk
    worker: str
    cause: str


class ChunkQueue:
    """The state of one job's chunks, lowest frames first."""

    def __init__(self, chunks: Iterable[Chunk], policy: RetryPolicy, batch: int = 1) -> None:
        """``batch``: frames are computed so many at a time; a few at the end of a chunk take as long."""
        self._policy = policy
        self._fresh = list(chunks)  # those that wait and never failed, a heap
        heapq.heapify(self._fresh)
        self._failed: set[Chunk] = set()  # those that wait and have
        self._closed = False
        self._slowest_s: float | None = None
        self._failures: dict[Chunk, list[Failure]] = {}
        self._free_losses: Counter[Chunk] = Counter()
        self.waiting = len(self._fresh)  # chunks that no worker holds yet
        self._batch = batch
        self.frames_waiting = sum(map(self.computed, self._fresh))  # that are to be computed for them
        self.executing = 0  # chunks that one holds
        self.given_up: dict[Chunk, list[Failure]] = {}
        self.num_done = 0
        self.retries = 0  # failed attempts so far
        self.abandoned = 0  # chunks that were never begun because too many others failed

    def alone(self, held: Iterable[Chunk]) -> bool:
        """Whether nothing may queue behind what a worker holds: a chunk that failed, or might be blamed for another.

        A worker begins a chunk while it still encodes the one before, so of two chunks either may have killed it.
        """
        if not self._failures:
            return False
        next_failed = bool(self._failed) and (not self._fresh or min(self._failed) < self._fresh[0])
        return next_failed or any(chunk in self._failures for chunk in held)

    def failed_on(self, chunk: Chunk) -> set[str]:
        """The workers on which it did."""
        return {failure.worker for failure in self._failures.get(chunk, ())}

    def find(self, may: Callable[[Chunk], bool]) -> Chunk | None:
        """The lowest waiting chunk, of those that failed before only one of which ``may`` says yes."""
        again = [chunk for chunk in self._failed if may(chunk)] if self._failed else []
        return min([*again, *self._fresh[:1]], default=None)

    def pop(self, chunk: Chunk) -> None:
        """A worker holds the chunk that ``find`` found."""
        if chunk in self._failed:
            self._failed.remove(chunk)
        else:
            taken = heapq.heappop(self._fresh)
            assert taken == chunk, (taken, chunk)
        self.waiting -= 1
        self.frames_waiting -= self.computed(chunk)
        self.executing += 1

    def requeue(self, chunk: Chunk) -> None:
        """A worker does not hold the chunk any more and is not to blame."""
        self.executing -= 1
        if self._closed:
            self.abandoned += 1
            return
        self.waiting += 1
        self.frames_waiting += self.computed(chunk)
        if chunk in self._failures:
            self._failed.add(chunk)
        else:
            heapq.heappush(self._fresh, chunk)

    def computed(self, chunk: Chunk) -> int:
        """How many frames are computed for a chunk."""
        return chunk.computed(self._batch)

    def complete(self, chunk: Chunk, seconds: float) -> int:
        """A held chunk is done; it took so long. Returns how many frames were computed for it."""
        self.executing -= 1
        self.num_done += 1
        self._slowest_s = max(self._slowest_s or 0.0, seconds)
        return self.computed(chunk)

    def fail(self, failure: Failure) -> None:
        """A held chunk failed: it waits again, or is given up."""
        failures = self._failures.setdefault(failure.chunk, [])
        failures.append(failure)
        self.retries += 1
        if len(failures) < self._policy.attempts:
            return self.requeue(failure.chunk)
        self.executing -= 1
        self.given_up[failure.chunk] = failures
        limits = [self._policy.max_failed, None if self.num_done else self._policy.max_failed_first]
        if any(limit is not None and len(self.given_up) > limit for limit in limits):
            self.abandon()
        return None

    def lose_worker(self, failure: Failure) -> None:
        """A held chunk's worker was taken away: free, unless that happens to the same chunk again and again."""
        self._free_losses[failure.chunk] += 1
        if self._free_losses[failure.chunk] > FREE_LOSSES:
            self.fail(failure)
        else:
            self.requeue(failure.chunk)

    def abandon(self) -> None:
        """Begin nothing more; what workers hold may still be done."""
        self._closed = True
        self.abandoned += self.waiting
        self.waiting = self.frames_waiting = 0
        self._fresh.clear()
        self._failed.clear()

    def limit_s(self, *, fresh: bool) -> float:
        """Seconds a chunk may take: measured on all workers, generous to a ``fresh`` one whose speed is unknown."""
        if self._policy.deadline_s is not None:
            return self._policy.deadline_s
        if self._slowest_s is None or fresh:
            return FIRST_DEADLINE_S
        return max(DEADLINE_FACTOR * self._slowest_s, SHORTEST_DEADLINE_S)
