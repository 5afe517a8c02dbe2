"""What a run directory's log can say: one word for everything that happens to a job.

The words are written to disk (`events.jsonl`) and read by reports, monitors and people: a new one may be added, an old
one keeps its meaning.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

__all__ = ["PROBLEMS", "Event", "LogEntry", "cleaned", "parse_log"]


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

DETAIL_TYPES: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("cause", "text", "kind", "host", "digest", "details"), str),
    **dict.fromkeys(("frame", "bytes", "pid"), int),
    "film": (str, type(None)),
    "preempted": bool,
    "seconds": (int, float),
}
"""What readers rely on. Details that are not named here may be anything."""

LATEST = 2e11  # seconds since 1970: what a calendar can show
LARGEST = 1e15  # of any number: more is none of ours, nor are infinity and NaN

_KNOWN: Mapping[str, Event] = {str(event): event for event in Event}


@dataclass(frozen=True)
class LogEntry:
    """One line of the log. ``time``: seconds since 1970, by the driver's clock; ``details``: the line's other values.

    ``event`` is a plain word where a later version has logged something that this one does not know: readers that ask
    for an event of theirs pass it over, and the log shows it.
    """

    time: float
    event: Event | str
    worker: str | None
    chunk: str | None
    details: Mapping[str, Any]

    @classmethod
    def parse(cls, line: str) -> Self | None:
        """The entry of a line; None for a line that was torn by a crash, or has a value of another type than ours."""
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if not isinstance(found, dict):
            return None
        time, event = found.pop("time", None), found.pop("event", None)
        worker, chunk = found.pop("worker", None), found.pop("chunk", None)
        sound = (
            isinstance(time, int | float)
            and 0 <= time < LATEST
            and isinstance(event, str)
            and isinstance(worker, str | None)
            and isinstance(chunk, str | None)
            and all(_sound(value, DETAIL_TYPES.get(key, object)) for key, value in found.items())
        )
        return cls(time, _KNOWN.get(event, event), worker, chunk, found) if sound else None

    def to_dict(self) -> dict[str, Any]:
        """The values of the line, in the order they were written."""
        where = {"worker": self.worker, "chunk": self.chunk}
        named = {key: value for key, value in where.items() if value is not None}
        return {"time": self.time, "event": str(self.event), **named, **self.details}


def parse_log(text: str) -> list[LogEntry]:
    """Every sound line of a log, oldest first."""
    return [entry for line in text.split("\n") if (entry := LogEntry.parse(line)) is not None]


def cleaned(entries: Iterable[LogEntry]) -> bool:
    """Whether the segments are gone because ``clean`` took them away, and no run has brought them back since."""
    turns = [entry.event for entry in entries if entry.event in (Event.CLEANED, Event.RUN_FINISHED)]
    return bool(turns) and turns[-1] == Event.CLEANED


def _sound(value: object, expected: type | tuple[type, ...]) -> bool:
    return isinstance(value, expected) and (not isinstance(value, int | float) or abs(value) < LARGEST)
