"""The jobs that a command was given: files and directories of them, loaded and checked, or what is wrong with each.

Checked is what this machine can say before anything is rendered; no network is reached.
"""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from render import models
from render.cli.output import error_json, report_error
from render.errors import ModelError, RenderError, SpecError
from render.models import ModelInfo
from render.plan import graph_mistakes, parse_frames
from render.spec import JobFile, load
from render.store import unusable

__all__ = ["LoadedJob", "check_model", "check_run_dir", "each_job", "files_in", "load_all"]


@dataclass(frozen=True)
class LoadedJob:
    """A job file that was named: what it holds, or why it cannot be rendered. One of the two is None."""

    path: Path
    job: JobFile | None = None
    error: RenderError | None = None


def each_job(options: argparse.Namespace, command: Callable[[JobFile], tuple[Any, str]]) -> int:
    """Print what ``command`` says of every job, a dataclass and its text; the exit code of the first that failed."""
    code = 0
    for path in files_in(options.jobs):
        try:
            summary, text = command(load(path, options.overrides))
        except RenderError as error:
            if options.json:
                print(json.dumps({"job": str(path), **error_json(error)}))
            failure = report_error(error)
            code = code or failure
        else:
            print(json.dumps(asdict(summary)) if options.json else text)
    return code


def files_in(paths: Sequence[Path]) -> list[Path]:
    """Job files, those of a directory in the order of their names. Raises SpecError for a directory without any."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml"))
            if not inside:
                raise SpecError(f"{path}: no .yaml files in this directory")
            found += inside
        else:
            found.append(path)
    return found


def load_all(
    paths: Sequence[Path], overrides: Sequence[str], frames: str | None = None, *, models: bool, trust: bool
) -> list[LoadedJob]:
    """Every job of the command, or its mistake. ``frames``: of ``--frames``; ``models``: look for them from here.
    ``trust``: of ``--trust``.

    Two jobs that would render into one directory are a mistake of the second.
    """
    found: list[LoadedJob] = []
    taken: dict[str, Path] = {}
    for path in files_in(paths):
        try:
            job = load(path, overrides)
            if frames:
                _check_frames(path, job, frames)
            check_run_dir(job)
            if models:
                check_model(job, trust=trust)
            where = job.spec.run_dir
            other = taken.setdefault(str(where.absolute() if isinstance(where, Path) else where), path)
            if other != path:
                raise job.mistake(("output", "dir"), f"{where}: {other} renders into the same directory")
            found.append(LoadedJob(path, job))
        except RenderError as error:
            found.append(LoadedJob(path, error=error))
    return found


def _check_frames(path: Path, job: JobFile, frames: str) -> None:
    try:
        parse_frames(frames, job.spec.num_frames)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None


def check_model(job: JobFile, *, trust: bool) -> ModelInfo:
    """The job's model as found from here.

    Raises SpecError that names the line when it is not to be had, or cannot do what the job asks for.
    """
    model, tiny_vae = job.spec.model, job.spec.engine.tiny_vae
    try:
        info = models.describe(model, fingerprint=False, trust=trust)
    except ModelError as error:
        raise job.mistake(("model",), str(error)) from None
    for path, message in graph_mistakes(job.spec, info):
        raise job.mistake(path, message)
    try:
        return models.describe(model, tiny_vae, fingerprint=False, trust=trust) if tiny_vae else info
    except ModelError as error:
        raise job.mistake(("engine", "tiny_vae"), str(error)) from None


def check_run_dir(job: JobFile) -> None:
    """Raises SpecError for a run directory that can never be made: a file is on the way, it is not writable, or there
    is no such kind of store here. Reaches no network."""
    location, path = job.spec.run_dir, ("output", "dir") if job.spec.output.dir else ("name",)
    if isinstance(location, str):
        if refusal := unusable(location):
            raise job.mistake(path, refusal)
        return
    folder = location.absolute()
    existing = next(parent for parent in (folder, *folder.parents) if os.path.lexists(parent))
    if not existing.is_dir():
        raise job.mistake(
            path, f"{folder}: {existing} is a file, so no folder can be made there; choose another output.dir"
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise job.mistake(path, f"{folder}: {existing} is not writable; choose another output.dir")
