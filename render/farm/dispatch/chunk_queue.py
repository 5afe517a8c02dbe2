"""The books of one job: which chunks wait, which are done, which failed on whom and which were given up. Pure.

Every attempt that fails is charged to its chunk, with the worker and the cause; after ``attempts`` the chunk is given
up. Where the farm took the worker away nobody is charged, but not without end: a chunk that brings down machine after
machine is not unlucky.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from render.plan import Chunk

__all__ = ["DEADLINE_FACTOR", "FIRST_DEADLINE_S", "FREE_LOSSES", "SHORTEST_DEADLINE_S", "ChunkQueue", "Failure"]

FIRST_DEADLINE_S = 7200.0  # of a worker nobody has measured: 18 frames of SD 1.5 take a CPU 80 minutes
DEADLINE_FACTOR = 10.0  # ten times the slowest chunk so far is a hang, not a slow chunk
SHORTEST_DEADLINE_S = 60.0
FREE_LOSSES = 10  # times that one chunk may lose its worker to a preemption or a dead node before it is charged


@dataclass(frozen=True)
class Failure:
    """One failed attempt at a chunk."""

    chunk: Chunk
    worker: str
    cause: str


class ChunkQueue:
    """The state of one job's chunks.

    More than ``max_failed`` chunks given up, or more than ``hopeless`` before any is done, and the rest is not begun.
    """

    def __init__(
        self,
        chunks: Iterable[Chunk],
        *,
        attempts: int,
        max_failed: int | None = None,
        hopeless: int | None = None,
        deadline_s: float | None = None,
    ) -> None:
        self._pending = list(chunks)
        heapq.heapify(self._pending)
        self._attempts = attempts
        self._max_failed = max_failed
        self._hopeless = hopeless
        self._closed = False
        self._deadline_s = deadline_s
        self._slowest_s: float | None = None
        self._failures: dict[Chunk, list[Failure]] = {}
        self._free_losses: Counter[Chunk] = Counter()
        self.executing = 0  # chunks that a worker holds
        self.given_up: dict[Chunk, list[Failure]] = {}
        self.num_done = 0
        self.abandoned = 0  # chunks that were never begun because too many others failed

    @property
    def waiting(self) -> int:
        """Chunks that no worker holds yet."""
        return len(self._pending)

    @property
    def finished(self) -> bool:
        """Whether every chunk is done, given up or abandoned."""
        return not self._pending and not self.executing

    @property
    def retries(self) -> int:
        """Failed attempts so far."""
        return sum(len(failures) for failures in self._failures.values())

    def next_failed_before(self) -> bool:
        """Whether the chunk that is next has failed already."""
        return bool(self._pending) and self.failed_before(self._pending[0])

    def failed_before(self, chunk: Chunk) -> bool:
        """Whether an attempt at the chunk has failed."""
        return chunk in self._failures

    def failed_on(self, chunk: Chunk) -> set[str]:
        """The workers on which it did."""
        return {failure.worker for failure in self._failures.get(chunk, ())}

    def take(self, may: Callable[[Chunk], bool]) -> Chunk | None:
        """The lowest waiting chunk of which ``may`` says yes, now held by a worker."""
        passed: list[Chunk] = []
        chosen = None
        while self._pending and chosen is None:
            chunk = heapq.heappop(self._pending)
            if may(chunk):
                chosen = chunk
                self.executing += 1
            else:
                passed.append(chunk)
        for chunk in passed:
            heapq.heappush(self._pending, chunk)
        return chosen

    def put_back(self, chunk: Chunk) -> None:
        """A worker does not hold the chunk any more and is not to blame."""
        self.executing -= 1
        if self._closed:
            self.abandoned += 1
        else:
            heapq.heappush(self._pending, chunk)

    def completed(self, seconds: float) -> None:
        """A held chunk is done; it took so long."""
        self.executing -= 1
        self.num_done += 1
        self._slowest_s = max(self._slowest_s or 0.0, seconds)

    def charge(self, failure: Failure) -> None:
        """A held chunk failed: it waits again, or is given up."""
        failures = self._failures.setdefault(failure.chunk, [])
        failures.append(failure)
        if len(failures) < self._attempts:
            return self.put_back(failure.chunk)
        self.executing -= 1
        self.given_up[failure.chunk] = failures
        limits = [self._max_failed, None if self.num_done else self._hopeless]
        if any(limit is not None and len(self.given_up) > limit for limit in limits):
            self.abandon()
        return None

    def lose(self, failure: Failure) -> None:
        """A held chunk's worker was taken away: free, unless that happens to the same chunk again and again."""
        self._free_losses[failure.chunk] += 1
        if self._free_losses[failure.chunk] > FREE_LOSSES:
            self.charge(failure)
        else:
            self.put_back(failure.chunk)

    def abandon(self) -> None:
        """Begin nothing more; what workers hold may still be done."""
        self._closed = True
        self.abandoned += len(self._pending)
        self._pending.clear()

    def limit_s(self, *, fresh: bool) -> float:
        """Seconds a chunk may take: measured on all workers, generous to a ``fresh`` one whose speed is unknown."""
        if self._deadline_s is not None:
            return self._deadline_s
        if self._slowest_s is None or fresh:
            return FIRST_DEADLINE_S
        return max(DEADLINE_FACTOR * self._slowest_s, SHORTEST_DEADLINE_S)
