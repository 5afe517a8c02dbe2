"""``render plan``: frames, chunks, settings, time and disk of a job, before it is rendered."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from render import models
from render.cli.commands.check import JobSummary, check
from render.cli.jobs import check_model, check_run_dir, each_job
from render.cli.parser import add_job
from render.plan import Plan, Settings, has_gpu, resolve, this_cpu
from render.report import counting_records, duration, estimate, filesize
from render.spec import JobFile
from render.store import RunDir

__all__ = ["EXAMPLES", "PlanSummary", "add", "describe_plan", "plan", "run"]

EXAMPLES = "example: render plan job.yaml --set steps=30"


@dataclass(frozen=True)
class PlanSummary(JobSummary):
    """What will be rendered, how and at what cost; these names and values are the JSON of ``render plan``.

    ``resolved``: a first worker has decided the settings, and ``digest`` is that plan's. ``differences``: why the run
    directory holds another plan. ``measured``: the time is no guess.
    """

    settings: Settings
    approximations: Sequence[str]
    resolved: bool
    gpu_here: bool
    digest: str | None
    differences: Sequence[str]
    fps: str
    sampler: str
    steps: int
    chunks: int
    chunks_done: int
    seconds_on_one_worker: float
    measured: bool
    film_bytes: int
    stills_bytes: int


def add(parser: argparse.ArgumentParser) -> None:
    """Which job."""
    add_job(parser)
    parser.set_defaults(only_prints=True)


def run(options: argparse.Namespace) -> int:
    """Print the job's plan."""
    return each_job(options, lambda job: (summary := plan(job, trust=options.trust), describe_plan(summary)))


def describe_plan(summary: PlanSummary) -> str:
    """What will be rendered, how, and at what cost."""
    settings = summary.settings
    known = (
        "resolved by the first worker" if summary.resolved else "as this machine's CPU would; the first worker decides"
    )
    guess = "measured on the chunks done" if summary.measured else "a rough guess"
    engine = f"{settings.backend}, {settings.dtype}, batch {settings.batch} on {settings.device}"
    rows = {
        "job": f"{summary.name} ({summary.mode}), into {summary.dir}",
        "film": f"{summary.frames} frames at {summary.fps}/s = {summary.seconds:g} s",
        "picture": f"{settings.width}x{settings.height} ({settings.reasons['size']})",
        "sampler": f"{summary.sampler}, {summary.steps} steps",
        "engine": f"{engine} ({known})",
        "chunks": f"{summary.chunks} of {settings.chunk} frames, {summary.chunks_done} done",
        "time": f"about {duration(summary.seconds_on_one_worker)} on one worker ({guess})",
        "disk": f"about {filesize(summary.film_bytes + summary.stills_bytes)}",
    }
    if summary.approximations:
        rows["quality"] = f"approximated: {', '.join(summary.approximations)}"
    if not summary.resolved and settings.reasons["dtype"].startswith("a guess"):
        rows["dtype"] = settings.reasons["dtype"]
    if summary.differences:
        rows["conflict"] = f"{summary.dir} holds another plan ({'; '.join(summary.differences[:3])})"
    if summary.gpu_here and not summary.resolved:
        rows["note"] = "there is a GPU here; the job will use it and take far less time"
    return "\n".join(f"{key:8} {value}" for key, value in rows.items())


def plan(job: JobFile, *, trust: bool) -> PlanSummary:
    """Frames, chunks, settings, time and disk. Settings are this machine's guess until a first worker resolved them."""
    model = check_model(job, trust=trust)
    check_run_dir(job)
    rundir = RunDir(job.spec.run_dir)
    before = rundir.read_plan()
    planned = before.rerun(job.spec, model) if before else Plan(job.spec, resolve(job.spec, this_cpu(), model), model)
    records = counting_records(planned, rundir)
    parameters = {part: models.num_parameters(job.spec.model, part) for part in ("denoiser", "vae")}
    cost = estimate(planned, parameters["denoiser"], parameters["vae"], records)
    return PlanSummary(
        **asdict(check(job, trust=trust)),
        settings=planned.settings,
        approximations=planned.settings.approximations,
        resolved=before is not None,
        gpu_here=has_gpu(),
        digest=planned.digest if before else None,
        differences=before.differences(planned) if before else [],
        fps=str(planned.spec.fps),
        sampler=planned.spec.sampler,
        steps=planned.spec.steps,
        chunks=len(planned.chunks),
        chunks_done=len(records),
        seconds_on_one_worker=round(cost.seconds, 1),
        measured=cost.measured,
        film_bytes=cost.film_bytes,
        stills_bytes=cost.stills_bytes,
    )
