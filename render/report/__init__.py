"""What a run directory tells people: how far a job is, what it cost, what went wrong; as words, as JSON, as a page.

Knows plans, records and the log; no worker, no command line, and no library but Jinja2, in ``html.py``.
Read ``log``, ``status``; ``schema``, ``runs``, ``workers``, ``failures``, ``summary``; ``page``, ``gantt``, ``html``.
"""

from render.report.cost import estimate
from render.report.forecast import Busy, Forecast, Paces, Waiting, foretell
from render.report.html import fill_template
from render.report.humanize import count, countdown, duration, filesize, frame_range, rate, timestamp
from render.report.log import line_of, problems
from render.report.page import to_html
from render.report.results import counting_records, kept_by_clean, logged_bytes, results_of
from render.report.schema import Report
from render.report.status import JobStatus, NoPlanError, job_status
from render.report.summary import summarize
from render.report.thumbnails import decode_thumbnails

__all__ = [
    "Busy",
    "Forecast",
    "JobStatus",
    "NoPlanError",
    "Paces",
    "Report",
    "Waiting",
    "count",
    "countdown",
    "counting_records",
    "decode_thumbnails",
    "duration",
    "estimate",
    "filesize",
    "fill_template",
    "foretell",
    "frame_range",
    "job_status",
    "kept_by_clean",
    "line_of",
    "logged_bytes",
    "problems",
    "rate",
    "results_of",
    "summarize",
    "timestamp",
    "to_html",
]
