"""What goes on in a job just now, told by its log alone, so from any machine that can read the run directory. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from render.report.humanize import duration, frame_range
from render.store import PROBLEMS

__all__ = ["Event", "line_of", "problems"]


Event = Mapping[str, Any]


def problems(events: Iterable[Event]) -> list[Event]:
    """The events that a person wants to see the morning after."""
    return [event for event in events if event["event"] in PROBLEMS]


def line_of(event: Event) -> str:
    """``2026-11-21 09:14:01  failed          w1  frames 96–119: out of memory``."""
    time = event.get("time")
    when = f"{datetime.datetime.fromtimestamp(time):%Y-%m-%d %H:%M:%S}" if isinstance(time, int | float) else " " * 19
    chunk = frame_range(str(event["chunk"])) if "chunk" in event else ""
    if "frame" in event:
        chunk = f"frame {event['frame']}"
    told = str(event.get("cause") or event.get("text") or "") or _rest(event)
    what = ": ".join(part for part in (chunk, told) if part)
    return f"{when}  {event['event']:<15} {event.get('worker', ''):<4} {what}".rstrip()


def _rest(event: Event) -> str:
    """The other values of an event, as ``host box, pid 4711``."""
    told = []
    for key, value in event.items():
        if key in ("time", "event", "worker", "chunk", "frame", "details"):
            continue
        if key == "seconds":
            told.append(duration(float(value)))
        elif key == "digest":
            told.append(f"plan {str(value)[:12]}")
        else:
            told.append(f"{key} {value}")
    return ", ".join(told)
