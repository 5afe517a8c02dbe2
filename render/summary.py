"""Answers to questions about a job: plain dicts for ``check``, ``plan``, ``status`` and ``inspect``.

Reads specs, run directories and films; renders nothing, and needs neither torch nor Ray.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from render import modelfiles
from render.errors import ModelError, RunDirError, VideoError
from render.estimate import estimate, measured_s_per_frame
from render.live import line_of, live, troubles
from render.machine import has_gpu, this_cpu
from render.place import Place, split
from render.plan import Plan
from render.record import Record
from render.reduce import film_name
from render.resolve import ModelInfo, graph_mistakes, resolve
from render.rundir import RunDir
from render.spec import JobFile

if TYPE_CHECKING:
    from render.video import VideoInfo

__all__ = ["check", "check_model", "check_run_dir", "inspect", "plan", "status"]

Summary = dict[str, Any]

LAST_TROUBLES = 5


def check_model(job: JobFile) -> ModelInfo:
    """The job's model as found from here.

    Raises SpecError that names the line when it is not to be had, or cannot do what the job asks for.
    """
    model, tiny_vae = job.spec.model, job.spec.engine.tiny_vae
    try:
        info = modelfiles.describe(model, fingerprint=False)
    except ModelError as error:
        raise job.mistake(("model",), str(error)) from None
    for path, message in graph_mistakes(job.spec, info):
        raise job.mistake(path, message)
    try:
        return modelfiles.describe(model, tiny_vae, fingerprint=False) if tiny_vae else info
    except ModelError as error:
        raise job.mistake(("engine", "tiny_vae"), str(error)) from None


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


def plan(job: JobFile) -> Summary:
    """Frames, chunks, settings, time and disk. Settings are this machine's guess until a first worker resolved them."""
    model = check_model(job)
    check_run_dir(job)
    rundir = RunDir(job.spec.run_dir)
    before = rundir.read_plan()
    planned = before.again(job.spec, model) if before else Plan(job.spec, resolve(job.spec, this_cpu(), model), model)
    records = _counting(planned, rundir)
    parameters = {part: modelfiles.num_parameters(job.spec.model, part) for part in ("unet", "vae")}
    cost = estimate(planned, parameters["unet"], parameters["vae"], records)
    return check(job) | {
        "settings": asdict(planned.settings),
        "approximations": list(planned.settings.approximations),
        "resolved": before is not None,
        "gpu_here": has_gpu(),
        "digest": planned.digest if before else None,
        "differences": before.differences(planned) if before else [],
        "fps": str(planned.spec.fps),
        "sampler": planned.spec.sampler,
        "steps": planned.spec.steps,
        "chunks": len(planned.chunks),
        "chunks_done": len(records),
        "seconds_on_one_worker": round(cost.seconds, 1),
        "measured": cost.measured,
        "film_bytes": cost.film_bytes,
        "stills_bytes": cost.stills_bytes,
    }


def status(place: Place) -> Summary:
    """How far a job is, from its run directory alone. Raises RunDirError where there is no job."""
    with contextlib.closing(RunDir(place)) as rundir:
        planned = rundir.read_plan()
        if planned is None and rundir.events():
            raise RunDirError(f"{rundir}: no plan yet; `render logs {rundir}` tells what has happened so far")
        if planned is None:
            raise RunDirError(f"{rundir}: no plan.json in it, so no job has been started here")
        records, events, running = _counting(planned, rundir), rundir.events(), rundir.locked()
        name = film_name(planned)
        there = name is not None and rundir.size(name) is not None
    frames = sum(len(record.pictures) for record in records)
    sizes = {chunk.name: len(chunk.frames) for chunk in planned.chunks}
    now = live(events, sizes, len(planned.chunks) - len(records))
    per_frame, speed = measured_s_per_frame(records), now.frames_per_s if running else None
    return {
        "dir": str(rundir),
        "name": planned.spec.name,
        "digest": planned.digest,
        "running": running,
        "draining": running and now.draining,
        "began": round(now.began, 3) if running else None,
        "frames_done": frames,
        "frames": planned.spec.num_frames,
        "chunks_done": len(records),
        "chunks": len(planned.chunks),
        "chunks_waiting": now.waiting,
        "worker_seconds_per_frame": None if per_frame is None else round(per_frame, 4),
        "frames_per_second": None if speed is None else round(speed, 4),
        "seconds_left": None if speed is None else round((planned.spec.num_frames - frames) / speed, 1),
        "workers": [asdict(worker) for worker in now.workers] if running else [],
        "failures": sum(event["event"] == "failed" for event in events),
        "troubles": [line_of(event) for event in troubles(events)[-LAST_TROUBLES:]],
        "last_event": events[-1] if events else None,
        "film": str(rundir.place(name)) if name and there else None,
        "complete": len(records) == len(planned.chunks) and (there or name is None),
    }


def inspect(film: Place) -> Summary:
    """The job spec, digest and measures of a film. Raises VideoError for a file that is no film of ours."""
    found = _probe(film)
    spec = found.metadata.get("render-spec")
    if spec is None:
        raise VideoError(f"{film}: carries no job spec; it was not made by render, or a tool dropped its metadata")
    return {
        "film": str(film),
        "frames": found.frames,
        "size": f"{found.width}x{found.height}",
        "fps": str(found.fps),
        "codec": found.codec,
        "digest": found.metadata.get("render-digest"),
        "spec": spec,
    }


def _probe(film: Place) -> VideoInfo:
    from render.video import probe

    if isinstance(film, Path):
        return probe(film)
    folder, name = split(film)
    with contextlib.closing(RunDir(folder)) as rundir:
        if rundir.size(name) is None:
            raise VideoError(f"{film}: no such film")
        return probe(rundir.fetch(name))


def _counting(planned: Plan, rundir: RunDir) -> list[Record]:
    """The records of the film's chunks that count for this plan."""
    records = rundir.records()
    found = (records.get(chunk) for chunk in planned.chunks)
    return [record for record in found if record is not None and record.digest == planned.digest]


def check_run_dir(job: JobFile) -> None:
    """Raises SpecError for a run directory that can never be made: a file is on the way, it is not writable, or there
    is no such kind of store here. Reaches no network."""
    place, path = job.spec.run_dir, ("output", "dir") if job.spec.output.dir else ("name",)
    if isinstance(place, str):
        from render.remote import unusable

        if refusal := unusable(place):
            raise job.mistake(path, refusal)
        return
    folder = place.absolute()
    existing = next(parent for parent in (folder, *folder.parents) if os.path.lexists(parent))
    if not existing.is_dir():
        raise job.mistake(
            path, f"{folder}: {existing} is a file, so no folder can be made there; choose another output.dir"
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise job.mistake(path, f"{folder}: {existing} is not writable; choose another output.dir")
