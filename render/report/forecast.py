"""When jobs will be done, from the speed of their finished chunks and from what workers hold just now. Pure.

While every chunk takes what those before it took, the end that is foretold stays where it is: of a chunk that is being
rendered, the time that has passed is taken off. Only a chunk that is overdue moves the end away. All times are
seconds; a pace is seconds a frame of one worker.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from statistics import median

__all__ = ["Busy", "Forecast", "Paces", "Waiting", "foretell"]

RECENT = 5  # chunks of a worker that its pace is the median of: one odd chunk among them moves it little
HALVINGS = 12  # of the time of a chunk: nobody sees a thousandth of it
LEAST_S = 1e-9  # a chunk takes some time


class Paces:
    """The paces of a job's workers."""

    def __init__(self) -> None:
        self._recent: dict[str, deque[float]] = {}
        self._of: dict[str, float] = {}
        self._others: float | None = None  # of a worker that has done nothing yet; None: to be worked out

    def add(self, worker: str, seconds: float, frames: int) -> None:
        """The worker took so long for a chunk of so many frames."""
        recent = self._recent.setdefault(worker, deque(maxlen=RECENT))
        recent.append(seconds / frames)
        self._of[worker], self._others = median(recent), None

    def of(self, worker: str, so_far: float = 0.0) -> float | None:
        """The worker's pace; of one that has done nothing yet that of the others, None where nobody has.

        ``so_far``: seconds a frame that the worker has been at a chunk. Beyond its pace they count like a chunk done.
        """
        if not self._of:
            return None
        if self._others is None:
            self._others = median(self._of.values())
        pace = self._of.get(worker, self._others)
        return pace if so_far <= pace else median([*self._recent.get(worker, [pace]), so_far])


@dataclass(frozen=True)
class Busy:
    """A worker, and the job that it works for, or would go on with.

    ``frames`` are those of the chunks it holds, the executing one first, at which it has been for ``elapsed_s``.
    """

    name: str
    job: int | None
    frames: Sequence[int] = ()
    elapsed_s: float = 0.0


@dataclass(frozen=True)
class Waiting:
    """A job, and those of its chunks that no worker holds, of ``frames`` in all; ``unfit`` workers cannot render it."""

    job: int
    paces: Paces
    chunks: int
    frames: int
    max_workers: int | None = None
    unfit: Set[str] = frozenset()


@dataclass(frozen=True)
class Forecast:
    """Seconds until a job is done, None where nobody knows, and the frames a second of those who render it now."""

    seconds: float | None
    frames_per_s: float = 0.0


@dataclass(frozen=True)
class _Member:
    """A worker that a job has, or will have from ``from_s`` on: when it is through with what it holds, and what one
    more chunk takes it. It takes a chunk when it begins the one before, so that one always waits in its queue.
    """

    name: str
    free_s: float
    chunk_s: float = 0.0
    from_s: float = 0.0

    @property
    def takes_s(self) -> float:
        """When it takes the next chunk; what lies in the past happens now."""
        return self.free_s - self.chunk_s

    def taken(self, until_s: float) -> int:
        """Chunks that it has taken by then."""
        if until_s < self.from_s:
            return 0
        return max(0, math.floor((until_s - self.takes_s) / self.chunk_s + LEAST_S) + 1)


def foretell(jobs: Sequence[Waiting], workers: Iterable[Busy]) -> Mapping[int, Forecast]:
    """When each job will be done. ``jobs`` in the order in which a worker takes them up that is through with its own.

    A worker stays with its job until no chunk of it waits. Nothing is known of a job of which no chunk is done yet.
    """
    pools = {job.job: _Pool(job) for job in jobs}
    idle = list[_Member]()
    for worker in workers:
        pool = pools.get(-1 if worker.job is None else worker.job)
        if pool is None:
            idle.append(_Member(worker.name, 0.0))
        else:
            pool.begin_with(worker)
    _share(pools, idle)
    return {number: Forecast(pool.ends_s, pool.frames_per_s) for number, pool in pools.items()}


class _Pool:
    """The workers of a job, and what becomes of it with them."""

    def __init__(self, job: Waiting) -> None:
        self.job = job
        self.members: list[_Member] = []
        self.ends_s: float | None = None if job.chunks else 0.0
        self.frames_per_s = 0.0
        self.given: tuple[float, list[_Member]] | None = None  # when its last chunk is given out, and who is free when
        self._held_s: float | None = 0.0  # until the chunks that its workers hold now are done

    def begin_with(self, worker: Busy) -> None:
        """A worker that the job has now. A chunk that is overdue is taken to come as late again as it is."""
        first, *queued = worker.frames or [0]
        elapsed_s = worker.elapsed_s if first else 0.0
        pace = self.job.paces.of(worker.name)
        now = self.job.paces.of(worker.name, elapsed_s / max(first, 1))
        if pace is None or now is None:
            self._held_s = self.ends_s = None
            return
        free_s = abs(first * pace - elapsed_s) + sum(queued) * now
        self.frames_per_s += bool(first) / max(now, LEAST_S)
        self._held_s = None if self._held_s is None else max(self._held_s, free_s)
        self.ends_s = None if self.job.chunks else self._held_s
        self.join(worker.name, free_s, now, 0.0)

    def takes(self, name: str) -> bool:
        """Whether one more worker may render the job."""
        room = self.job.max_workers is None or len(self.members) < self.job.max_workers
        return room and name not in self.job.unfit

    def join(self, name: str, free_s: float, pace: float | None, from_s: float) -> None:
        """One more worker; nobody knows what one does whose pace is unknown."""
        self.given = None
        if pace is not None:
            chunk_s = pace * self.job.frames / max(self.job.chunks, 1)
            self.members.append(_Member(name, free_s, max(chunk_s, LEAST_S), from_s))

    def give_out(self) -> float:
        """Let the members render the waiting chunks, each when it is free; when the last one is given out."""
        if self.given is None:
            self.given = _give_out(self.members, self.job.chunks)
        return self.given[0]

    def end(self) -> list[_Member]:
        """The job is through: its members, each with the time when it is free."""
        assert self.given is not None
        after = self.given[1]
        held = [member.free_s for before, member in zip(self.members, after, strict=True) if member != before]
        self.ends_s = None if self._held_s is None else max([self._held_s, *held])
        return after


def _share(pools: Mapping[int, _Pool], free: list[_Member]) -> None:
    """Give out all chunks in thought. The workers of the job whose chunks are given out first go on with another."""
    waiting = [pool for pool in pools.values() if pool.job.chunks]
    free += [member for pool in pools.values() if not pool.job.chunks for member in pool.members]
    while waiting:
        for member in sorted(free, key=lambda member: member.free_s):
            pool = next((pool for pool in waiting if pool.takes(member.name)), None)
            if pool is not None:
                pool.join(member.name, member.free_s, pool.job.paces.of(member.name), member.free_s)
        at_work = [pool for pool in waiting if pool.members]
        if not at_work:
            return
        first = min(at_work, key=_Pool.give_out)
        waiting.remove(first)
        free = first.end()


def _give_out(members: Sequence[_Member], chunks: int) -> tuple[float, list[_Member]]:
    """Chunks to members, always the next to the one that takes it first: when the last is taken, who is free when."""
    last_s = _last_taken(members, chunks)
    taken = [member.taken(last_s) for member in members]
    if surplus := sum(taken) - chunks:  # of those that are taken in the same moment
        latest = [(-_taken_at(member, taken[index]), -index) for index, member in enumerate(members)]
        heapq.heapify(latest)
        for _ in range(surplus):
            index = -latest[0][1]
            taken[index] -= 1
            heapq.heapreplace(latest, (-_taken_at(members[index], taken[index]), -index))
    after = [
        replace(member, free_s=member.free_s + number * member.chunk_s)
        for member, number in zip(members, taken, strict=True)
    ]
    return last_s, after


def _taken_at(member: _Member, number: int) -> float:
    return member.takes_s + (number - 1) * member.chunk_s if number else -math.inf


def _last_taken(members: Sequence[_Member], chunks: int) -> float:
    """The earliest time at which the members have taken so many chunks, to a thousandth of a chunk.

    It is looked for between two bounds: those of chunks that could be split, or where a member comes later than that,
    those of one member alone.
    """
    speed = sum(1 / member.chunk_s for member in members)
    offset = sum(member.takes_s / member.chunk_s for member in members)
    low, high, halvings = (chunks - len(members) + offset) / speed, (chunks + offset) / speed, HALVINGS
    if low < max(max(member.takes_s, member.from_s) for member in members):
        alone = (max(member.from_s, _taken_at(member, chunks)) for member in members)
        low, high, halvings = min(member.takes_s for member in members), min(alone) + LEAST_S, 3 * HALVINGS
    for _ in range(halvings):
        middle = (low + high) / 2
        enough = sum(member.taken(middle) for member in members) >= chunks
        low, high = (low, middle) if enough else (middle, high)
    return high
