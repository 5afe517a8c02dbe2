"""The command line: arguments in, calls of the stages, words and exit codes out. No logic of its own."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from render.cli.jobs import _each_job, check_model, check_run_dir
from render.report import Summary, count
from render.spec import JobFile

__all__ = ["_check", "check", "describe_job"]


def _check(options: argparse.Namespace) -> int:
    from render.cli.commands.check import check, describe_job

    return _each_job(options, lambda job: (summary := check(job), describe_job(summary)))


def describe_job(summary: Mapping[str, Any]) -> str:
    """One line: the job is right."""
    return (
        f"{summary['job']}: ok: {summary['mode']} {summary['name']!r}, {summary['frames']} frames "
        f"({summary['seconds']:g} s), {count(summary['keyframes'], 'keyframe')}, model {summary['model']}"
    )


def check(job: JobFile) -> Summary:
    """Whether a job can be rendered, as far as this machine can tell before it is.

    Raises SpecError that names the line, also for a missing model and a run directory that cannot be made.
    """
    check_model(job)
    check_run_dir(job)
    spec = job.spec
    return {
        "job": job.source.name,
        "name": spec.name,
        "mode": spec.mode,
        "model": spec.model,
        "frames": spec.num_frames,
        "seconds": round(float(spec.num_frames / spec.fps.value), 3),
        "keyframes": len(spec.keyframes),
        "dir": str(spec.run_dir),
    }
