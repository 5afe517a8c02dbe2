"""What went otherwise than planned in a job, by its log -> failures, losses, damage and warnings of a report. Pure."""

from collections.abc import Iterator, Sequence, Set

from render.report.runs import Run, attempts_of
from render.report.schema import Loss, Piece, Problems, Where
from render.report.workers import rounded
from render.store import Event, LogEntry

__all__ = ["find_problems"]

LOSSES = (Event.WORKER_LOST, Event.WORKER_RETIRED, Event.OPEN_FAILED)


def find_problems(runs: Sequence[Run], zero: float, done: Set[str]) -> Problems:
    """Of all runs. ``zero``: when the first one began; ``done``: the names of the rendered chunks."""
    logged = list(_logged(runs, zero))
    return {
        "failures": [
            {**where, **piece, "cause": str(entry.details.get("cause")), "mended": piece["chunk"] in done}
            for entry, where, piece in logged
            if entry.event == Event.FAILED and piece
        ],
        "workers_lost": [_loss(entry, where, piece) for entry, where, piece in logged if entry.event in LOSSES],
        "damaged": [
            {"run": where["run"], "time_s": where["time_s"], "chunk": str(entry.chunk)}
            for entry, where, _ in logged
            if entry.event == Event.DAMAGED
        ],
        "warnings": list(
            dict.fromkeys(str(entry.details.get("text")) for entry, _, _ in logged if entry.event == Event.WARNING)
        ),
    }


def _logged(runs: Sequence[Run], zero: float) -> Iterator[tuple[LogEntry, Where, Piece | None]]:
    """Every entry, when and where it was logged, and the attempt that it ended."""
    for number, run in enumerate(runs):
        attempts = attempts_of(run.entries)
        for index, entry in enumerate(run.entries):
            attempt = attempts.get(index)
            piece: Piece | None = (
                {"chunk": attempt.chunk, "began_s": rounded(attempt.began - zero)} if attempt is not None else None
            )
            yield entry, {"run": number, "time_s": rounded(entry.time - zero), "worker": entry.worker}, piece


def _loss(entry: LogEntry, where: Where, piece: Piece | None) -> Loss:
    cause, preempted = str(entry.details.get("cause")), bool(entry.details.get("preempted"))
    if piece:
        return {**where, **piece, "cause": cause, "preempted": preempted}
    if entry.event == Event.OPEN_FAILED:
        cause = f"could not open the job: {cause}"
    elif entry.event == Event.WORKER_RETIRED:
        cause = "retired: it failed several chunks"
    run, time_s, worker = where["run"], where["time_s"], where["worker"]
    return {"run": run, "time_s": time_s, "worker": worker, "cause": cause, "preempted": preempted}
