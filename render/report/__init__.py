"""report."""

from __future__ import annotations

from render.report.cost import estimate
from render.report.humanize import clock, count, frames_of, size, span
from render.report.log import Event, line_of, troubles
from render.report.page import to_html
from render.report.status import Summary, _counting, job_status
from render.report.summary import summarize
from render.report.thumbnails import _thumbnails

__all__ = [
    "Event",
    "Summary",
    "_counting",
    "_thumbnails",
    "clock",
    "count",
    "estimate",
    "frames_of",
    "job_status",
    "line_of",
    "size",
    "span",
    "summarize",
    "to_html",
    "troubles",
]
