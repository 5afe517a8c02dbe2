"""Words and bars for the terminal. Turns summaries into text and progress into a live line; decides nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bar
from rich.status import Status

from render.bench.tables import headline
from render.drive import Progress
from render.run import Outcome
from render.submission import Submitted
from render.words import count, size, span

__all__ = [
    "Show",
    "Steps",
    "describe_bench",
    "describe_job",
    "describe_outcome",
    "describe_plan",
    "describe_status",
    "describe_submitted",
]

PLAIN_EVERY_S = 10.0  # without a terminal one line in ten seconds: a night's log stays readable


class Show:
    """A watcher for people: a live bar on a terminal, plain lines elsewhere, on stderr: stdout is for results."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._console = Console(stderr=True, highlight=False)
        self._bar: Bar | None = None
        self._last_line = 0.0

    def __enter__(self) -> Show:
        if self._console.is_terminal:
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[text]}"),
            )
            self._bar = Bar(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task(escape(self._name), total=None, text="starting")
            self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the live line, so that an error message stands by itself."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def progress(self, progress: Progress) -> None:
        """Frames done, speed, time to go, workers, retries."""
        text = describe_progress(progress)
        if self._bar is not None:
            self._bar.update(self._task, total=progress.frames_total, completed=progress.frames_done, text=text)
        elif time.monotonic() - self._last_line >= PLAIN_EVERY_S or progress.frames_done == progress.frames_total:
            self._last_line = time.monotonic()
            print(f"{self._name}: {text}", file=sys.stderr, flush=True)

    def notice(self, text: str) -> None:
        """A line of its own."""
        self._console.print(f"{self._name}: {text}", markup=False, emoji=False, soft_wrap=True)


class Steps:
    """Steps of a benchmark for people: what is measured now, and how long the rest will take at this pace."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._console = Console(stderr=True, highlight=False)
        self._status: Status | None = None
        self._began = time.monotonic()
        self._last_line = -PLAIN_EVERY_S

    def __enter__(self) -> Steps:
        if self._console.is_terminal:
            self._status = self._console.status(escape(self._name))
            self._status.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._status is not None:
            self._status.stop()

    def step(self, done: int, total: int, text: str) -> None:
        """``7/42  render eager bf16 batch 16  1 min 20 s left``."""
        now = time.monotonic()
        left = f"  about {span((now - self._began) * (total - done) / done)} left" if done > 2 else ""
        line = f"{self._name}: {done}/{total}  {text}{left}"
        if self._status is not None:
            self._status.update(escape(line))
        elif now - self._last_line >= PLAIN_EVERY_S:
            self._last_line = now
            print(line, file=sys.stderr, flush=True)


def describe_bench(report: Mapping[str, Any], out: Path | None) -> str:
    """A line a case, what failed, and where the report is."""
    lines = [headline(report)] if headline(report) else []
    for entry in report["results"]:
        mfu = f"  MFU {entry['mfu']:.1%}" if entry["mfu"] is not None else ""
        lines.append(f"{entry['seconds_per_image']:8.4f} s an image  {entry['name']}{mfu}")
    for entry in report["accuracy"]:
        if "psnr_db" in entry:
            psnr = "equal" if entry["psnr_db"] is None else f"{entry['psnr_db']:.1f} dB"
            lines.append(f"{psnr:>8} PSNR         {entry['name']} against {entry['against']}, {entry['case']['dtype']}")
    lines += [f"  not measured: {item['name']}: {item['reason']}" for item in report["failed"]]
    if out is not None:
        lines.append(f"  report  {out / 'report.html'}, report.md, report.json")
    return "\n".join(lines)


def describe_progress(progress: Progress) -> str:
    """``96/288 frames  4.1 frames/s  0:47 left  2 workers  1 retry``."""
    parts = [f"{progress.frames_done}/{progress.frames_total} frames"]
    if progress.rendered:
        parts.append(f"{progress.frames_per_s:.2f} frames/s")
    if progress.eta_s:
        parts.append(f"{span(progress.eta_s)} left")
    parts.append(count(progress.workers, "worker") if progress.workers else "loading the model")
    if progress.retries:
        parts.append(count(progress.retries, "retry", "retries"))
    return "  ".join(parts)


def describe_job(summary: Mapping[str, Any]) -> str:
    """One line: the job is right."""
    return (
        f"{summary['job']}: ok: {summary['mode']} {summary['name']!r}, {summary['frames']} frames "
        f"({summary['seconds']:g} s), {count(summary['keyframes'], 'keyframe')}, model {summary['model']}"
    )


def describe_plan(summary: Mapping[str, Any]) -> str:
    """What will be rendered, how, and at what cost."""
    settings = summary["settings"]
    known = (
        "resolved by the first worker"
        if summary["resolved"]
        else "as this machine's CPU would; the first worker decides"
    )
    guess = "measured on the chunks done" if summary["measured"] else "a rough guess"
    rows = {
        "job": f"{summary['name']} ({summary['mode']}), into {summary['dir']}",
        "film": f"{summary['frames']} frames at {summary['fps']}/s = {summary['seconds']:g} s",
        "picture": f"{settings['width']}x{settings['height']} ({settings['reasons']['size']})",
        "sampler": f"{summary['sampler']}, {summary['steps']} steps",
        "engine": "{backend}, {dtype}, batch {batch} on {device}".format(**settings) + f" ({known})",
        "chunks": f"{summary['chunks']} of {settings['chunk']} frames, {summary['chunks_done']} done",
        "time": f"about {span(summary['seconds_on_one_worker'])} on one worker ({guess})",
        "disk": f"about {size(summary['film_bytes'] + summary['stills_bytes'])}",
    }
    if summary["approximations"]:
        rows["quality"] = f"approximated: {', '.join(summary['approximations'])}"
    if summary["differences"]:
        rows["conflict"] = f"{summary['dir']} holds another plan ({'; '.join(summary['differences'][:3])})"
    if summary["gpu_here"] and not summary["resolved"]:
        rows["note"] = "there is a GPU here; the job will use it and take far less time"
    return "\n".join(f"{key:8} {value}" for key, value in rows.items())


def describe_status(summary: Mapping[str, Any]) -> str:
    """How far a job is."""
    share = summary["frames_done"] / summary["frames"]
    state = "running" if summary["running"] else "complete" if summary["complete"] else "stopped; `render run` goes on"
    rows = {
        "job": f"{summary['name']}, plan {summary['digest'][:12]}",
        "state": state,
        "frames": f"{summary['frames_done']} of {summary['frames']} ({share:.0%})",
        "chunks": f"{summary['chunks_done']} of {summary['chunks']}",
    }
    if summary["worker_seconds_per_frame"] is not None:
        left = (summary["frames"] - summary["frames_done"]) * summary["worker_seconds_per_frame"]
        rows["speed"] = f"{summary['worker_seconds_per_frame']:.3f} s a frame and worker, {span(left)} of work left"
    if summary["failures"]:
        rows["failures"] = f"{count(summary['failures'], 'attempt')} failed; report.html or events.jsonl tell which"
    rows["film"] = summary["film"] or ("none wanted" if summary["complete"] else "not yet")
    return "\n".join(f"{key:8} {value}" for key, value in rows.items())


def describe_submitted(state: Submitted) -> str:
    """How a job on another cluster is, and where its run directory lies."""
    rows = {"job": state.names, "id": state.id, "state": state.state, "into": state.dirs}
    if state.started:
        began = datetime.fromtimestamp(state.started).astimezone()
        lasted = (
            f"took {span(state.ended - state.started)}" if state.ended else f"{span(time.time() - state.started)} ago"
        )
        rows["began"] = f"{began:%Y-%m-%d %H:%M:%S}, {lasted}"
    if state.state == "failed":
        rows["cause"] = state.cause()
    if state.state == "stopped":
        rows["next"] = "submit the job again: it goes on where it stopped"
    return "\n".join(f"{key:8} {value}" for key, value in rows.items())


def describe_outcome(outcome: Outcome) -> str:
    """Where the results are."""
    spec = outcome.plan.spec
    if not outcome.rendered:
        lines = [f"{spec.name}: complete already, nothing to render"]
    else:
        speed = outcome.seconds / outcome.rendered
        lines = [
            f"{spec.name}: {outcome.rendered} frames in {span(outcome.seconds)} ({speed:.3f} s a frame, all included)"
        ]
    for what, path in (("film", outcome.film), ("report", outcome.report), ("stills", outcome.stills)):
        if path is not None:
            lines.append(f"  {what:7} {path}")
    return "\n".join(lines)
