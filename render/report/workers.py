"""The runs of a job -> what each of its workers did: loading, rendering, failing, waiting. Pure."""

from collections import defaultdict
from collections.abc import Sequence

from render.report.runs import Attempt, Run, attempts_of, start_s
from render.report.schema import WorkerTimes
from render.store import Record

__all__ = ["busy_s", "rounded", "worker_times"]

Work = Record | Attempt


def worker_times(runs: Sequence[Run]) -> list[WorkerTimes]:
    """One entry a worker that began a chunk, by name; a name that comes back in a later run is the same entry."""
    work: dict[str, list[list[Work]]] = defaultdict(lambda: [[] for _ in runs])
    for index, run in enumerate(runs):
        for record in run.records:
            work[record.worker][index].append(record)
        for attempt in attempts_of(run.entries).values():
            work[attempt.worker][index].append(attempt)
    return [_times(name, work[name]) for name in sorted(work, key=lambda name: (len(name), name))]


def _times(name: str, work: list[list[Work]]) -> WorkerTimes:
    """The entry of a worker with its ``work`` by run."""
    records = [piece for of_run in work for piece in of_run if isinstance(piece, Record)]
    attempts = [piece for of_run in work for piece in of_run if isinstance(piece, Attempt)]
    frames, busy = sum(len(record.chunk.frames) for record in records), sum(busy_s(record) for record in records)
    lost, idle = sum(busy_s(attempt) for attempt in attempts), sum(_idle_s(of_run) for of_run in work)
    return {
        "name": name,
        "device": "; ".join(dict.fromkeys(record.device for record in records)),
        "chunks": len(records),
        "frames": frames,
        "frames_per_s": rounded(frames / busy) if busy else 0.0,
        "start_s": rounded(sum(start_s(record) for record in records)),
        "busy_s": rounded(busy),
        "failed_s": rounded(lost),
        "idle_s": rounded(idle),
        "idle_share": rounded(idle / (busy + lost + idle)) if busy + lost + idle else 0.0,
    }


def _idle_s(work: Sequence[Work]) -> float:
    """Seconds between the first and the last piece of work of one worker in one run in which it had none."""
    if not work:
        return 0.0
    span = max(piece.ended for piece in work) - min(piece.began for piece in work)
    return max(0.0, span - sum(busy_s(piece) for piece in work))


def busy_s(work: Work) -> float:
    """Seconds that a worker gave to a chunk."""
    return max(0.0, work.ended - work.began)


def rounded(seconds: float) -> float:
    """To the microsecond, as reports have it."""
    return round(seconds, 6)
