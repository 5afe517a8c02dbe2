"""``render status``: how far a job is, from its run directory alone."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from typing import Any

from render.cli.parser import add_run_dir
from render.report import count, duration, frame_range, job_status

__all__ = ["EXAMPLES", "WATCH_EVERY_S", "add", "describe_status", "run"]

EXAMPLES = "example: render status out/my-dream --watch"
WATCH_EVERY_S = 2.0


def add(parser: argparse.ArgumentParser) -> None:
    """Which run directory."""
    add_run_dir(parser)
    parser.add_argument("--watch", action="store_true", help="look again every few seconds while the job runs")
    parser.set_defaults(only_prints=True)


def run(options: argparse.Namespace) -> int:
    """Print how far the job is, once or until it ends. Raises RunDirError where no job was started."""
    if not options.watch:
        summary = job_status(options.dir)
        print(json.dumps(summary) if options.json else describe_status(summary, time.time()))
        return 0
    from render.cli.terminal import Screen

    with Screen() as screen:
        while True:
            began = time.monotonic()
            summary = job_status(options.dir)
            screen.update(json.dumps(summary) if options.json else describe_status(summary, time.time()))
            if not summary["running"]:
                return 0
            time.sleep(max(WATCH_EVERY_S, 2 * (time.monotonic() - began)))  # a huge job takes a while to read


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
        left = f", {duration(summary['seconds_left'])} left" if summary["seconds_left"] else ""
        rows["speed"] = f"{summary['frames_per_second']:.3g} frames a second over the last chunks{left}"
    elif summary["worker_seconds_per_frame"] is not None:
        left = duration((summary["frames"] - summary["frames_done"]) * summary["worker_seconds_per_frame"])
        rows["speed"] = f"{summary['worker_seconds_per_frame']:.3f} s a frame and worker, {left} of work left"
    lines = [f"{key:8} {value}" for key, value in rows.items()]
    for worker in summary["workers"]:
        doing = (
            f"{frame_range(worker['chunk'])} for {duration(now - worker['since'])}" if worker["chunk"] else "no chunk"
        )
        lines.append(f"{'':8} {worker['worker']} on {worker['host']}: {doing}")
    if summary["failures"]:
        lines.append(f"failures {count(summary['failures'], 'attempt')} failed; `render logs` tells all of it:")
    lines += [f"{'':8} {line}" for line in summary["troubles"]]
    return "\n".join([*lines, f"film     {summary['film'] or ('none wanted' if summary['complete'] else 'not yet')}"])


def _running(summary: Mapping[str, Any], now: float) -> str:
    if summary["running"]:
        what = "finishing what is being rendered, then stopping" if summary["draining"] else "running"
        return f"{what}, for {duration(now - summary['began'])}" if summary["began"] else what
    return "complete" if summary["complete"] else "stopped; `render run` goes on"
