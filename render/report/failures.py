"""What went wrong in a job, as the part of its page that tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from render.report.html import Html, escaped, table
from render.report.humanize import count, frame_range, timestamp

__all__ = ["trouble"]

MAX_LINES = 100  # of any list; report.json has them all


def trouble(report: Mapping[str, Any]) -> str:
    """Failed attempts, lost workers, damaged segments, and what is to be said of single frames."""
    damaged = [frame_range(item["chunk"]) for item in report["damaged"]]
    parts = [
        _failures(report["failures"]),
        _lost(report["workers_lost"]),
        _list("Rendered again because the segment was damaged", damaged),
        _list("Frames", _notes(report["notes"])),
        _list("Warnings", report["warnings"]),
        _list("Remarks", report["remarks"]),
    ]
    return "".join(parts) or '<p class="quiet">None. Every chunk was rendered at the first attempt.</p>'


def _failures(failures: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for item in failures[:MAX_LINES]:
        now = "rendered" if item["mended"] else _MISSING
        rows.append([timestamp(item["time_s"]), frame_range(item["chunk"]), item["worker"], item["cause"], now])
    title = f"<h3>{count(len(failures), 'failed attempt')}{_cut(failures)}</h3>"
    return title + table(["at", "chunk", "worker", "cause", "now"], rows) if rows else ""


_MISSING = Html('<b class="bad">missing</b>')


def _lost(lost: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for item in lost[:MAX_LINES]:
        charge = "taken away by the cluster: no chunk is charged" if item["preempted"] else ""
        rows.append([timestamp(item["time_s"]), item["worker"], item["cause"], charge])
    title = f"<h3>{count(len(lost), 'worker')} lost{_cut(lost)}</h3>"
    return title + table(["at", "worker", "cause", ""], rows) if rows else ""


def _notes(notes: Sequence[Mapping[str, Any]]) -> list[str]:
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


def _list(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escaped(line)}</li>" for line in lines[:MAX_LINES])
    return f"<h3>{escaped(title)}{_cut(lines)}</h3><ul>{items}</ul>" if lines else ""


def _cut(lines: Sequence[object]) -> str:
    return f", the first {MAX_LINES} (report.json has all)" if len(lines) > MAX_LINES else ""
