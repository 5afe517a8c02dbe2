"""What becomes of jobs: their requests, and how each of these ends."""

from dataclasses import replace
from typing import Any

from render.errors import FarmError, RenderError, StoppedError
from render.farm.base import ChunkFailed, Opened, Resources
from render.farm.dispatch import monitoring
from render.farm.dispatch.actions import Deliver, Forget, Log, Notice
from render.farm.dispatch.chunk_queue import ChunkQueue, RetryPolicy
from render.farm.dispatch.events import Requested
from render.farm.dispatch.state import JobState, State
from render.farm.requests import Committed, Finished, Render
from render.plan import Plan
from render.report import count
from render.store import Event as LogEvent
from render.store import Segment

__all__ = [
    "admit",
    "answered",
    "chunk_failed",
    "committed",
    "deliver_segment",
    "drained",
    "fail",
    "fail_all",
    "leave",
    "log",
    "log_all",
    "notice",
    "notice_all",
    "opened",
    "settle",
    "stopped",
]

GONE = -1  # the number of a job that workers are still busy for and nobody waits for
SMOOTHED = 8  # chunks that seconds per image are averaged over


def log(state: State, job: JobState, event: LogEvent, **details: Any) -> None:
    """A line for the job's log."""
    state.outbox.append(Log(job.number, event, details))


def notice(state: State, job: JobState, text: str) -> None:
    """A line for the person at the terminal."""
    state.outbox.append(Notice(job.number, text))


def log_all(state: State, resources: Resources, event: LogEvent, **details: Any) -> None:
    """Into the log of every job that such workers serve."""
    for job in state.jobs_of(resources):
        log(state, job, event, **details)


def notice_all(state: State, resources: Resources, text: str) -> None:
    """To the person at the terminal, of every job that such workers serve."""
    for job in state.jobs_of(resources):
        notice(state, job, text)


def admit(state: State, event: Requested) -> None:
    """Take a job's question, or the chunks it wants rendered."""
    request, job = event.request, state.jobs[event.request.job]
    if job.resources != event.resources:
        _drop(state, job)
        job.resources = event.resources
    state.scaling.reconsider = True
    state.capacity[event.resources] = event.capacity
    if isinstance(request, Render):
        _begin(state, job, request, event.capacity)
    else:
        job.question, job.asked = request, False


def _begin(state: State, job: JobState, request: Render, capacity: int) -> None:
    plan, wanted = request.plan, request.plan.spec.farm.workers
    if wanted != "auto" and 0 < capacity < wanted:
        notice(state, job, f"{wanted} workers are asked for, there are devices for {capacity}")
    job.max_workers = None if wanted == "auto" else wanted
    job.plan, job.plan_json, job.model, job.run_dir = plan, plan.to_json(), plan.model_key, str(plan.spec.run_dir)
    job.total = request.done_before + sum(len(chunk.frames) for chunk in request.chunks)
    job.done_before, job.rendered, job.settled = request.done_before, 0, False
    policy = RetryPolicy.of(plan.spec.farm, len(plan.chunks), resumed=bool(request.done_before))
    job.queue = ChunkQueue(request.chunks, policy, plan.padded_batch)
    settle(state, job)  # there may be nothing to render


def opened(state: State, job: JobState, worker: str, answer: Opened) -> None:
    """A worker has opened the job's plan; a warning is told once."""
    job.opening -= 1
    job.failed_opens = job.lost_opens = 0
    log(state, job, LogEvent.OPENED, worker=worker, seconds=round(answer.seconds, 3))
    for warning in [text for text in dict.fromkeys(answer.warnings) if text not in job.warned]:
        job.warned.add(warning)
        log(state, job, LogEvent.WARNING, text=warning)
        notice(state, job, warning)


def answered(state: State, job: JobState, answer: Plan) -> None:
    """A worker has answered the job's question."""
    job.question, job.asked = None, False
    state.outbox.append(Deliver(job.number, answer))


def drained(state: State) -> None:
    """Nothing more is begun: say to each job what it still waits for."""
    for job in list(state.jobs.values()):
        if job.question is not None:
            fail(state, job, stopped())
        elif job.queue is not None and not job.settled:
            executing = sum(bool(state.workers[name].chunks) for name in state.workers_of(job.number))
            log(state, job, LogEvent.DRAINING, executing=executing)
            notice(state, job, f"stopping{_after(executing)}")
            settle(state, job)


def _after(executing: int) -> str:
    """What a job that stops does first, and how that is cut short."""
    if not executing:
        return ""
    chunks, lost = count(executing, "chunk"), "it" if executing == 1 else "them"
    return f" after {chunks}; Ctrl-C again stops at once and loses {lost}"


def deliver_segment(state: State, job: JobState, segment: Segment) -> None:
    """A chunk is rendered; its frames count when they are committed."""
    record = segment.record
    mean = (record.ended - record.began) / len(record.pictures)
    before = mean if job.s_per_image is None else job.s_per_image
    job.s_per_image = before + (mean - before) / SMOOTHED
    state.outbox.append(Deliver(job.number, segment))
    settle(state, job)
    job.uncommitted += segment.size


def committed(state: State, event: Committed, now: float) -> None:
    """A segment of the job is where it counts."""
    job = state.jobs[event.job]
    job.uncommitted = max(job.uncommitted - event.size, 0)
    job.rendered += event.frames
    state.news = True
    if job.settled:
        monitoring.show(state, job, state.workers_of(job.number), now)  # the last of them: there is nothing to wait for


def chunk_failed(state: State, job: JobState, message: ChunkFailed) -> None:
    """An attempt came to nothing; details (a stack trace) go into the log only."""
    chunk, details = message.chunk.name, message.details
    log(state, job, LogEvent.FAILED, worker=message.worker, chunk=chunk, cause=message.cause, details=details)
    notice(state, job, f"{message.chunk} failed on worker {message.worker}: {message.cause}")


def settle(state: State, job: JobState | None) -> None:
    """Let the job know when all its chunks are done, given up or abandoned."""
    if job is None or job.settled or job.queue is None or job.queue.waiting or job.queue.executing:
        return
    job.settled = True
    if job.queue.given_up:
        state.outbox.append(Deliver(job.number, FarmError(_given_up(job.queue))))
    elif job.queue.abandoned:
        state.outbox.append(Deliver(job.number, stopped()))
    else:
        state.outbox.append(Deliver(job.number, Finished()))


def fail(state: State, job: JobState, error: RenderError) -> None:
    """End what the job waits for; what its workers still do counts for nobody."""
    _drop(state, job)
    state.outbox.append(Deliver(job.number, error))


def fail_all(state: State, resources: Resources, error: RenderError) -> None:
    """End what the jobs wait for that such workers serve."""
    for job in state.jobs_of(resources):
        if job.waits:
            fail(state, job, error)


def leave(state: State, number: int) -> None:
    """The job wants nothing more."""
    job = state.jobs[number]
    monitoring.publish_last(state, job)
    _drop(state, job)
    del state.jobs[number]
    state.outbox.append(Forget(number))


def _drop(state: State, job: JobState) -> None:
    """Begin nothing more for the job; its workers are through with it when they are."""
    job.resources = job.queue = job.question = None
    job.asked, job.settled = False, True
    job.opening = job.uncommitted = 0
    job.unfit.clear()
    for worker in state.workers.values():
        if worker.open_job == job.number:
            worker.open_job = None
        if worker.assignment is not None and worker.assignment.job == job.number:
            worker.assignment = replace(worker.assignment, job=GONE)


def stopped() -> StoppedError:
    """What a job hears that was asked to stop."""
    return StoppedError("stopped; what is done stays done, the same command goes on")


def _given_up(queue: ChunkQueue) -> str:
    others = f"{queue.abandoned} were not begun after that" if queue.abandoned else "all others are done"
    total = len(queue.given_up) + queue.num_done + queue.abandoned
    lines = [f"{len(queue.given_up)} of {count(total, 'chunk')} failed for good; {others}:"]
    for chunk, failures in sorted(queue.given_up.items()):
        last = failures[-1]
        lines.append(f"  {chunk}: {count(len(failures), 'attempt')}; the last, on worker {last.worker}: {last.cause}")
    lines.append("mend the cause and run the same command again: it renders only what is missing")
    return "\n".join(lines)
