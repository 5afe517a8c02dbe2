"""What there is of a job: chunks, film and stills, by its run directory and log alone.

Opens no film: the size that the log tells of is what counts here. ``farm/reducer.py`` looks into it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from render.plan import Plan, film_name
from render.store import Event, LogEntry, Record, RunDir, cleaned

__all__ = ["Results", "counting_records", "kept_by_clean", "logged_bytes", "results_of"]


@dataclass(frozen=True)
class Results:
    """``film``: it lies where it counts. ``complete``: nothing is left to do. ``cleaned``: ``render clean`` took the
    segments away and no run has brought them back; where what was made of them stands, all chunks count as done.
    """

    chunks_done: int
    frames_done: int
    film: bool
    complete: bool
    cleaned: bool


def results_of(plan: Plan, rundir: RunDir, entries: Sequence[LogEntry], records: Sequence[Record]) -> Results:
    """What there is of a job; ``records`` are those that count for its plan, ``entries`` the whole log."""
    film, chunks, frames = _film_there(plan, rundir, entries), len(records), sum(len(each.pictures) for each in records)
    if kept_by_clean(plan, rundir, entries):
        chunks, frames = len(plan.chunks), plan.spec.num_frames
    complete = chunks == len(plan.chunks) and (film or film_name(plan) is None)
    return Results(chunks, frames, film, complete, cleaned(entries))


def counting_records(plan: Plan, rundir: RunDir) -> list[Record]:
    """The records of the film's chunks that count for this plan."""
    records = rundir.records()
    found = (records.get(chunk) for chunk in plan.chunks)
    return [record for record in found if record is not None and record.digest == plan.digest]


def kept_by_clean(plan: Plan, rundir: RunDir, entries: Sequence[LogEntry]) -> bool:
    """Whether segments are missing because ``render clean`` took them, and all that was made of them stands.

    A job without film and stills was made for its segments.
    """
    film, stills = film_name(plan), plan.spec.output.frames
    if not (film or stills) or logged_bytes(plan, entries) is None or not cleaned(entries):
        return False
    return (not film or _film_there(plan, rundir, entries)) and (not stills or _stills_there(plan, rundir))


def logged_bytes(plan: Plan, entries: Iterable[LogEntry]) -> int | None:
    """The size of the film as the last run of this plan published it, 0 without one; None where none has ended."""
    wanted = (Event.RUN_FINISHED, film_name(plan), plan.digest)
    sizes = [
        entry.details.get("bytes")
        for entry in entries
        if (entry.event, entry.details.get("film"), entry.details.get("digest")) == wanted
    ]
    return sizes[-1] if sizes else None


def _film_there(plan: Plan, rundir: RunDir, entries: Iterable[LogEntry]) -> bool:
    """Whether the job's film lies where it counts, in the size in which it was published."""
    name = film_name(plan)
    size = None if name is None else rundir.size(name)
    return size is not None and logged_bytes(plan, entries) in (None, size)


def _stills_there(plan: Plan, rundir: RunDir) -> bool:
    """Whether there is a still of every frame; each was written whole or not at all."""
    sizes = rundir.sizes("frames")
    names = (f"frames/{index:06}.{plan.spec.output.frames}" for index in range(plan.spec.num_frames))
    return all(sizes.get(name) for name in names)
