"""The lines of a log as people read them, and which of them are problems. Pure."""

import datetime
from collections.abc import Iterable

from render.errors import shown
from render.report.humanize import duration, frame_range
from render.store import PROBLEMS, LogEntry

__all__ = ["line_of", "problems"]


def problems(entries: Iterable[LogEntry]) -> list[LogEntry]:
    """What a person wants to see the morning after."""
    return [entry for entry in entries if entry.event in PROBLEMS]


def line_of(entry: LogEntry) -> str:
    """``2026-11-21 09:14:01  failed          w1  frames 96–119: out of memory``."""
    details = entry.details
    where = f"frame {details['frame']}" if "frame" in details else frame_range(entry.chunk or "")
    text = str(details.get("cause") or details.get("text") or "") or _rest(entry)
    what = ": ".join(part for part in (where, text) if part)
    when = f"{datetime.datetime.fromtimestamp(entry.time):%Y-%m-%d %H:%M:%S}"
    return shown(f"{when}  {entry.event:<15} {entry.worker or '':<4} {what}".rstrip())


def _rest(entry: LogEntry) -> str:
    """The other values of an entry, as ``host box, pid 4711``."""
    parts = []
    for key, value in entry.details.items():
        if key in ("frame", "details"):
            continue
        if key == "seconds":
            parts.append(duration(value))
        elif key == "digest":
            parts.append(f"plan {value[:12]}")
        else:
            parts.append(f"{key} {value}")
    return ", ".join(parts)
