"""The content of ``report.json`` -> ``report.html``: what the template ``report.html`` cannot work out by itself. Pure.

Knows no plan and no record, only the plain data that ``summarize`` makes.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, pairwise

from render.plan import STAGES, Part, stage_info
from render.report.gantt import gantt
from render.report.html import fill_template
from render.report.humanize import timestamp
from render.report.schema import FrameNote, Report

__all__ = ["to_html"]

MAX_LINES = 100  # of any list of problems; report.json has them all


def to_html(report: Report, thumbnails: Sequence[tuple[int, bytes]]) -> str:
    """The page of a report. ``thumbnails`` are (frame index, JPEG bytes) in the order to show them, or none."""
    values = {
        "report": report,
        "began": f"{datetime.fromtimestamp(report['began'], UTC):%Y-%m-%d %H:%M} UTC",
        "thumbnails": list(_sheet(report, thumbnails)),
        "stages": _stages(report),
        "busy_workers": sum(worker["frames"] > 0 for worker in report["workers"]),
        "pauses": [later["began_s"] - run["ended_s"] for run, later in pairwise(report["runs"])],
        "idle_share": _idle_share(report),
        "gantt": gantt(report),
        "notes": _by_text(report["notes"]),
        "max_lines": MAX_LINES,
    }
    return fill_template("report.html", values)


@dataclass(frozen=True)
class Thumbnail:
    """A picture on the contact sheet, as JPEG in base64; ``at`` is its time in the film."""

    frame: int
    at: str
    jpeg: str


def _sheet(report: Report, thumbnails: Iterable[tuple[int, bytes]]) -> Iterator[Thumbnail]:
    second = report["film"]["duration_s"] / report["frames"]["total"]
    for index, jpeg in thumbnails:
        yield Thumbnail(index, timestamp(index * second), b64encode(jpeg).decode())


@dataclass(frozen=True)
class StageRow:
    """What a stage took. ``share`` is of all that is not beside rendering; ``css`` names its colour."""

    css: str
    label: str
    part: Part
    mean_s: float
    sum_s: float
    share: float


def _stages(report: Report) -> list[StageRow]:
    """Those that took time; none where nothing was rendered."""
    took = {name: stage for name, stage in report["stages"].items() if stage["sum_s"] > 0}
    whole_s = sum(stage["sum_s"] for stage in took.values() if stage["part"] != "beside")
    return [
        StageRow(
            css=name if name in STAGES else "rest",
            label=stage_info(name).label,
            part=stage["part"],
            mean_s=stage["mean_s"],
            sum_s=stage["sum_s"],
            share=stage["sum_s"] / whole_s,
        )
        for name, stage in took.items()
        if whole_s
    ]


def _idle_share(report: Report) -> float:
    """Of the workers' time between their first and last chunk."""
    idle = sum(worker["idle_s"] for worker in report["workers"])
    work = idle + sum(worker["busy_s"] + worker["failed_s"] for worker in report["workers"])
    return idle / work if work else 0.0


def _by_text(notes: Sequence[FrameNote]) -> list[str]:
    """One line for all frames of which the same is to be said."""
    frames: dict[str, list[int]] = {}
    for note in notes:
        frames.setdefault(note["text"], []).append(note["frame"])
    return [f"{_ranges(found)}: {text}" for text, found in frames.items()]


def _ranges(frames: Iterable[int]) -> str:
    """``3, 7–9``: consecutive numbers drawn together; long lists are cut."""
    found = []
    for _, group in groupby(enumerate(sorted(set(frames))), key=lambda pair: pair[1] - pair[0]):
        run = [frame for _, frame in group]
        found.append(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}")
    return ", ".join(found[:MAX_LINES]) + (" …" if len(found) > MAX_LINES else "")
