"""``render check``: whether job specs are right, as far as this machine can say before they are rendered."""

import argparse
from dataclasses import dataclass

from render.cli.jobs import check_model, check_run_dir, each_job
from render.cli.parser import add_jobs
from render.report import count
from render.spec import JobFile

__all__ = ["EXAMPLES", "JobSummary", "add", "check", "describe_job", "run", "summary_of"]

EXAMPLES = "example: render check jobs/*.yaml"


@dataclass(frozen=True)
class JobSummary:
    """What a job asks for; these names and values are the JSON of ``render check``. ``job`` is its file."""

    job: str
    name: str
    mode: str
    model: str
    frames: int
    seconds: float
    keyframes: int
    dir: str


def add(parser: argparse.ArgumentParser) -> None:
    """Which jobs."""
    add_jobs(parser)
    parser.set_defaults(only_prints=True)


def run(options: argparse.Namespace) -> int:
    """A line a job; the exit code of the first that is wrong."""
    return each_job(options, lambda job: (summary := check(job, trust=options.trust), describe_job(summary)))


def describe_job(summary: JobSummary) -> str:
    """One line: the job is right."""
    return (
        f"{summary.job}: ok: {summary.mode} {summary.name!r}, {count(summary.frames, 'frame')} "
        f"({summary.seconds:g} s), {count(summary.keyframes, 'keyframe')}, model {summary.model}"
    )


def check(job: JobFile, *, trust: bool) -> JobSummary:
    """Whether a job can be rendered, as far as this machine can say before it is.

    Raises SpecError that names the line, also for a missing model and a run directory that cannot be made.
    """
    check_model(job, trust=trust)
    check_run_dir(job)
    return summary_of(job)


def summary_of(job: JobFile) -> JobSummary:
    """What a job asks for, by its spec alone."""
    spec = job.spec
    return JobSummary(
        job=job.source.name,
        name=spec.name,
        mode=spec.mode,
        model=spec.model,
        frames=spec.num_frames,
        seconds=round(float(spec.num_frames / spec.fps.value), 3),
        keyframes=spec.num_keyframes,
        dir=str(spec.run_dir),
    )
