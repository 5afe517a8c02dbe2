"""How far the jobs are, for the terminal and for monitors, as often as they want to hear it."""

from collections.abc import Sequence

from render.farm.dispatch.actions import OpenPlan, Publish, Show
from render.farm.dispatch.state import JobState, State, WorkerState
from render.farm.progress import Progress, Sample
from render.report import Busy, Waiting, count, foretell

__all__ = ["publish_last", "report", "show"]

KEEPING = "keeping what is done"
FORETELL_EVERY_S = 1.0  # of a thousand workers that takes 10 to 40 ms; between, what is left counts down


def report(state: State, now: float) -> None:
    """Show and publish how far every job is that waits for workers or its store. To be called every second or so."""
    state.reported, state.news = now, False
    if now - state.foretold >= FORETELL_EVERY_S:
        _foretell(state, now)
    busy = state.busy_workers()
    idle_share = 1 - sum(map(len, busy.values())) / len(state.workers) if state.workers else 0.0
    samples = []
    for job in [job for job in state.jobs.values() if job.waits or job.uncommitted]:
        show(state, job, busy[job.number], now)
        if not job.settled:
            samples.append(_sample(job, len(busy[job.number]), idle_share))
    state.outbox.append(Publish(samples))


def show(state: State, job: JobState, busy: Sequence[str], now: float) -> None:
    """Let the job's watcher know how far it is; ``busy`` are the workers that are busy for it."""
    rendering = sum(bool(state.workers[name].chunks) for name in busy)
    progress = Progress(
        frames_done=job.done_before + job.rendered,
        frames_total=job.total,
        workers=rendering,
        retries=job.queue.retries if job.queue else 0,
        frames_per_s=job.foretold.frames_per_s if rendering else 0.0,
        eta_s=_left_s(state, job, now),
        doing=_doing(state, job, [state.workers[name] for name in busy]),
    )
    state.outbox.append(Show(job.number, progress))


def publish_last(state: State, job: JobState) -> None:
    """Carry the metrics of a job that ends to the monitors: nobody works for it."""
    if job.plan is not None:
        state.outbox.append(Publish([_sample(job, 0, 0.0)]))


def _foretell(state: State, now: float) -> None:
    """Work out anew when each job will be done, from the speed of its workers and what they hold."""
    state.foretold = now
    ranked = sorted(state.jobs.values(), key=lambda job: (-job.priority, job.number))
    for kind in {job.resources for job in ranked if job.resources is not None}:
        jobs = [job for job in ranked if job.resources == kind]
        workers = [_busy(state, name, now) for name, worker in state.workers.items() if worker.resources == kind]
        found = foretell([_waiting(job) for job in jobs], workers)
        for job in jobs:
            job.foretold = found[job.number]


def _left_s(state: State, job: JobState, now: float) -> float | None:
    if job.queue is None or job.settled:
        return None if job.queue is None else 0.0
    return None if job.foretold.seconds is None else max(0.0, job.foretold.seconds + state.foretold - now)


def _waiting(job: JobState) -> Waiting:
    chunks, frames = (job.queue.waiting, job.queue.frames_waiting) if job.queue else (0, 0)
    return Waiting(job.number, job.paces, chunks, frames, job.max_workers, job.unfit)


def _busy(state: State, name: str, now: float) -> Busy:
    """What a worker holds; while draining it goes no further than the chunk it executes."""
    worker = state.workers[name]
    held, job = [worker.last_chunk] if worker.last_chunk else worker.chunks, state.job_of(worker)
    frames = [job.queue.computed(chunk) for chunk in held] if job and job.queue else ()
    return Busy(name, worker.job, frames, now - worker.since)


def _doing(state: State, job: JobState, busy: list[WorkerState]) -> str:
    """What goes on for a job, where that is more than rendering at a known speed."""
    rendering = sum(bool(worker.chunks) for worker in busy)
    if job.queue is not None and job.settled:
        return KEEPING if job.done_before + job.rendered < job.total else ""
    if state.draining:
        return f"stopping after {count(rendering, 'chunk')}" if rendering else "stopping"
    if rendering:
        first = "chunk" if rendering == 1 else f"{rendering} chunks"
        return "" if job.rendered else f"rendering the first {first}"
    for worker in busy:
        return worker.doing or ("getting ready" if isinstance(worker.assignment, OpenPlan) else "planning")
    if job.queue is not None and not job.waiting:
        return KEEPING  # the store is slow: no more chunks go out before it has those that are rendered
    starting = [start for start in state.starting.values() if start.resources == job.resources]
    if any(start.announced for start in starting):
        return "waiting for room on the cluster"
    return f"starting {count(len(starting), 'worker')}" if starting else "waiting for a worker"


def _sample(job: JobState, workers: int, idle_share: float) -> Sample:
    values: dict[str, float] = {
        "render_frames": job.rendered,
        "render_retries": job.queue.retries if job.queue else 0,
        "render_frames_left": job.total - job.done_before - job.rendered,
        "render_queue_depth": job.queue.waiting if job.queue else 0,
        "render_workers": workers,
        "render_idle_share": idle_share,
    }
    if job.s_per_image is not None:
        values["render_seconds_per_image"] = job.s_per_image
    return Sample(job.plan.spec.name if job.plan else "", values, job.run_dir)
