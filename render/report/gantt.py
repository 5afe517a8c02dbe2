"""The timeline of a report: a row for every worker, a bar for every chunk; ``gantt.html`` draws it as SVG.

Stays legible from one chunk to ten thousand: bars too narrow to tell apart are drawn together, and beyond ``MAX_ROWS``
workers those with failures are shown before the others. Positions are percent of the width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from render.report.humanize import duration, frame_range, timestamp
from render.report.schema import Bar, Failure, Loss, Report

__all__ = ["Gantt", "gantt"]

MAX_ROWS = 48  # workers on the timeline and in its table
MAX_BARS = 4000  # on the timeline; narrower chunks are drawn together
GAP = 3.0  # percent of the timeline's width between two runs
NARROWEST = 0.3  # percent: about two pixels
ROW_PIXELS, BAR_PIXELS = 26, 16
STEPS_S = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400),
)


@dataclass(frozen=True)
class _Axis:
    """Seconds of the job -> percent of the width. Runs lie side by side, the time between them is cut out."""

    spans: Mapping[int, tuple[float, float]]
    lefts: Mapping[int, float]
    scale: float  # percent a second
    gap: float

    @classmethod
    def of(cls, report: Report) -> _Axis:
        used = {bar["run"] for bar in report["timeline"]} | {failure["run"] for failure in report["failures"]}
        runs = {index: run for index, run in enumerate(report["runs"]) if index in used}
        spans = {index: (run["began_s"], run["ended_s"]) for index, run in runs.items()}
        gap = min(GAP, 40.0 / max(len(spans), 1))
        seconds = sum(ended - began for began, ended in spans.values())
        scale = (100.0 - gap * (len(spans) - 1)) / (seconds or 1.0)
        lefts, left = {}, 0.0
        for index, (began, ended) in spans.items():
            lefts[index] = left
            left += (ended - began) * scale + gap
        return cls(spans, lefts, scale, gap)

    def percent(self, run: int, time_s: float) -> float:
        """From the left, kept inside it whatever two clocks say."""
        return min(max(self.lefts[run] + (time_s - self.spans[run][0]) * self.scale, 0.0), 100.0)


@dataclass(frozen=True)
class _Bar:
    """Something on a worker's row, from ``left`` to ``right`` percent: one chunk, or ``count`` from ``first`` on."""

    left: float
    right: float
    text: str
    first: str
    last: str
    count: int = 1

    def title(self, kind: str) -> str:
        several = f"{self.count:,} × {_KINDS[kind]}, {frame_range(self.first)} to {frame_range(self.last)}"
        return f"{frame_range(self.first)} {self.text}" if self.count == 1 else several


Rows = dict[str, dict[str, list[_Bar]]]
"""Worker -> kind -> bars in order of time."""

_KINDS = {"start": "loading", "chunk": "chunk", "failed": "failed attempt", "taken": "taken away by the cluster"}


@dataclass(frozen=True)
class Mark:
    """Something drawn: a bar, a line or a label, of a ``kind`` that the style sheet knows. Percent and pixels."""

    kind: str
    left: float
    text: str = ""
    width: float = 0.0
    top: float = 0.0


@dataclass(frozen=True)
class Gantt:
    """What is to be drawn. ``workers`` by name, a row of ``ROW_PIXELS`` each; ``num_workers`` there are in all."""

    workers: Sequence[str]
    num_workers: int
    kinds: Mapping[str, str]
    bars: Sequence[Mark]
    lines: Sequence[Mark]
    bar_height: int = BAR_PIXELS

    @property
    def height(self) -> int:
        """Of all rows, in pixels."""
        return len(self.workers) * ROW_PIXELS


def gantt(report: Report) -> Gantt | None:
    """The timeline; None where nothing was rendered."""
    axis = _Axis.of(report)
    rows = _rows(report, axis)
    if not rows:
        return None
    shown = _shown(rows)
    least = max(NARROWEST, 100.0 * len(shown) / MAX_BARS)
    return Gantt(
        workers=shown,
        num_workers=len(rows),
        kinds={kind: label for kind, label in _KINDS.items() if any(row.get(kind) for row in rows.values())},
        bars=[mark for number, name in enumerate(shown) for mark in _draw(number, rows[name], least)],
        lines=list(_grid(axis)),
    )


def _rows(report: Report, axis: _Axis) -> Rows:
    rows: Rows = {}

    def add(kind: str, piece: Bar | Failure | Loss, began_s: float, ended_s: float, text: str) -> None:
        left, right = axis.percent(piece["run"], began_s), axis.percent(piece["run"], ended_s)
        bar = _Bar(left, right, text, piece["chunk"], piece["chunk"])
        rows.setdefault(str(piece["worker"]), {}).setdefault(kind, []).append(bar)

    for chunk in sorted(report["timeline"], key=lambda chunk: chunk["began_s"]):
        began, ended, start = chunk["began_s"], chunk["ended_s"], chunk["start_s"]
        add("chunk", chunk, began, ended, f"in {duration(ended - began)}, from {timestamp(began)}")
        if start:
            add("start", chunk, began - start, began, f"came after {duration(start)} of loading")
    for failure in report["failures"]:
        ended = failure["time_s"]
        add("failed", failure, failure["began_s"], ended, f"failed at {timestamp(ended)}: {failure['cause']}")
    for loss in report["workers_lost"]:
        if "chunk" in loss and loss["run"] in axis.spans:
            ended = loss["time_s"]
            add("taken", loss, loss["began_s"], ended, f"stopped at {timestamp(ended)}: {loss['cause']}")
    return rows


def _shown(rows: Rows) -> list[str]:
    """The workers on the page, by name; where there are too many, those with failures before the others."""
    names = sorted(rows, key=lambda name: ("failed" not in rows[name], len(name), name))[:MAX_ROWS]
    return sorted(names, key=lambda name: (len(name), name))


def _draw(number: int, row: Mapping[str, list[_Bar]], least: float) -> Iterator[Mark]:
    top = number * ROW_PIXELS + (ROW_PIXELS - BAR_PIXELS) / 2
    for kind in _KINDS:
        for bar in _merged(row.get(kind, []), least):
            yield Mark(kind, bar.left, bar.title(kind), max(bar.right - bar.left, NARROWEST), top)


def _merged(bars: Sequence[_Bar], least: float) -> list[_Bar]:
    """Bars that are too narrow to tell apart become one, until it is ``least`` percent wide."""
    merged: list[_Bar] = []
    for bar in bars:
        before = merged[-1] if merged else None
        if before and before.right - before.left < least and bar.right - before.left < 2 * least:
            merged[-1] = _Bar(before.left, max(bar.right, before.right), "", before.first, bar.last, before.count + 1)
        else:
            merged.append(bar)
    return merged


def _grid(axis: _Axis) -> Iterator[Mark]:
    """A line and, where there is room, a label at every full step of every run; a dashed line between runs."""
    longest = max((ended - began for began, ended in axis.spans.values()), default=0.0)
    step = next((step for step in STEPS_S if longest <= 6 * step), 86_400 * (1 + longest // 518_400))
    labelled = -100.0
    for run, (began, ended) in axis.spans.items():
        if left := axis.lefts[run]:
            yield Mark("cut", left - axis.gap / 2)
        for tick in range(int((ended - began) / step) + 1):
            at = axis.percent(run, began + tick * step)
            room = at - labelled > 9 and at < 96
            yield Mark("tick", at, _tick(tick * step, step) if room else "")
            labelled = at if room else labelled


def _tick(time_s: float, step_s: float) -> str:
    if not time_s:
        return "0"
    unit, seconds = ("s", 1) if step_s < 60 else ("min", 60) if step_s < 1800 else ("h", 3600)
    return f"{time_s / seconds:.4g} {unit}"
