"""Workers that hang: over a chunk, over a model, or before they were ready at all."""

from render.farm.dispatch.chunk_queue import FIRST_DEADLINE_S
from render.farm.dispatch.state import State, WorkerState

__all__ = ["overdue"]


def overdue(state: State, now: float) -> list[tuple[str, str]]:
    """Workers that take too long, with what to say of them. A start that waits for room does not hang."""
    found = [
        (name, f"not ready after {now - start.since:.0f} s")
        for name, start in state.starting.items()
        if now - start.since > FIRST_DEADLINE_S and start.resources in state.has_room
    ]
    for name, worker in state.workers.items():
        if worker.busy and now - worker.since > _limit_s(state, worker):
            what = f"no {'result' if worker.chunks else 'answer'} after {now - worker.since:.0f} s"
            found.append((name, f"{what}; the worker was stopped (farm.deadline sets the limit)"))
    return found


def _limit_s(state: State, worker: WorkerState) -> float:
    job = state.job_of(worker)
    if worker.assignment is not None or job is None or job.queue is None:
        return FIRST_DEADLINE_S
    return job.queue.limit_s(fresh=not worker.done_here)
