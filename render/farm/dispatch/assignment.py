"""Who does what next. Chooses, and changes nothing.

The rules:

- Jobs of higher priority come first; among equals a worker stays with the plan it has open, then with the model it
  holds, then takes the job that came first. A plan is opened only by a worker with nothing in its queue.
- A chunk is taken in order, lowest frames first. Every worker gets one before any gets a second; the second waits in
  its queue, so that the device never waits for the driver.
- A chunk that failed goes to another worker where there is one, and is rendered alone.
"""

from collections.abc import Iterator
from functools import partial

from render.farm.dispatch.actions import Ask, Assignment, OpenPlan, SendChunk
from render.farm.dispatch.autoscaler import expected
from render.farm.dispatch.state import JobState, State, WorkerState
from render.plan import Chunk

__all__ = ["choose", "in_line"]


def in_line(state: State, depth: int) -> list[str]:
    """The workers with so many chunks in their queue; first those that have a plan open whose job waits."""
    names = [name for name in state.free if len(state.workers[name].chunks) == depth]
    if len(names) < 2:
        return names
    waiting = {number for number, job in state.jobs.items() if job.waiting}
    return sorted(names, key=lambda name: state.workers[name].open_job not in waiting)


def choose(state: State, name: str, now: float) -> Assignment | None:
    """The next thing for a worker that has room in its queue, None where there is nothing for it."""
    worker = state.workers[name]
    return _second(state, name, worker, now) if worker.chunks else _first(state, name, worker, now)


def _first(state: State, name: str, worker: WorkerState, now: float) -> Assignment | None:
    """Something for a worker with nothing to do."""
    for job in _ranked(state, name, worker):
        if job.question is not None and not job.asked:
            return Ask(name, job.number, job.question)
        is_open = worker.open_job == job.number
        if job.queue is None or (not is_open and job.waiting <= job.opening):
            continue
        chunk = job.queue.find(partial(_may_take, state, name, job, now))
        if chunk is not None:
            return SendChunk(name, job.number, chunk) if is_open else OpenPlan(name, job.number, job.plan_json)
    return None


def _second(state: State, name: str, worker: WorkerState, now: float) -> Assignment | None:
    """A chunk to wait behind the one the worker executes: of the same plan, unless a job of more weight waits.

    A chunk is left for each worker that opens the plan, or will soon be ready to.
    """
    job = None if worker.open_job is None else state.jobs.get(worker.open_job)
    if job is None or job.queue is None:
        return None
    heavier = any(other.priority > job.priority for other in state.jobs.values())
    soon = expected(state, worker.resources, now) if state.starting else 0
    if job.waiting <= job.opening + soon or job.queue.alone(worker.chunks):
        return None
    if heavier and any(other.priority > job.priority for other in _ranked(state, name, worker)):
        return None
    chunk = job.queue.find(partial(_may_take, state, name, job, now))
    return None if chunk is None else SendChunk(name, job.number, chunk)


def _ranked(state: State, name: str, worker: WorkerState) -> Iterator[JobState]:
    """The jobs that a worker with nothing to do could work for, the best first."""
    wanting = [
        job
        for job in state.jobs.values()
        if job.resources == worker.resources and (job.to_ask or job.waiting) and name not in job.unfit
    ]
    wanting.sort(
        key=lambda job: (
            -job.priority,
            worker.open_job != job.number,
            not worker.model or worker.model != job.model,
            job.number,
        )
    )
    for job in wanting:
        if job.max_workers is None or len({*state.workers_of(job.number)} - {name}) < job.max_workers:
            yield job


def _may_take(state: State, name: str, job: JobState, now: float, chunk: Chunk) -> bool:
    """Whether a chunk that failed before may go to this worker: not where it failed, while another worker could."""
    assert job.queue is not None
    failed_on = job.queue.failed_on(chunk)
    if name not in failed_on:
        return True
    return not expected(state, job.resources, now) and failed_on.issuperset(state.fit_workers(job))
