"""The files of a run directory by name, and which of them are ours.

::

    job.yaml                          the resolved spec
    plan.json                         plan, digest, resolved settings
    segments/000000-000024.mp4        a chunk, encoded
    segments/000000-000024.json       its done record: the segment counts only while this stands
    frames/000000.png                 stills, when asked for
    frames/000000-000100x2.json       the done record of a ``--frames`` selection
    video.mp4                         the film, in its place when it is whole
    video.gaps.mp4                    with --allow-gaps, of a job that failed: missing frames are marked
    report.json, report.html, lock
    events.jsonl                      the log; in an object store ``events/000000.jsonl``, … and ``index/…`` of records

Knows no store: these are names, not files.
"""

import re

from render.store.record import Record
from render.video.codecs import ANIMATIONS, CONTAINERS

__all__ = ["FOLDERS", "is_ours", "names_its_own", "record_name"]

FOLDERS = ("segments", "frames", "events", "index")

_CHUNK = r"\d{6,}-\d{6,}(x\d+)?"
_PART_OF_CHUNK = rf"{_CHUNK}\.({'|'.join(CONTAINERS)}|json)"
_SEGMENT = re.compile(rf"segments/({_PART_OF_CHUNK}|\.{_PART_OF_CHUNK}\.part)")
_STILL = re.compile(rf"frames/(\d{{6,}}\.(png|jpg|webp)|{_CHUNK}\.json|\..*\.part)")
_LEFTOVER = re.compile(r"\.part\.video\..*|\..*\.part")
_LOG_PART = re.compile(r"(events|index)/\d{6}\.jsonl")
_FILES = frozenset(
    {
        *(f"video{gaps}.{suffix}" for gaps in ("", ".gaps") for suffix in (*CONTAINERS, *ANIMATIONS)),
        *("report.json", "report.html", "preview.png"),
        *("job.yaml", "events.jsonl", "plan.json", "lock"),
    }
)


def record_name(record: Record) -> str:
    """The file of a done record: beside its segment, or beside its stills where there is none."""
    return f"{'segments' if record.file else 'frames'}/{record.chunk.name}.json"


def names_its_own(record: Record) -> bool:
    """Whether a record names no other files than those of its chunk: what it names is joined, and deleted."""
    segments = {f"segments/{record.chunk.name}.{container}" for container in CONTAINERS}
    stills = {f"{index:06}.{record.stills}" for index in record.chunk.frames} if record.stills_bytes else set()
    return (record.file is None or record.file in segments) and record.stills_bytes.keys() <= stills


def is_ours(name: str, *, keep_film: bool) -> bool:
    """Whether ``render`` wrote a file of this exact name. A film that is kept keeps its stills, plan and log."""
    if _SEGMENT.fullmatch(name) or _LEFTOVER.fullmatch(name):
        return True
    return not keep_film and (name in _FILES or any(form.fullmatch(name) for form in (_STILL, _LOG_PART)))
