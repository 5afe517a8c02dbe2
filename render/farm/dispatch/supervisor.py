"""The workers of all jobs: hired as there is work, heard, retired, let go. What becomes of one is told to its jobs.

Decides nothing about chunks (``dispatcher.py``) nor about numbers (``autoscaler.py``); it carries their decisions out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from render.errors import FarmError, RenderError
from render.farm.base import (
    Answered,
    ChunkDone,
    ChunkFailed,
    Farm,
    Message,
    Opened,
    Refused,
    Resources,
    WorkerLost,
    WorkerReady,
)
from render.farm.client import Describe
from render.farm.dispatch.autoscaler import Autoscaler
from render.farm.dispatch.chunk_queue import FREE_LOSSES
from render.farm.dispatch.dispatcher import Dispatcher
from render.farm.dispatch.state import Ask, Assignment, Job, Open, Send
from render.plan import Chunk
from render.store import Event

__all__ = ["MAX_FAILED_STARTS", "Supervisor"]

TICK_S = 1.0  # how often deadlines are looked at
MAX_FAILED_STARTS = 3  # in a row, without success in between: it is not bad luck


class Supervisor:
    """Everything between the jobs and the farm's workers."""

    def __init__(self, farm: Farm, dispatcher: Dispatcher, jobs: Mapping[int, Job]) -> None:
        self._farm, self._dispatcher, self._jobs = farm, dispatcher, jobs
        self._staff = Autoscaler()
        self._last: dict[str, Chunk | None] = {}  # while draining: what each worker still finishes
        self._draining = False
        self._checked = 0.0

    @property
    def working(self) -> bool:
        """Whether messages are to be expected, or will be."""
        return bool(self._staff.starting) or self._dispatcher.busy or self._dispatcher.wanting

    def look(self) -> None:
        """Something changed that may call for more workers or fewer."""
        self._staff.changed = True

    def work(self) -> None:
        """Hand out what there is to do, and see to it that there are workers."""
        now = time.monotonic()
        for step in self._dispatcher.assign(now, self._staff.soon(now), self._staff.claims):
            self._take(step, now)
        if self._staff.due(now):
            self._hire(now)

    def hear(self, timeout_s: float) -> None:
        """Wait for messages and act on them; then on what should have come and did not."""
        for message in self._farm.wait(timeout_s):
            self._hear(message)
        self._stop_overdue()

    def drain(self) -> None:
        """Begin nothing more; every worker is stopped when it is through with what it executes."""
        self._draining = True
        self._dispatcher.drain()
        for worker in self._dispatcher.workers:
            self._last[worker] = next(iter(self._dispatcher.held(worker)), None)
            self._let_go(worker)
        for worker in list(self._staff.starting):
            self._cancel(worker)

    # Hiring

    def _hire(self, now: float) -> None:
        orders = self._staff.orders(self._farm, self._dispatcher, now)
        for worker in orders.stop:
            self._stop(worker, "another resources of workers wants its place")
        for worker in orders.cancel:
            self._cancel(worker)
        for resources in orders.start:
            name = self._farm.start(resources)
            self._staff.starting[name] = (resources, now)
            self._tell(resources, Event.WORKER_STARTING, worker=name)
        for resources, text in orders.notices:
            self._notice(resources, text)
        for resources, text in orders.hopeless:
            self._fail_all(resources, FarmError(text))

    def _stop(self, worker: str, why: str) -> None:
        """Stop a worker that is not needed; nobody is to blame, and what it holds goes to others."""
        self._tell(self._dispatcher.resources_of(worker), Event.WORKER_STOPPED, worker=worker, cause=why)
        self._farm.stop(worker)
        self._dispatcher.lost(worker, why, charge=False)

    def _cancel(self, worker: str) -> None:
        """Stop a worker that is not even ready."""
        resources, _ = self._staff.starting.pop(worker)
        self._tell(resources, Event.WORKER_STOPPED, worker=worker, cause="not needed any more")
        self._farm.stop(worker)

    def _let_go(self, worker: str) -> None:
        """While draining: stop a worker that has finished what it was executing, before it goes on to what waits."""
        if self._dispatcher.knows(worker) and self._last.get(worker) not in self._dispatcher.held(worker):
            job = self._job_of(worker)
            self._stop(worker, "drained")
            if job is not None:
                job.settle()

    def _take(self, step: Assignment, now: float) -> None:
        job = self._jobs[step.job]
        match step:
            case Send(worker, _, chunk):
                job.began = job.began or now
                job.log(Event.SENT, worker=worker, chunk=chunk.name)
                self._farm.send(worker, chunk)
            case Open(worker):
                self._farm.open(worker, job.plan_json)
            case Ask(worker):
                assert job.question is not None
                if isinstance(job.question, Describe):
                    self._farm.describe(worker, job.question.spec)
                else:
                    self._farm.measure(worker, job.question.plan.to_json())

    # Messages

    def _hear(self, message: Message) -> None:
        worker = message.worker
        if worker not in self._staff.starting and not self._dispatcher.knows(worker):
            return  # stopped a moment ago, with this message on its way; its chunks went back
        match message:
            case WorkerReady(_, hello):
                resources, _ = self._staff.ready(worker)
                self._dispatcher.add_worker(worker, resources)
                self._tell(resources, Event.WORKER_READY, worker=worker, host=hello.host, pid=hello.pid)
            case Answered():
                self._answered(message)
            case Refused():
                self._refused(message)
            case ChunkDone():
                self._done(message)
            case ChunkFailed():
                self._chunk_failed(message)
            case WorkerLost():
                self._lost(message)
        if self._draining:
            self._let_go(worker)

    def _answered(self, message: Answered) -> None:
        worker, job = message.worker, self._job_of(message.worker)
        if isinstance(message.answer, Opened):
            self._dispatcher.opened(worker)
            if job is not None:
                job.opened(worker, message.answer)
            return
        self._end_question(worker, job)
        if job is not None:
            job.question = None
            job.client.deliver(message.answer)

    def _end_question(self, worker: str, job: Job | None) -> None:
        """A device that was measured had to close its plan."""
        described = job is not None and isinstance(job.question, Describe)
        self._dispatcher.answered(worker, keeps_plan=described)

    def _refused(self, message: Refused) -> None:
        """A worker could not answer, or not open a plan."""
        worker, job = message.worker, self._job_of(message.worker)
        if isinstance(self._dispatcher.errand(worker), Ask):
            self._end_question(worker, job)
            if job is not None:
                self._fail(job, message.error or FarmError(f"worker {worker} failed: {message.cause}"))
            return
        self._dispatcher.open_failed(worker)
        if job is None:
            return
        job.log(Event.OPEN_FAILED, worker=worker, cause=message.cause, details=message.details)
        if message.error is None:  # nobody knows what state its process is in
            self._stop(worker, "it failed to open a plan")
        self._open_failed(job, worker, message.cause, message.error)

    def _open_failed(self, job: Job, worker: str, cause: str, error: RenderError | None) -> None:
        """A bad machine leaves the others to work; a wrong model is wrong on all of them."""
        job.failed_opens += 1
        job.refusal = error
        job.notice(f"worker {worker} could not open the job: {cause}")
        self._staff.changed = True
        if job.failed_opens < MAX_FAILED_STARTS or error is not None:
            return self._give_up(job)
        if not self._dispatcher.workers_of(job.number):
            text = f"{job.failed_opens} workers in a row could not open the job; the last one said: {cause}"
            return self._fail(job, FarmError(text))
        return self._pause(job.resources)

    def _give_up(self, job: Job) -> None:
        """End a job that nobody is left for, nor will be: each worker that there may be has refused its plan."""
        if job.resources is None or not job.waits or self._staff.starts(job.resources):
            return
        full = self._dispatcher.count(job.resources) >= self._staff.room(self._farm, job.resources, time.monotonic())
        if full and not self._dispatcher.fit_workers(job.number):
            self._fail(job, job.refusal or FarmError("no worker is left that can open the job"))

    def _done(self, message: ChunkDone) -> None:
        worker, segment, job = message.worker, message.segment, self._job_of(message.worker)
        self._dispatcher.completed(worker, segment.record.chunk, time.monotonic(), segment.size)
        if job is not None:
            job.done(segment)
            job.settle()

    def _chunk_failed(self, message: ChunkFailed) -> None:
        worker, job = message.worker, self._job_of(message.worker)
        if job is not None:
            job.failed(message)
        self._dispatcher.failed(worker, message.chunk, message.cause, time.monotonic())
        if self._dispatcher.retired(worker):
            self._retire(worker)
        if job is not None:
            job.settle()

    def _retire(self, worker: str) -> None:
        """Let a worker go that failed too often. A device that is bad gets no other for a while."""
        resources, bad = self._dispatcher.resources_of(worker), self._dispatcher.bad(worker)
        self._tell(resources, Event.WORKER_RETIRED, worker=worker, benched=bad)
        self._farm.stop(worker)
        self._dispatcher.lost(worker, "retired", charge=False)
        if bad:
            self._staff.bench(resources, time.monotonic())
        end = "gets no more; the others go on without it" if bad else "is replaced"
        self._notice(resources, f"worker {worker} failed several chunks and {end}")
        self._staff.changed = True
        for job in self._of_kind(resources):
            self._give_up(job)

    def _lost(self, message: WorkerLost) -> None:
        worker, cause = message.worker, message.cause
        self._staff.changed = True
        starting = self._staff.starting.get(worker)
        resources = starting[0] if starting else self._dispatcher.resources_of(worker)
        preempted, details = message.preempted, message.details
        self._tell(resources, Event.WORKER_LOST, worker=worker, cause=cause, preempted=preempted, details=details)
        if starting:
            self._start_failed(resources, message)
            return
        job, errand, held = self._job_of(worker), self._dispatcher.errand(worker), self._dispatcher.held(worker)
        if job is not None and held and not message.preempted:
            job.failed(ChunkFailed(worker, held[0], cause))
        else:
            self._notice(resources, f"worker {worker} is gone ({cause}); its chunks go to others")
        self._dispatcher.lost(worker, cause, charge=not message.preempted)
        if job is not None and errand is not None:
            self._errand_lost(job, errand, message)
        if job is not None:
            job.settle()
        for other in self._of_kind(resources):
            self._give_up(other)

    def _errand_lost(self, job: Job, errand: Assignment, message: WorkerLost) -> None:
        """A worker died over a question or a plan. Dead nodes are forgiven, though not for ever."""
        if message.preempted:
            job.lost_opens += 1
            if job.lost_opens > FREE_LOSSES:
                text = f"{job.lost_opens} workers in a row were lost before they could render; the last one:"
                self._fail(job, FarmError(f"{text} {message.cause}"))
            elif job.lost_opens >= MAX_FAILED_STARTS:
                self._pause(job.resources)
        elif isinstance(errand, Open):
            self._open_failed(job, message.worker, message.cause, None)
        else:
            job.lost_asks += 1
            if job.lost_asks >= MAX_FAILED_STARTS:
                text = f"{job.lost_asks} workers died over the job's model; of the last one: {message.cause}"
                self._fail(job, FarmError(text))

    def _start_failed(self, resources: Resources, message: WorkerLost) -> None:
        failed = self._staff.start_failed(message.worker, counts=not message.preempted)
        alone = not self._dispatcher.count(resources) and not self._staff.starts(resources)
        self._notice(resources, f"worker {message.worker} could not start: {message.cause}")
        if failed >= MAX_FAILED_STARTS and alone:
            text = f"{failed} workers in a row could not start; the last one said: {message.cause}"
            self._fail_all(resources, FarmError(text))
        elif failed >= MAX_FAILED_STARTS:
            self._pause(resources)

    def _pause(self, resources: Resources | None) -> None:
        """Start no more workers of a kind for a while."""
        if resources is not None:
            self._tell(resources, Event.STARTS_PAUSED, seconds=self._staff.pause(resources, time.monotonic()))

    def _stop_overdue(self) -> None:
        """Workers that hang: over a chunk, over a model, or before they were ready at all."""
        now = time.monotonic()
        if now - self._checked < TICK_S:
            return
        self._checked = now
        overdue = [(name, f"not ready after {seconds:.0f} s") for name, seconds in self._staff.overdue(self._farm, now)]
        for name, seconds in self._dispatcher.overdue(now):
            what = "no result" if self._dispatcher.held(name) else "no answer"
            cause = f"{what} after {seconds:.0f} s; the worker was stopped (farm.deadline sets the limit)"
            overdue.append((name, cause))
        for name, cause in overdue:
            self._farm.stop(name)
            self._hear(WorkerLost(name, cause))

    # Jobs

    def _job_of(self, worker: str) -> Job | None:
        """The job that a worker works for, None where it has left."""
        number = self._dispatcher.job_of(worker)
        return None if number is None else self._jobs.get(number)

    def _of_kind(self, resources: Resources | None) -> Iterator[Job]:
        yield from [job for job in self._jobs.values() if resources is not None and job.resources == resources]

    def _tell(self, resources: Resources, event: Event, **details: object) -> None:
        """Into the log of every job that such workers serve."""
        for job in self._of_kind(resources):
            job.log(event, **details)

    def _notice(self, resources: Resources, text: str) -> None:
        for job in self._of_kind(resources):
            job.notice(text)

    def _fail(self, job: Job, error: RenderError) -> None:
        """End a job's request with an error; what its workers still do counts for nobody."""
        self._dispatcher.remove_job(job.number)
        job.fail(error)

    def _fail_all(self, resources: Resources, error: RenderError) -> None:
        for job in self._of_kind(resources):
            if job.waits:
                self._fail(job, error)
