"""Who does what next: a state machine without clock, processes or disk, driven by Ray, ``--local`` and simulations.

The rules:

- Jobs of higher priority come first; among equals a worker stays with the plan it has open, then with the model it
  holds, then takes the job that came first. A plan is opened only by a worker with nothing in its queue.
- A chunk is taken in order, lowest frames first. Every worker gets one before any gets a second; the second waits in
  its queue, so that the device never waits for the driver.
- Towards the end a slow worker gets no chunk that faster ones would have done sooner, queued behind what they do.
- A chunk that failed goes to another worker where there is one.
- A worker that fails ``RETIRE_AFTER`` chunks in a row is retired. One that dies while it has nothing to do is charged
  to none.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping

from render.farm.base import Resources
from render.farm.dispatch.chunk_queue import FIRST_DEADLINE_S, ChunkQueue, Failure
from render.farm.dispatch.state import Ask, Assignment, JobState, Open, Send, WorkerState, end_of
from render.plan import Chunk

__all__ = ["Dispatcher"]

DEPTH = 2  # one executing, one waiting in the worker's queue
RETIRE_AFTER = 3
CLEARLY = 0.9  # how much sooner others must be for a worker to be passed over: chunk times scatter
FORESEEN_S = 0.5  # how long a look ahead holds: with a thousand workers, hundreds of messages come in that time


class Dispatcher:
    """Hands out work and keeps count. Times are seconds of any steady clock, given by the caller."""

    def __init__(self) -> None:
        self._jobs: dict[int, JobState] = {}
        self._workers: dict[str, WorkerState] = {}
        self._free: dict[str, None] = {}  # workers with room in their queue
        self._passed: dict[str, None] = {}  # those of them that are passed over until the next look ahead
        self._ends: dict[int, float] = {}  # of a job: by when its workers will be through with all that waits
        self._looked = -math.inf
        self._claims: Mapping[Resources, int] = {}
        self._draining = False

    # Jobs

    def add_job(self, number: int, resources: Resources, priority: int = 0) -> None:
        """A job that may ask and submit."""
        self._jobs[number] = JobState(number, resources, priority)

    def ask(self, number: int) -> None:
        """The job has a question for any worker of its kind."""
        self._jobs[number].question = True
        self._look_again()

    def submit(self, number: int, ledger: ChunkQueue, *, model: str = "", max_workers: int | None = None) -> None:
        """The job has chunks to render with ``model``, by at most so many workers at a time."""
        job = self._jobs[number]
        job.ledger, job.model, job.max_workers = ledger, model, max_workers
        self._look_again()

    def committed(self, number: int, size: int) -> None:
        """A segment of the job, so many bytes, is on its disk."""
        if number in self._jobs:
            self._jobs[number].uncommitted -= size

    def remove_job(self, number: int) -> None:
        """The job is through, or gone; chunks of it that workers still execute count for nobody."""
        self._jobs.pop(number, None)

    def demand(self) -> dict[Resources, int]:
        """How many workers of each kind would have something to do, for all jobs together."""
        working: dict[int | None, int] = {}  # with a question or chunks; one that opens a plan will take what waits
        for worker in self._workers.values():
            working[worker.job] = working.get(worker.job, 0) + (bool(worker.queue) or isinstance(worker.errand, Ask))
        found: dict[Resources, int] = {}
        for job in self._jobs.values():
            useful = working.get(job.number, 0) + job.waiting + job.question
            limit = useful if job.max_workers is None else job.max_workers
            found[job.resources] = found.get(job.resources, 0) + min(useful, limit)
        return found

    def claims(self, short: Collection[Resources]) -> dict[Resources, int]:
        """Of the kinds that want more workers than there are: the priority of the weightiest job that waits."""
        found: dict[Resources, int] = {}
        for job in self._jobs.values():
            if job.resources in short and (job.question or job.waiting):
                found[job.resources] = max(job.priority, found.get(job.resources, job.priority))
        return found

    def drain(self) -> None:
        """Hand out nothing more. What workers hold may still be done."""
        self._draining = True
        for job in self._jobs.values():
            job.question = False
            if job.ledger:
                job.ledger.abandon()

    # Workers

    def add_worker(self, name: str, resources: Resources) -> None:
        """A worker is ready."""
        assert name not in self._workers, name
        self._workers[name] = WorkerState(resources)
        self._free[name] = None

    @property
    def workers(self) -> list[str]:
        """The workers that take work."""
        return [name for name, worker in self._workers.items() if not worker.retired]

    def workers_of(self, number: int) -> list[str]:
        """The workers that are busy for a job."""
        return [name for name, worker in self._workers.items() if worker.busy and worker.job == number]

    def idle(self) -> dict[str, Resources]:
        """The workers that have nothing to do."""
        return {
            name: worker.resources for name, worker in self._workers.items() if not worker.busy and not worker.retired
        }

    def count(self, resources: Resources) -> int:
        """The workers of a kind."""
        return sum(worker.resources == resources for worker in self._workers.values())

    @property
    def wanting(self) -> bool:
        """Whether any job has something for a worker to do."""
        return any(job.question or job.waiting for job in self._jobs.values())

    @property
    def busy(self) -> bool:
        """Whether any worker has something to do."""
        return any(worker.busy for worker in self._workers.values())

    def resources_of(self, name: str) -> Resources:
        """What the worker was started as."""
        return self._workers[name].resources

    def knows(self, name: str) -> bool:
        """Whether the worker has been added and not lost since."""
        return name in self._workers

    def retired(self, name: str) -> bool:
        """Whether the worker has failed too often to be given work."""
        return self._workers[name].retired

    def bad(self, name: str) -> bool:
        """Whether the worker is bad, not the job: it has completed nothing ever, and others have of the job."""
        worker = self._workers[name]
        job = self._jobs.get(worker.holds) if worker.holds is not None else None
        return not worker.completed and job is not None and job.ledger is not None and job.ledger.num_done > 0

    def held(self, name: str) -> list[Chunk]:
        """The chunks a worker holds, the executing one first."""
        return list(self._workers[name].queue)

    def job_of(self, name: str) -> int | None:
        """The job a worker is busy for, or whose plan it has open."""
        return self._workers[name].job

    def errand(self, name: str) -> Assignment | None:
        """What else than chunks the worker is busy with."""
        return self._workers[name].errand

    # Work

    def assign(
        self, now: float, starting: Mapping[Resources, int] | None = None, claims: Mapping[Resources, int] | None = None
    ) -> list[Assignment]:
        """What to do now. Of each kind so many workers are ``starting``: a chunk for each is left.

        Jobs of less weight than another resources's ``claims`` get nothing: their workers have to make room.
        """
        self._claims = claims or {}
        if self._draining or not self.wanting:
            return []
        if now - self._looked >= FORESEEN_S:
            self._look_again()
            self._looked = now
        steps: list[Assignment] = []
        for depth in range(DEPTH):
            for name in self._in_line(depth):
                worker = self._workers[name]
                soon = (starting or {}).get(worker.resources, 0)
                step = self._second(name, worker, now, soon) if depth else self._first(name, worker, now, soon)
                if step is not None:
                    steps.append(step)
                    self._settle(name, worker)
        return steps

    def opened(self, name: str) -> None:
        """The worker has opened the plan it was told to."""
        worker = self._workers[name]
        job = self._end_errand(name, worker)
        worker.done_here, worker.mean_s = 0, None
        if job is not None:
            worker.holds, worker.model = job.number, job.model

    def open_failed(self, name: str) -> None:
        """It could not, and is not asked again to open that one; what it had open before is gone."""
        worker = self._workers[name]
        job = self._end_errand(name, worker)
        worker.holds, worker.model = None, ""
        if job is not None:
            job.unfit.add(name)

    def answered(self, name: str, *, keeps_plan: bool) -> None:
        """The worker is through with the question."""
        worker = self._workers[name]
        self._end_errand(name, worker)
        if not keeps_plan:
            worker.holds, worker.model = None, ""

    def fit_workers(self, number: int) -> list[str]:
        """The workers of the job's kind that have not failed to open its plan."""
        job = self._jobs[number]
        return [
            name for name in self.workers if self._workers[name].resources == job.resources and name not in job.unfit
        ]

    def completed(self, name: str, chunk: Chunk, now: float, size: int = 0) -> None:
        """The worker rendered the chunk: a segment of so many bytes."""
        worker = self._workers[name]
        seconds = now - worker.since
        job = self._pop(name, chunk, now)
        worker.completed += 1
        worker.done_here += 1
        worker.in_a_row = 0
        worker.mean_s = seconds if worker.mean_s is None else worker.mean_s + (seconds - worker.mean_s) / 4
        if job is not None and job.ledger is not None:
            job.ledger.complete(seconds)
            job.uncommitted += size

    def failed(self, name: str, chunk: Chunk, cause: str, now: float) -> None:
        """The chunk failed on the worker, which lives on unless it has failed too often."""
        worker = self._workers[name]
        job = self._pop(name, chunk, now)
        if job is not None and job.ledger is not None:
            job.ledger.fail(Failure(chunk, name, cause))
        worker.in_a_row += 1
        self._look_again()
        if worker.in_a_row >= RETIRE_AFTER:
            self._release(worker)
            worker.retired = True
            self._free.pop(name, None)

    def lost(self, name: str, cause: str, *, charge: bool = True) -> None:
        """The worker is gone. What it was executing is charged unless the farm took the worker away."""
        worker = self._workers.pop(name)
        self._look_again()
        self._free.pop(name, None)
        job = self._jobs.get(worker.holds) if worker.holds is not None else None
        if worker.errand is not None:
            asked = self._jobs.get(worker.errand.job)
            if asked is not None and isinstance(worker.errand, Ask):
                asked.question = not self._draining
            elif asked is not None:
                asked.opening -= 1
        if worker.queue and job is not None and job.ledger is not None:
            failure = Failure(worker.queue.popleft(), name, cause)
            (job.ledger.fail if charge else job.ledger.lose_worker)(failure)
        self._release(worker)

    def overdue(self, now: float) -> list[tuple[str, float]]:
        """Workers that take too long over what they do, with the seconds it has taken."""
        return [
            (name, now - worker.since)
            for name, worker in self._workers.items()
            if worker.busy and now - worker.since > self._limit_s(worker)
        ]

    # Choosing

    def _in_line(self, depth: int) -> list[str]:
        """The workers with so many chunks in their queue; first those that have a plan open whose job waits."""
        waiting = {number for number, job in self._jobs.items() if job.waiting}
        names = [name for name in self._free if len(self._workers[name].queue) == depth]
        return sorted(names, key=lambda name: self._workers[name].holds not in waiting)

    def _first(self, name: str, worker: WorkerState, now: float, starting: int) -> Assignment | None:
        """Something for a worker with nothing to do."""
        for job in self._ranked(name, worker):
            if job.question:
                job.question = False
                worker.errand = Ask(name, job.number)
            elif worker.holds != job.number:
                if job.waiting <= job.opening or self._find(name, job, starting) is None:
                    continue
                job.opening += 1
                worker.errand = Open(name, job.number)
            else:
                if self._sooner_elsewhere(name, worker, job, now):
                    continue
                if (chunk := self._take(name, job, starting)) is None:
                    continue
                worker.queue.append(chunk)
                worker.since = now
                return Send(name, job.number, chunk)
            worker.since = now
            return worker.errand
        return None

    def _second(self, name: str, worker: WorkerState, now: float, starting: int) -> Assignment | None:
        """A chunk to wait behind the one the worker executes: of the same plan, unless a job of more weight waits."""
        job = self._jobs.get(worker.holds) if worker.holds is not None else None
        if job is None or job.waiting <= starting + job.opening or self._alone(worker, job):
            return None
        if self._yields(job) or any(other.priority > job.priority for other in self._ranked(name, worker)):
            return None
        if self._sooner_elsewhere(name, worker, job, now) or (chunk := self._take(name, job, starting)) is None:
            return None
        worker.queue.append(chunk)
        return Send(name, job.number, chunk)

    def _ranked(self, name: str, worker: WorkerState) -> Iterator[JobState]:
        """The jobs that a worker with nothing to do could work for, the best first."""
        wanting = [
            job
            for job in self._jobs.values()
            if job.resources == worker.resources and (job.question or job.waiting) and name not in job.unfit
            if not self._yields(job)
        ]
        wanting.sort(
            key=lambda job: (
                -job.priority,
                worker.holds != job.number,
                not worker.model or worker.model != job.model,
                job.number,
            )
        )
        for job in wanting:
            if job.max_workers is None or len({*self.workers_of(job.number)} - {name}) < job.max_workers:
                yield job

    def _yields(self, job: JobState) -> bool:
        """Whether another kind of workers has to get this job's place first."""
        return any(
            resources != job.resources and priority > job.priority for resources, priority in self._claims.items()
        )

    def _alone(self, worker: WorkerState, job: JobState) -> bool:
        """Whether nothing may queue behind what the worker has: a chunk that failed, or might be blamed for another.

        A worker begins a chunk while it still encodes the one before, so of two chunks either may have killed it.
        """
        assert job.ledger is not None
        return job.ledger.next_failed_before() or any(job.ledger.failed_before(chunk) for chunk in worker.queue)

    def _take(self, name: str, job: JobState, starting: int) -> Chunk | None:
        """The lowest waiting chunk that this worker may take: not one it failed, while another worker could."""
        assert job.ledger is not None
        chunk = self._find(name, job, starting)
        if chunk is not None:
            job.ledger.pop(chunk)
        return chunk

    def _find(self, name: str, job: JobState, starting: int) -> Chunk | None:
        assert job.ledger is not None
        return job.ledger.find(lambda chunk: self._may_take(name, job, chunk, starting))

    def _may_take(self, name: str, job: JobState, chunk: Chunk, starting: int) -> bool:
        assert job.ledger is not None
        if not job.ledger.failed_before(chunk):
            return True
        failed_on = job.ledger.failed_on(chunk)
        return name not in failed_on or (not starting and failed_on.issuperset(self.fit_workers(job.number)))

    def _sooner_elsewhere(self, name: str, worker: WorkerState, job: JobState, now: float) -> bool:
        """Whether others would be done with all that waits before this worker were through with one more."""
        if worker.mean_s is None or job.waiting > DEPTH * len(self._workers):
            return False
        if job.number not in self._ends:
            mates = [mate for mate in self._workers.values() if mate.holds == job.number and not mate.retired]
            self._ends[job.number] = end_of(job.waiting, mates, now)
        executing = max(worker.mean_s - (now - worker.since), 0.0) if worker.queue else 0.0
        if self._ends[job.number] > now + CLEARLY * (executing + worker.mean_s):
            return False
        del self._free[name]
        self._passed[name] = None
        return True

    def _look_again(self) -> None:
        """Something happened that nobody foresaw, or time has passed."""
        self._looked = -math.inf
        self._ends.clear()
        self._free |= self._passed
        self._passed.clear()

    # Keeping count

    def _limit_s(self, worker: WorkerState) -> float:
        job = self._jobs.get(worker.holds) if worker.holds is not None else None
        if worker.errand is not None or job is None or job.ledger is None:
            return FIRST_DEADLINE_S
        return job.ledger.limit_s(fresh=not worker.done_here)

    def _end_errand(self, name: str, worker: WorkerState) -> JobState | None:
        errand, worker.errand = worker.errand, None
        assert errand is not None, name
        self._settle(name, worker)
        job = self._jobs.get(errand.job)
        if job is not None and isinstance(errand, Open):
            job.opening -= 1
        return job

    def _pop(self, name: str, chunk: Chunk, now: float) -> JobState | None:
        worker = self._workers[name]
        worker.queue.remove(chunk)
        worker.since = now
        self._settle(name, worker)
        return self._jobs.get(worker.holds) if worker.holds is not None else None

    def _settle(self, name: str, worker: WorkerState) -> None:
        """Keep the list of workers with room in their queue."""
        self._passed.pop(name, None)
        if worker.errand is None and len(worker.queue) < DEPTH and not worker.retired:
            self._free.setdefault(name)
        else:
            self._free.pop(name, None)

    def _release(self, worker: WorkerState) -> None:
        while worker.queue:
            self._give_back(worker, worker.queue.popleft())

    def _give_back(self, worker: WorkerState, chunk: Chunk) -> None:
        job = self._jobs.get(worker.holds) if worker.holds is not None else None
        if job is not None and job.ledger is not None:
            job.ledger.requeue(chunk)
