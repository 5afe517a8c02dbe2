"""store."""

from __future__ import annotations

from render.store.events import PROBLEMS, Event, LogEntry
from render.store.filesystems import unusable
from render.store.record import Note, Record, Segment
from render.store.rundir import RunDir

__all__ = ["PROBLEMS", "Event", "LogEntry", "Note", "Record", "RunDir", "Segment", "unusable"]
