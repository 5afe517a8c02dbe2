"""How far the jobs are, for the terminal and for monitors, as often as they want to hear it."""

from collections.abc import Sequence

from render.farm.dispatch.actions import OpenPlan, Publish, Show
from render.farm.dispatch.state import JobState, State
from render.farm.progress import Progress, Sample

__all__ = ["publish_last", "report", "show"]


def report(state: State, now: float) -> None:
    """Show and publish how far every job is that renders. To be called every second or so."""
    state.reported, state.news = now, False
    rendering = [job for job in state.jobs.values() if not job.settled]
    busy = state.busy_workers()
    idle_share = 1 - sum(map(len, busy.values())) / len(state.workers) if state.workers else 0.0
    samples = []
    for job in rendering:
        show(state, job, busy[job.number], now)
        samples.append(_sample(job, len(busy[job.number]), idle_share))
    state.outbox.append(Publish(samples))


def show(state: State, job: JobState, busy: Sequence[str], now: float) -> None:
    """Let the job's watcher know how far it is; ``busy`` are the workers that are busy for it."""
    opening = sum(isinstance(state.workers[name].assignment, OpenPlan) for name in busy)
    progress = Progress(
        frames_done=job.done_before + job.rendered,
        frames_total=job.total,
        rendered=job.rendered,
        elapsed_s=now - job.began if job.began is not None else 0.0,
        workers=len(busy) - opening,
        retries=job.queue.retries if job.queue else 0,
        opening=opening,
    )
    state.outbox.append(Show(job.number, progress))


def publish_last(state: State, job: JobState) -> None:
    """Carry the metrics of a job that ends to the monitors: nobody works for it."""
    if job.plan is not None:
        state.outbox.append(Publish([_sample(job, 0, 0.0)]))


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
