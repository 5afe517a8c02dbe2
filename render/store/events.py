"""What a run directory's log can say: one word for everything that happens to a job.

The words are written to disk (`events.jsonl`) and read by reports, monitors and people: a new one may be added, an old
one keeps its meaning.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["PROBLEMS", "Event"]


class Event(StrEnum):
    """The event of a line in the log."""

    RUN_STARTED = "run-started"
    PLANNED = "planned"
    DRAINING = "draining"
    RUN_STOPPED = "run-stopped"
    RUN_FAILED = "run-failed"
    RUN_FINISHED = "run-finished"
    FILM_WITH_GAPS = "film-with-gaps"
    CLEANED = "cleaned"

    WORKER_STARTING = "worker-starting"
    WORKER_READY = "worker-ready"
    WORKER_STOPPED = "worker-stopped"
    WORKER_RETIRED = "worker-retired"
    WORKER_LOST = "worker-lost"
    STARTS_PAUSED = "starts-paused"

    OPENED = "opened"
    OPEN_FAILED = "open-failed"
    SENT = "sent"
    DONE = "done"
    FAILED = "failed"
    DAMAGED = "damaged"
    NOTE = "note"
    WARNING = "warning"


PROBLEMS = frozenset(
    {
        Event.FAILED,
        Event.WORKER_LOST,
        Event.WORKER_RETIRED,
        Event.OPEN_FAILED,
        Event.STARTS_PAUSED,
        Event.DAMAGED,
        Event.NOTE,
        Event.WARNING,
        Event.RUN_FAILED,
    }
)
"""What a person wants to see the morning after."""
