"""Who renders what next: attempts, retirement, deadlines. A pure state machine: no Ray, no clock, no disk.

The driver tells it what happened and when; it answers what to do. The same machine serves Ray, ``--local`` and
simulations. Its rules (the farm decides retries, not Ray):

- A worker holds at most ``DEPTH`` chunks and renders them in order, so only the first of them is executing.
- A failure is charged to the chunk that was executing; what waited behind it goes back free of charge.
- A failed chunk goes to a worker that has not failed it, where there is one; after ``attempts`` it is given up.
- A worker that fails ``RETIRE_AFTER`` chunks is retired.
- A worker that dies while it has nothing to do is charged to no chunk.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from render.plan import Chunk

__all__ = ["Dispatcher", "Failure"]

DEPTH = 2  # one executing, one waiting in the worker's queue: the device never waits for the driver
RETIRE_AFTER = 3
FIRST_DEADLINE_S = 7200.0  # of a worker nobody has measured: 18 frames of SD 1.5 take a CPU 80 minutes
DEADLINE_FACTOR = 10.0  # ten times the slowest chunk so far is a hang, not a slow chunk
SHORTEST_DEADLINE_S = 60.0


@dataclass(frozen=True)
class Failure:
    """One failed attempt at a chunk."""

    chunk: Chunk
    worker: str
    cause: str


@dataclass
class _Worker:
    queue: deque[Chunk] = field(default_factory=deque)
    since: float = 0.0  # when the chunk at the head of the queue began
    completed: int = 0
    failures: int = 0
    retired: bool = False


class Dispatcher:
    """Hands out chunks to workers and keeps count. Times are seconds of any steady clock, given by the caller."""

    def __init__(self, chunks: Iterable[Chunk], *, attempts: int, deadline_s: float | None = None) -> None:
        self._pending = list(chunks)
        heapq.heapify(self._pending)
        self._attempts = attempts
        self._deadline_s = deadline_s
        self._slowest_s: float | None = None
        self._starting = 0
        self._workers: dict[str, _Worker] = {}
        self._failures: dict[Chunk, list[Failure]] = {}
        self.given_up: dict[Chunk, list[Failure]] = {}
        self.done: list[Chunk] = []

    @property
    def finished(self) -> bool:
        """Whether every chunk is done or given up."""
        return not self._pending and not any(worker.queue for worker in self._workers.values())

    @property
    def waiting(self) -> int:
        """Chunks that no worker holds yet."""
        return len(self._pending)

    @property
    def retries(self) -> int:
        """Failed attempts so far."""
        return sum(len(failures) for failures in self._failures.values())

    @property
    def workers(self) -> list[str]:
        """The workers that take chunks."""
        return [name for name, worker in self._workers.items() if not worker.retired]

    def add_worker(self, name: str) -> None:
        """A worker is ready to render."""
        assert name not in self._workers, name
        self._workers[name] = _Worker()

    def assign(self, now: float, starting: int = 0) -> list[tuple[str, Chunk]]:
        """Chunks to send now, lowest frames first; every worker gets one before any gets a second.

        ``starting`` workers will be ready soon: a chunk for each is left, rather than queued behind another.
        """
        self._starting = starting
        sent: list[tuple[str, Chunk]] = []
        for depth in range(DEPTH):
            for name in self.workers:
                worker = self._workers[name]
                if depth and len(self._pending) <= starting:
                    break
                if len(worker.queue) == depth and not self._alone(worker) and (chunk := self._next_for(name)):
                    if not worker.queue:
                        worker.since = now
                    worker.queue.append(chunk)
                    sent.append((name, chunk))
        return sent

    def _alone(self, worker: _Worker) -> bool:
        """Whether nothing may queue behind what the worker has: a chunk that failed, or might be blamed for another.

        A worker begins a chunk while it still encodes the one before, so of two chunks either may have killed it.
        """
        queue = [*worker.queue, *self._pending[:1]] if worker.queue else []
        return any(chunk in self._failures for chunk in queue)

    def completed(self, name: str, chunk: Chunk, now: float) -> None:
        """The worker rendered the chunk and it is committed."""
        worker = self._workers[name]
        self._slowest_s = max(self._slowest_s or 0.0, now - worker.since)
        self._pop(worker, chunk, now)
        worker.completed += 1
        self.done.append(chunk)

    def failed(self, name: str, chunk: Chunk, cause: str, now: float) -> None:
        """The chunk failed on the worker, which lives on unless it has failed too often."""
        worker = self._workers[name]
        self._pop(worker, chunk, now)
        self._charge(Failure(chunk, name, cause))
        worker.failures += 1
        if worker.failures >= RETIRE_AFTER:
            self._release(worker)
            worker.retired = True

    def lost(self, name: str, cause: str, *, charge: bool = True) -> None:
        """The worker is gone. What it was executing is charged unless the farm took the worker away (preemption)."""
        worker = self._workers.pop(name)
        if worker.queue and charge:
            self._charge(Failure(worker.queue.popleft(), name, cause))
        self._release(worker)

    def overdue(self, now: float) -> list[tuple[str, Chunk, float]]:
        """Workers whose executing chunk is past its deadline, with the chunk and the seconds it has taken."""
        return [
            (name, worker.queue[0], now - worker.since)
            for name, worker in self._workers.items()
            if worker.queue and now - worker.since > self._limit_s(worker)
        ]

    def held(self, name: str) -> list[Chunk]:
        """The chunks a worker holds, the executing one first."""
        return list(self._workers[name].queue)

    def knows(self, name: str) -> bool:
        """Whether the worker has been added and not lost since."""
        return name in self._workers

    def retired(self, name: str) -> bool:
        """Whether the worker has failed too often to be given chunks."""
        return self._workers[name].retired

    def fruitless(self, name: str) -> bool:
        """Whether the worker has not completed a single chunk."""
        return not self._workers[name].completed

    def _limit_s(self, worker: _Worker) -> float:
        """Measured on all workers, but generous to one whose own speed nobody knows yet."""
        if self._deadline_s is not None:
            return self._deadline_s
        if self._slowest_s is None or not worker.completed:
            return FIRST_DEADLINE_S
        return max(DEADLINE_FACTOR * self._slowest_s, SHORTEST_DEADLINE_S)

    def _next_for(self, name: str) -> Chunk | None:
        """The lowest pending chunk that this worker may take: not one it failed, while another worker could."""
        passed: list[Chunk] = []
        chosen = None
        while self._pending and chosen is None:
            chunk = heapq.heappop(self._pending)
            if self._may_take(name, chunk):
                chosen = chunk
            else:
                passed.append(chunk)
        for chunk in passed:
            heapq.heappush(self._pending, chunk)
        return chosen

    def _may_take(self, name: str, chunk: Chunk) -> bool:
        failed_on = {failure.worker for failure in self._failures.get(chunk, ())}
        return name not in failed_on or (not self._starting and failed_on.issuperset(self.workers))

    def _pop(self, worker: _Worker, chunk: Chunk, now: float) -> None:
        worker.queue.remove(chunk)
        worker.since = now

    def _charge(self, failure: Failure) -> None:
        failures = self._failures.setdefault(failure.chunk, [])
        failures.append(failure)
        if len(failures) >= self._attempts:
            self.given_up[failure.chunk] = failures
        else:
            heapq.heappush(self._pending, failure.chunk)

    def _release(self, worker: _Worker) -> None:
        for chunk in worker.queue:
            heapq.heappush(self._pending, chunk)
        worker.queue.clear()
