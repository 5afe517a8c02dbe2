"""report."""

from __future__ import annotations

from render.report.cost import estimate
from render.report.humanize import count, duration, filesize, frame_range, timestamp
from render.report.log import line_of, problems
from render.report.page import to_html
from render.report.status import JobStatus, counting_records, job_status
from render.report.summary import summarize
from render.report.thumbnails import decode_thumbnails

__all__ = [
    "JobStatus",
    "count",
    "counting_records",
    "decode_thumbnails",
    "duration",
    "estimate",
    "filesize",
    "frame_range",
    "job_status",
    "line_of",
    "problems",
    "summarize",
    "timestamp",
    "to_html",
]
