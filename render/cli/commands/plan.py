"""``render plan``: frames, chunks, settings, time and disk of a job, before it is rendered."""

import argparse
import contextlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from render import models
from render.cli.commands.check import JobSummary, summary_of
from render.cli.jobs import check_model, check_run_dir, each_job
from render.cli.parser import add_job
from render.errors import ModelError
from render.models import ModelInfo
from render.plan import Plan, Settings, guessed_machine, resolve
from render.report import count, countdown, counting_records, estimate, filesize, results_of
from render.spec import JobFile, JobSpec
from render.store import RunDir

__all__ = ["EXAMPLES", "PlanSummary", "add", "describe_plan", "plan", "run"]

EXAMPLES = "example: render plan job.yaml --set steps=30"


@dataclass(frozen=True)
class PlanSummary(JobSummary):
    """What will be rendered, how and at what cost; these names and values are the JSON of ``render plan``.

    ``resolved``: a first worker has decided the settings, and ``digest`` is that plan's. ``differences``: why the run
    directory holds another plan. ``complete``: nothing is left to render; ``cleaned``: its segments were taken away
    since. ``measured``: the time is no guess.
    """

    settings: Settings
    approximations: Sequence[str]
    resolved: bool
    digest: str | None
    differences: Sequence[str]
    complete: bool
    cleaned: bool
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
    known = "resolved by the first worker" if summary.resolved else "as guessed from here; the first worker decides"
    guess = "measured on the chunks done" if summary.measured else "a rough guess"
    engine = f"{settings.backend}, {settings.dtype}, batch {settings.batch} on {settings.device}"
    rows = {
        "job": f"{summary.name} ({summary.mode}), into {summary.dir}",
        "film": f"{count(summary.frames, 'frame')} at {summary.fps}/s = {summary.seconds:g} s",
        "picture": f"{settings.width}x{settings.height} ({settings.reasons['size']})",
        "sampler": f"{summary.sampler}, {count(summary.steps, 'step')}",
        "engine": f"{engine} ({known})",
        "chunks": f"{count(summary.chunks, 'chunk')} of {count(settings.chunk, 'frame')}, {summary.chunks_done} done",
        "time": f"about {countdown(summary.seconds_on_one_worker)} on one worker ({guess})",
        "disk": f"about {filesize(summary.film_bytes + summary.stills_bytes)}",
    }
    if summary.approximations:
        rows["quality"] = f"approximated: {', '.join(summary.approximations)}"
    if not summary.resolved and settings.reasons["dtype"].startswith("a guess"):
        rows["dtype"] = settings.reasons["dtype"]
    if summary.complete:
        rows["state"] = "complete, nothing is left to render" + ("; cleaned" if summary.cleaned else "")
    if summary.differences:
        rows["conflict"] = f"{summary.dir} holds another plan ({'; '.join(summary.differences[:3])})"
    return "\n".join(f"{key:8} {value}" for key, value in rows.items())


def plan(job: JobFile, *, trust: bool) -> PlanSummary:
    """Frames, chunks, settings, time and disk. Settings are this machine's guess until a first worker resolved them."""
    model = check_model(job, trust=trust)
    check_run_dir(job)
    rundir = RunDir(job.spec.run_dir)
    before = rundir.read_plan()
    planned = _planned(job.spec, model, before, trust=trust)
    records = counting_records(planned, rundir)
    found = results_of(planned, rundir, rundir.events(), records)
    parameters = {part: models.num_parameters(job.spec.model, part) for part in ("denoiser", "vae")}
    cost = estimate(planned, parameters["denoiser"], parameters["vae"], records)
    return PlanSummary(
        **asdict(summary_of(job)),
        settings=planned.settings,
        approximations=planned.settings.approximations,
        resolved=before is not None,
        digest=planned.digest if before else None,
        differences=_differences(before, planned, model) if before else [],
        complete=found.complete,
        cleaned=found.cleaned,
        fps=str(planned.spec.fps),
        sampler=planned.spec.sampler,
        steps=planned.spec.steps,
        chunks=len(planned.chunks),
        chunks_done=found.chunks_done,
        seconds_on_one_worker=round(cost.seconds, 1),
        measured=cost.measured,
        film_bytes=cost.film_bytes,
        stills_bytes=cost.stills_bytes,
    )


def _planned(spec: JobSpec, model: ModelInfo, before: Plan | None, *, trust: bool) -> Plan:
    """The plan that a run would make. ``model`` comes without a sum over its files: only another name needs one.

    Under the same name a run takes the model for that of the plan, and finds out when it loads it.
    """
    if before is None:
        return Plan(spec, resolve(spec, guessed_machine(spec.engine.device, model.family), model), model)
    if spec.model == before.spec.model:
        return before.rerun(spec)
    with contextlib.suppress(ModelError):  # weights that are not here yet: then it counts as another model
        model = models.describe(spec.model, spec.engine.tiny_vae, trust=trust)
    return before.rerun(spec, model)


def _differences(before: Plan, planned: Plan, model: ModelInfo) -> list[str]:
    """Why the run directory holds another plan; also what the model's JSON says otherwise than when it was made."""
    known = planned.model
    seen = replace(model, fingerprint=known.fingerprint, revision=known.revision, dtype=known.dtype)
    return before.differences(replace(planned, model=seen))
