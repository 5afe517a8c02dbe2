"""Words for the terminal: summaries, progress and outcomes as text. Decides nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from render.bench.tables import headline
from render.errors import StoppedError
from render.progress import Progress
from render.story import Outcome
from render.submission import Submitted
from render.words import count, frames_of, reason, size, span

__all__ = [
    "describe_bench",
    "describe_job",
    "describe_night",
    "describe_outcome",
    "describe_plan",
    "describe_progress",
    "describe_status",
    "describe_submitted",
]


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
    idle = "loading the model" if progress.opening else "waiting for a worker"
    if progress.workers or progress.frames_done < progress.frames_total:
        parts.append(count(progress.workers, "worker") if progress.workers else idle)
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


def describe_status(summary: Mapping[str, Any], now: float) -> str:
    """How far a job is; ``now`` in seconds since 1970."""
    share = summary["frames_done"] / summary["frames"]
    rows = {
        "job": f"{summary['name']}, plan {summary['digest'][:12]}",
        "state": _running(summary, now),
        "frames": f"{summary['frames_done']} of {summary['frames']} ({share:.0%})",
        "chunks": f"{summary['chunks_done']} of {summary['chunks']}",
    }
    if summary["frames_per_second"] is not None:
        left = f", {span(summary['seconds_left'])} left" if summary["seconds_left"] else ""
        rows["speed"] = f"{summary['frames_per_second']:.3g} frames a second over the last chunks{left}"
    elif summary["worker_seconds_per_frame"] is not None:
        left = span((summary["frames"] - summary["frames_done"]) * summary["worker_seconds_per_frame"])
        rows["speed"] = f"{summary['worker_seconds_per_frame']:.3f} s a frame and worker, {left} of work left"
    lines = [f"{key:8} {value}" for key, value in rows.items()]
    for worker in summary["workers"]:
        doing = f"{frames_of(worker['chunk'])} for {span(now - worker['since'])}" if worker["chunk"] else "no chunk"
        lines.append(f"{'':8} {worker['worker']} on {worker['host']}: {doing}")
    if summary["failures"]:
        lines.append(f"failures {count(summary['failures'], 'attempt')} failed; `render logs` tells all of it:")
    lines += [f"{'':8} {line}" for line in summary["troubles"]]
    return "\n".join([*lines, f"film     {summary['film'] or ('none wanted' if summary['complete'] else 'not yet')}"])


def _running(summary: Mapping[str, Any], now: float) -> str:
    if summary["running"]:
        what = "finishing what is being rendered, then stopping" if summary["draining"] else "running"
        return f"{what}, for {span(now - summary['began'])}" if summary["began"] else what
    return "complete" if summary["complete"] else "stopped; `render run` goes on"


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


def describe_night(rows: Sequence[tuple[str, Outcome | Exception]]) -> str:
    """A line a job: its file's name, what became of it, frames, time, film."""
    table = [
        (
            Path(path).name,
            _state(outcome),
            *_figures(outcome),
            reason(outcome).partition("\n")[0] if isinstance(outcome, Exception) else _film(outcome),
        )
        for path, outcome in rows
    ]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, [*widths, 0], strict=True)).rstrip() for row in table
    ]
    failed = sum(isinstance(outcome, Exception) for _, outcome in rows)
    return "\n".join(
        [*lines, f"{count(len(rows), 'job')}, {failed} failed" if failed else f"{count(len(rows), 'job')}, all done"]
    )


def _state(outcome: Outcome | Exception) -> str:
    if isinstance(outcome, StoppedError):
        return "stopped"
    return "failed" if isinstance(outcome, Exception) else "done"


def _figures(outcome: Outcome | Exception) -> tuple[str, str]:
    if isinstance(outcome, Exception):
        return "", ""
    return f"{outcome.rendered} frames" if outcome.rendered else "complete already", span(outcome.seconds)


def _film(outcome: Outcome) -> str:
    return str(outcome.film or outcome.stills or "")
