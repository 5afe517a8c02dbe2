"""What a run leaves beside segments and film: the report, and what can be had of a job that failed."""

import contextlib
import json
from collections.abc import Mapping, Sequence

from render.errors import RenderError, StoppedError, StoreError
from render.farm.reducer import damaged, make_film_with_gaps, valid_records
from render.farm.run_log import RunLog
from render.plan import Chunk, Plan
from render.report import decode_thumbnails, summarize, to_html
from render.store import Event, Record, RunDir

__all__ = ["report_stands", "salvage", "write_report"]


def write_report(plan: Plan, rundir: RunDir, records: Sequence[Record]) -> None:
    """Write ``report.json`` and ``report.html`` of the chunks that are done, in order."""
    records = list(records)
    summary = summarize(plan, records, rundir.events())
    rundir.write("report.json", json.dumps(summary, indent=1).encode())
    html = to_html(summary, decode_thumbnails(rundir, records))
    rundir.write("report.html", html.encode())


def report_stands(plan: Plan, rundir: RunDir) -> bool:
    """Whether the report is that of the whole film: one of a failed run, or of before a crash, is not."""
    try:
        report = dict(json.loads(rundir.read_text("report.json") or "{}"))
    except (ValueError, TypeError, RecursionError):
        return False
    return (
        bool(report.get("complete")) and report.get("digest") == plan.digest and rundir.size("report.html") is not None
    )


def salvage(plan: Plan, rundir: RunDir, log: RunLog, error: RenderError, *, allow_gaps: bool) -> str:
    """Report what is done of a job that ended with ``error``, and make the film with gaps where it is asked for.

    Returns what became of that film, if anything. Nothing that fails here may hide the error itself.
    """
    if not isinstance(error, StoreError):  # a store that refuses takes no report either
        with contextlib.suppress(RenderError):  # a damaged segment has no thumbnail, and is not what matters now
            write_report(plan, rundir, list(valid_records(plan, rundir, plan.chunks).values()))
    if not allow_gaps or isinstance(error, StoppedError):
        return ""
    try:
        return _with_gaps(plan, rundir, log)
    except RenderError as another:
        return f"no film with gaps: {another}"


def _with_gaps(plan: Plan, rundir: RunDir, log: RunLog) -> str:
    """Make the film with gaps of the chunks that are whole; what became of it, in a line."""
    records = valid_records(plan, rundir, plan.chunks)
    broken = damaged(rundir, records.values())
    whole: Mapping[Chunk, Record] = {chunk: record for chunk, record in records.items() if record not in broken}
    name = make_film_with_gaps(plan, rundir, whole)
    if name is None:
        return "no film with gaps: no chunk is done, or the job wants no film"
    log.write(Event.FILM_WITH_GAPS, film=name, missing=len(plan.chunks) - len(whole))
    return f"the film with its missing frames marked: {rundir.location(name)}"
