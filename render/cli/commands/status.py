"""``render status``: how far a job is, from its run directory alone."""

import argparse
import json
import time
from dataclasses import asdict

from render.cli.parser import add_run_dir
from render.report import JobStatus, NoPlanError, count, countdown, frame_range, job_status, rate

__all__ = ["EXAMPLES", "WATCH_EVERY_S", "add", "describe_status", "run"]

EXAMPLES = "example: render status out/my-dream --watch"
WATCH_EVERY_S = 2.0


def add(parser: argparse.ArgumentParser) -> None:
    """Which run directory."""
    add_run_dir(parser)
    parser.add_argument("--watch", action="store_true", help="look again every few seconds until the job has ended")
    parser.set_defaults(only_prints=True)


def run(options: argparse.Namespace) -> int:
    """Print how far the job is, once or until it ends; then also a job is waited for that has no plan yet.

    Raises RunDirError where no job was started, or it ended before it had a plan.
    """
    if not options.watch:
        status = job_status(options.dir)
        print(json.dumps(asdict(status)) if options.json else describe_status(status, time.time()))
        return 0
    from render.cli.terminal import Screen

    first = time.monotonic()
    with Screen() as screen:
        while True:
            began = time.monotonic()
            try:
                status = job_status(options.dir)
            except NoPlanError as error:
                if not error.expected:
                    raise
                if not options.json:
                    screen.update(f"{error}; waiting for {countdown(began - first)}, Ctrl-C ends that")
            else:
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
    if (speed := _speed(status)) is not None:
        rows["speed"] = speed
    lines = [f"{key:8} {value}" for key, value in rows.items()]
    for worker in status.workers:
        doing = f"{frame_range(worker.chunk)} for {countdown(now - worker.since)}" if worker.chunk else "no chunk"
        lines.append(f"{'':8} {worker.worker} on {worker.host}: {doing}")
    if status.failures:
        lines.append(f"failures {count(status.failures, 'attempt')} failed; `render logs` tells all of it:")
    lines += [f"{'':8} {line}" for line in status.troubles]
    return "\n".join([*lines, f"film     {status.film or ('none wanted' if status.complete else 'not yet')}"])


def _speed(status: JobStatus) -> str | None:
    """How fast the job is and how long it will take; after a run, how fast one worker was."""
    if status.frames_per_second is not None:
        left = f", {countdown(status.seconds_left)} left" if status.seconds_left else ""
        return f"{rate(status.frames_per_second)} frames a second by the last chunks{left}"
    if status.worker_seconds_per_frame is None:
        return None
    left_s = (status.frames - status.frames_done) * status.worker_seconds_per_frame
    left = f", {countdown(left_s)} of work left" if left_s else ""
    return f"{status.worker_seconds_per_frame:.3f} s a frame and worker{left}"


def _running(status: JobStatus, now: float) -> str:
    if status.running:
        running = f"running for {countdown(now - status.began)}" if status.began else "running"
        return f"{running}, stopping when what is being rendered is done" if status.draining else running
    if status.complete:
        return "complete; its segments were cleaned away" if status.cleaned else "complete"
    if status.cleaned and not status.chunks_done:
        return "cleaned, and the film or stills are not there; `render run` renders them again"
    if status.chunks_done == status.chunks:
        return "every chunk is done, and the film is not there; `render run` joins it"
    return "stopped; `render run` goes on"
