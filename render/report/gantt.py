"""The timeline of a report: a row for every worker, a bar for every chunk, as inline SVG.

Stays legible from one chunk to ten thousand: bars too narrow to tell apart are drawn together, and beyond ``MAX_ROWS``
workers those with failures are shown before the others. Positions are percent of the width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from render.report.humanize import duration, frame_range, timestamp

__all__ = ["gantt"]

Report = Mapping[str, Any]

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
        used = {item["run"] for item in [*report["timeline"], *report["failures"]]}
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

    def place(self, run: int, time_s: float) -> float:
        """Percent of the width, kept inside it whatever two clocks say."""
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


def gantt(report: Report) -> tuple[str, list[str]]:
    """HTML of the timeline, and the workers on it by name; empty and none where nothing was rendered."""
    axis = _Axis.of(report)
    rows = _rows(report, axis)
    if not rows:
        return "", []
    shown = _shown(rows)
    least = max(NARROWEST, 100.0 * len(shown) / MAX_BARS)
    bars = "".join(_draw(number, rows[name], least) for number, name in enumerate(shown))
    height = len(shown) * ROW_PIXELS
    kinds = [kind for kind in _KINDS if any(row.get(kind) for row in rows.values())]
    legend = "".join(f'<span><i class="dot {kind}"></i>{_KINDS[kind]}</span>' for kind in kinds)
    more = f"{len(shown)} of {len(rows):,} workers, those with failures first." if len(rows) > len(shown) else ""
    names = "".join(f'<span title="{escape(name)}">{escape(name)}</span>' for name in shown)
    drawn = (
        f'<div class="gantt"><div class="names">{names}</div><svg role="img" aria-label="chunks by worker and time" '
        f'width="100%" height="{height + 24}">{_grid(axis, height)}{bars}</svg></div>'
        f'<p class="legend">{legend}{more}</p>'
    )
    return drawn, shown


def _rows(report: Report, axis: _Axis) -> Rows:
    rows: Rows = {}

    def add(kind: str, item: Mapping[str, Any], began_s: float, ended_s: float, text: str) -> None:
        left, right = axis.place(item["run"], began_s), axis.place(item["run"], ended_s)
        bar = _Bar(left, right, text, item["chunk"], item["chunk"])
        rows.setdefault(str(item["worker"]), {}).setdefault(kind, []).append(bar)

    for item in sorted(report["timeline"], key=lambda item: float(item["began_s"])):
        began, ended, start = item["began_s"], item["ended_s"], item["start_s"]
        add("chunk", item, began, ended, f"in {duration(ended - began)}, from {timestamp(began)}")
        if start:
            add("start", item, began - start, began, f"came after {duration(start)} of loading")
    for item in report["failures"]:
        add("failed", item, item["began_s"], item["time_s"], f"failed at {timestamp(item['time_s'])}: {item['cause']}")
    for item in report["workers_lost"]:
        if "chunk" in item and item["run"] in axis.spans:
            add(
                "taken",
                item,
                item["began_s"],
                item["time_s"],
                f"stopped at {timestamp(item['time_s'])}: {item['cause']}",
            )
    return rows


def _shown(rows: Rows) -> list[str]:
    """The workers on the page, by name; where there are too many, those with failures before the others."""
    names = sorted(rows, key=lambda name: ("failed" not in rows[name], len(name), name))[:MAX_ROWS]
    return sorted(names, key=lambda name: (len(name), name))


def _draw(number: int, row: Mapping[str, list[_Bar]], least: float) -> str:
    top = number * ROW_PIXELS + (ROW_PIXELS - BAR_PIXELS) / 2
    return "".join(
        f'<rect class="{kind}" x="{bar.left:.3f}%" y="{top:g}" width="{max(bar.right - bar.left, NARROWEST):.3f}%" '
        f'height="{BAR_PIXELS}" rx="2"><title>{escape(bar.title(kind))}</title></rect>'
        for kind in _KINDS
        for bar in _merged(row.get(kind, []), least)
    )


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


def _grid(axis: _Axis, height: int) -> str:
    """A line and a label at every full step of every run, a dashed line between runs."""
    longest = max((ended - began for began, ended in axis.spans.values()), default=0.0)
    step = next((step for step in STEPS_S if longest <= 6 * step), 86_400 * (1 + longest // 518_400))
    lines, labelled = [], -100.0
    for run, (began, ended) in axis.spans.items():
        if left := axis.lefts[run]:
            middle = left - axis.gap / 2
            lines.append(f'<line class="cut" x1="{middle:.2f}%" x2="{middle:.2f}%" y1="0" y2="{height}"/>')
        for tick in range(int((ended - began) / step) + 1):
            at = axis.place(run, began + tick * step)
            lines.append(f'<line class="tick" x1="{at:.2f}%" x2="{at:.2f}%" y1="0" y2="{height}"/>')
            if at - labelled > 9 and at < 96:
                lines.append(f'<text x="{at:.2f}%" y="{height + 17}">{_tick(tick * step, step)}</text>')
                labelled = at
    return "".join(lines)


def _tick(time_s: float, step_s: float) -> str:
    if not time_s:
        return "0"
    unit, seconds = ("s", 1) if step_s < 60 else ("min", 60) if step_s < 1800 else ("h", 3600)
    return f"{time_s / seconds:.4g} {unit}"
