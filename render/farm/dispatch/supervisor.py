"""What becomes of workers: ready, refused, retired, lost, overdue, let go; and of the jobs that they fail."""

from render.errors import FarmError
from render.farm.base import (
    Answered,
    ChunkDone,
    ChunkFailed,
    Doing,
    Message,
    Opened,
    Refused,
    WorkerLost,
    WorkerReady,
)
from render.farm.dispatch import failures, jobs
from render.farm.dispatch.actions import Ask, OpenPlan, StartWorker, StopWorker
from render.farm.dispatch.autoscaler import quarantine, scaling_plan
from render.farm.dispatch.chunk_queue import Failure
from render.farm.dispatch.deadlines import overdue
from render.farm.dispatch.state import StartingWorker, State, WorkerState
from render.store import Event as LogEvent

__all__ = ["RETIRE_AFTER", "drain", "receive", "scale", "stop_overdue"]

RETIRE_AFTER = 3  # chunks that a worker fails in a row


def receive(state: State, message: Message, now: float) -> None:
    """Take a message of the farm. One of a worker that was stopped meanwhile, or a second one, counts for nothing."""
    name = message.worker
    worker = state.workers.get(name)
    match message:
        case WorkerReady() if name in state.starting:
            _ready(state, message)
        case WorkerLost() if name in state.starting:
            failures.start_failed(state, message, now)
        case WorkerLost() if worker is not None:
            _lost(state, worker, message, now)
        case ChunkDone() if worker is not None and message.segment.record.chunk in worker.chunks:
            _done(state, worker, message, now)
        case ChunkFailed() if worker is not None and message.chunk in worker.chunks:
            _failed(state, worker, message, now)
        case Doing() if worker is not None and worker.assignment is not None:
            worker.doing = message.text
        case Answered() if worker is not None and worker.assignment is not None:
            _answered(state, worker, message)
        case Refused() if worker is not None and worker.assignment is not None:
            _refused(state, worker, message, now)
    if state.draining:
        _let_go(state, name)


# How many there are


def scale(state: State, prefix: str, now: float) -> None:
    """Start the workers that are missing, and stop those that are in the way."""
    plan = scaling_plan(state, now)
    for name in plan.stop:
        _stop(state, name, "another kind of workers wants its place")
    for name in plan.cancel:
        _cancel(state, name)
    for resources in plan.start:
        name = f"{prefix}{state.num_started}"
        state.num_started += 1
        state.starting[name] = StartingWorker(resources, now)
        state.outbox.append(StartWorker(name, resources))
        jobs.log_all(state, resources, LogEvent.WORKER_STARTING, worker=name)
    for name, text in plan.notices:
        state.starting[name].announced = True
        jobs.notice_all(state, state.starting[name].resources, text)
    for resources, text in plan.unsatisfiable:
        jobs.fail_all(state, resources, FarmError(text))


def drain(state: State) -> None:
    """Begin nothing more; every worker is stopped when it is through with what it executes."""
    state.draining = True
    for job in state.jobs.values():
        if job.queue is not None:
            job.queue.abandon()
    for name, worker in list(state.workers.items()):
        worker.last_chunk = worker.chunks[0] if worker.chunks else None
        _let_go(state, name)
    for name in list(state.starting):
        _cancel(state, name)


def _stop(state: State, name: str, why: str) -> None:
    """Stop a worker that is not needed; nobody is to blame, and what it holds goes to others."""
    jobs.log_all(state, state.workers[name].resources, LogEvent.WORKER_STOPPED, worker=name, cause=why)
    state.outbox.append(StopWorker(name))
    _remove(state, name, why, charge=False)


def _cancel(state: State, name: str) -> None:
    """Stop a worker that is not even ready."""
    resources = state.starting.pop(name).resources
    jobs.log_all(state, resources, LogEvent.WORKER_STOPPED, worker=name, cause="not needed any more")
    state.outbox.append(StopWorker(name))


def _let_go(state: State, name: str) -> None:
    """While draining: stop a worker that has finished what it was executing, before it goes on to what waits."""
    worker = state.workers.get(name)
    if worker is not None and worker.last_chunk not in worker.chunks:
        job = state.job_of(worker)
        _stop(state, name, "drained")
        jobs.settle(state, job)


def _remove(state: State, name: str, cause: str, *, charge: bool) -> None:
    """A worker is gone. What it was executing is charged unless the farm took the worker away."""
    worker = state.workers.pop(name)
    state.free.pop(name, None)
    job = state.job_of(worker)
    if job is None:
        return
    if isinstance(worker.assignment, Ask):
        job.asked = False
    elif isinstance(worker.assignment, OpenPlan):
        job.opening -= 1
    if job.queue is not None and worker.chunks:
        failure = Failure(worker.chunks.popleft(), name, cause)
        (job.queue.fail if charge else job.queue.lose_worker)(failure)
        for chunk in worker.chunks:
            job.queue.requeue(chunk)


# Starting and opening


def _ready(state: State, message: WorkerReady) -> None:
    name, hello = message.worker, message.hello
    resources = state.starting.pop(name).resources
    state.scaling.failed_starts[resources] = 0
    state.scaling.pauses.pop(resources, None)
    state.scaling.reconsider = True
    state.workers[name] = WorkerState(resources)
    state.note_room(name)
    jobs.log_all(state, resources, LogEvent.WORKER_READY, worker=name, host=hello.host, pid=hello.pid)


def _answered(state: State, worker: WorkerState, message: Answered) -> None:
    """A worker has answered a question, or opened a plan."""
    assignment, job = worker.assignment, state.job_of(worker)
    if isinstance(assignment, OpenPlan) != isinstance(message.answer, Opened):
        return
    worker.assignment = None
    state.note_room(message.worker)
    if job is None:
        return
    if isinstance(message.answer, Opened):
        worker.open_job, worker.model, worker.done_here = job.number, job.model, 0
        jobs.opened(state, job, message.worker, message.answer)
    else:
        jobs.answered(state, job, message.answer)


def _refused(state: State, worker: WorkerState, message: Refused, now: float) -> None:
    """A worker could not answer, or not open a plan."""
    name, assignment, job = message.worker, worker.assignment, state.job_of(worker)
    worker.assignment = None
    state.note_room(name)
    if isinstance(assignment, Ask):
        if job is not None:
            jobs.fail(state, job, message.error or FarmError(f"worker {name} failed: {message.cause}"))
        return
    worker.model = ""
    if job is None:
        return
    job.opening -= 1
    job.unfit.add(name)
    jobs.log(state, job, LogEvent.OPEN_FAILED, worker=name, cause=message.cause, details=message.details)
    if message.error is None:  # nobody knows what state its process is in
        _stop(state, name, "it failed to open a plan")
    failures.open_failed(state, job, message.worker, message.cause, message.error, now)


# Chunks


def _done(state: State, worker: WorkerState, message: ChunkDone, now: float) -> None:
    segment, job, seconds = message.segment, state.job_of(worker), now - worker.since
    worker.chunks.remove(segment.record.chunk)
    worker.since = now
    worker.completed += 1
    worker.done_here += 1
    worker.failed_in_a_row = 0
    state.note_room(message.worker)
    if job is not None and job.queue is not None:
        job.paces.add(message.worker, seconds, job.queue.complete(segment.record.chunk, seconds))
        jobs.deliver_segment(state, job, segment)


def _failed(state: State, worker: WorkerState, message: ChunkFailed, now: float) -> None:
    name, job = message.worker, state.job_of(worker)
    worker.chunks.remove(message.chunk)
    worker.since = now
    worker.failed_in_a_row += 1
    state.note_room(name)
    if job is not None and job.queue is not None:
        jobs.chunk_failed(state, job, message)
        job.queue.fail(Failure(message.chunk, name, message.cause))
    if worker.failed_in_a_row >= RETIRE_AFTER:
        _retire(state, name, worker, now)
    jobs.settle(state, job)


def _retire(state: State, name: str, worker: WorkerState, now: float) -> None:
    """Let a worker go that failed too often. A device that is bad gets no other for a while.

    It is bad, and not the job, where it has completed nothing ever, and others have of the job.
    """
    job, resources = state.job_of(worker), worker.resources
    bad = not worker.completed and job is not None and job.queue is not None and job.queue.num_done > 0
    jobs.log_all(state, resources, LogEvent.WORKER_RETIRED, worker=name, quarantined=bad)
    state.outbox.append(StopWorker(name))
    if job is not None and job.queue is not None:
        for chunk in worker.chunks:
            job.queue.requeue(chunk)
    worker.chunks.clear()
    _remove(state, name, "retired", charge=False)
    if bad:
        quarantine(state, resources, now)
    end = "gets no more; the others go on without it" if bad else "is replaced"
    jobs.notice_all(state, resources, f"worker {name} failed several chunks and {end}")
    state.scaling.reconsider = True


# Losses


def _lost(state: State, worker: WorkerState, message: WorkerLost, now: float) -> None:
    name, cause, job = message.worker, message.cause, state.job_of(worker)
    failures.log_lost(state, worker.resources, message)
    if job is not None and worker.chunks and not message.preempted:
        jobs.chunk_failed(state, job, ChunkFailed(name, worker.chunks[0], cause))
    else:
        text = f"worker {name} is gone ({cause}); its chunks go to others"
        jobs.notice_all(state, worker.resources, text)
    _remove(state, name, cause, charge=not message.preempted)
    if job is not None and worker.assignment is not None:
        failures.assignment_lost(state, job, worker.assignment, message, now)
    jobs.settle(state, job)


def stop_overdue(state: State, now: float) -> None:
    """Stop workers that hang. To be called every second or so."""
    state.checked = now
    for name, cause in overdue(state, now):
        state.outbox.append(StopWorker(name))
        receive(state, WorkerLost(name, cause), now)
