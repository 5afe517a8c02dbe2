"""``render status``: how far a job is, from its run directory alone."""

import argparse
import json
import time
from dataclasses import asdict

from render.cli.parser import add_run_dir
from render.report import JobStatus, count, duration, frame_range, job_status

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
        status = job_status(options.dir)
        print(json.dumps(asdict(status)) if options.json else describe_status(status, time.time()))
        return 0
    from render.cli.terminal import Screen

    with Screen() as screen:
        while True:
            began = time.monotonic()
            status = job_status(options.dir)
            screen.update(json.dumps(asdict(status)) if options.json else describe_status(status, time.time()))
            if not status.running:
                return 0
            time.sleep(max(WATCH_EVERY_S, 2 * (time.monotonic() - began)))  # a huge job takes a while to read


def describe_status(status: JobStatus, now: float) -> str:
    """How far a job is; ``now`` in seconds since 1970."""
    rows = {
        "job": f"{status.name}, plan {status.digest[:12]}",
        "state": _running(status, now),
        "frames": f"{status.frames_done} of {status.frames} ({status.frames_done / status.frames:.0%})",
        "chunks": f"{status.chunks_done} of {status.chunks}",
    }
    if status.frames_per_second is not None:
        left = f", {duration(status.seconds_left)} left" if status.seconds_left else ""
        rows["speed"] = f"{status.frames_per_second:.3g} frames a second over the last chunks{left}"
    elif status.worker_seconds_per_frame is not None:
        left = duration((status.frames - status.frames_done) * status.worker_seconds_per_frame)
        rows["speed"] = f"{status.worker_seconds_per_frame:.3f} s a frame and worker, {left} of work left"
    lines = [f"{key:8} {value}" for key, value in rows.items()]
    for worker in status.workers:
        doing = f"{frame_range(worker.chunk)} for {duration(now - worker.since)}" if worker.chunk else "no chunk"
        lines.append(f"{'':8} {worker.worker} on {worker.host}: {doing}")
    if status.failures:
        lines.append(f"failures {count(status.failures, 'attempt')} failed; `render logs` tells all of it:")
    lines += [f"{'':8} {line}" for line in status.troubles]
    return "\n".join([*lines, f"film     {status.film or ('none wanted' if status.complete else 'not yet')}"])


def _running(status: JobStatus, now: float) -> str:
    if status.running:
        what = "finishing what is being rendered, then stopping" if status.draining else "running"
        return f"{what}, for {duration(now - status.began)}" if status.began else what
    if status.complete:
        return "complete; its segments were cleaned away" if status.cleaned else "complete"
    if status.cleaned and not status.chunks_done:
        return "cleaned, and the film or stills are not there; `render run` renders them again"
    if status.chunks_done == status.chunks:
        return "every chunk is done, and the film is not there; `render run` joins it"
    return "stopped; `render run` goes on"
