"""What it means for jobs that workers do not start, cannot open a plan, or die over it."""

from render.errors import FarmError, RenderError
from render.farm.base import Resources, WorkerLost
from render.farm.dispatch import jobs
from render.farm.dispatch.actions import Ask, OpenPlan
from render.farm.dispatch.autoscaler import pause, room
from render.farm.dispatch.chunk_queue import FREE_LOSSES
from render.farm.dispatch.state import JobState, State
from render.store import Event as LogEvent

__all__ = ["MAX_FAILED_STARTS", "assignment_lost", "give_up", "log_lost", "open_failed", "start_failed"]

MAX_FAILED_STARTS = 3  # in a row, without success in between: it is not bad luck


def give_up(state: State, now: float) -> None:
    """End the jobs that nobody is left for, nor will be: each worker that there may be has refused their plan."""
    for job in state.jobs.values():
        if job.resources is None or not job.waits or state.starts(job.resources) or state.fit_workers(job):
            continue
        if state.count(job.resources) >= room(state, job.resources, now):
            jobs.fail(state, job, job.refusal or FarmError("no worker is left that can open the job"))


def log_lost(state: State, resources: Resources, message: WorkerLost) -> None:
    """Say in the jobs' logs that a worker is gone."""
    state.scaling.reconsider = True
    what = {"cause": message.cause, "preempted": message.preempted, "details": message.details}
    jobs.log_all(state, resources, LogEvent.WORKER_LOST, worker=message.worker, **what)


def assignment_lost(state: State, job: JobState, assignment: Ask | OpenPlan, message: WorkerLost, now: float) -> None:
    """A worker died over a question or a plan. Dead nodes are forgiven, though not for ever."""
    if message.preempted:
        job.lost_opens += 1
        if job.lost_opens > FREE_LOSSES:
            text = f"{job.lost_opens} workers in a row were lost before they could render; the last one:"
            jobs.fail(state, job, FarmError(f"{text} {message.cause}"))
        elif job.lost_opens >= MAX_FAILED_STARTS:
            _pause(state, job.resources, now)
    elif isinstance(assignment, OpenPlan):
        open_failed(state, job, message.worker, message.cause, None, now)
    else:
        job.lost_asks += 1
        if job.lost_asks >= MAX_FAILED_STARTS:
            text = f"{job.lost_asks} workers died over the job's model; of the last one: {message.cause}"
            jobs.fail(state, job, FarmError(text))


def start_failed(state: State, message: WorkerLost, now: float) -> None:
    """A worker could not start. A preempted start does not count."""
    resources = state.starting[message.worker].resources
    log_lost(state, resources, message)
    del state.starting[message.worker]
    state.scaling.failed_starts[resources] += not message.preempted
    failed = state.scaling.failed_starts[resources]
    jobs.notice_all(state, resources, f"worker {message.worker} could not start: {message.cause}")
    if failed < MAX_FAILED_STARTS:
        return
    if state.count(resources) or state.starts(resources):
        _pause(state, resources, now)
    else:
        text = f"{failed} workers in a row could not start; the last one said: {message.cause}"
        jobs.fail_all(state, resources, FarmError(text))


def open_failed(state: State, job: JobState, worker: str, cause: str, error: RenderError | None, now: float) -> None:
    """A bad machine leaves the others to work; a wrong model is wrong on all of them."""
    job.failed_opens += 1
    job.refusal = error
    jobs.notice(state, job, f"worker {worker} could not open the job: {cause}")
    state.scaling.reconsider = True
    if job.failed_opens < MAX_FAILED_STARTS or error is not None:
        return
    if state.workers_of(job.number):
        _pause(state, job.resources, now)
    else:
        text = f"{job.failed_opens} workers in a row could not open the job; the last one said: {cause}"
        jobs.fail(state, job, FarmError(text))


def _pause(state: State, resources: Resources | None, now: float) -> None:
    """Start no more workers of a kind for a while."""
    if resources is not None:
        jobs.log_all(state, resources, LogEvent.STARTS_PAUSED, seconds=pause(state, resources, now))
