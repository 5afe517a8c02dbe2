"""The jobs that a command was given: files and directories of them, loaded and checked, or what is wrong with each.

Checked is what this machine can say before anything is rendered; of the network only the hub is asked, for its models.
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
from render.errors import ModelError, RenderError, SpecError, shown
from render.models import ModelInfo
from render.plan import graph_mistakes, parse_frames, sampling_mistakes
from render.spec import STDIN, JobFile, load, model_called, name_of
from render.spec.location import folder_mistake, home_mistake
from render.store import foreign_file, obstacle, unusable

__all__ = ["LoadedJob", "check_model", "check_run_dir", "each_job", "files_in", "load_all"]


@dataclass(frozen=True)
class LoadedJob:
    """A job file that was named: what it holds, or why it cannot be rendered. One of the two is None."""

    path: Path
    job: JobFile | None = None
    error: RenderError | None = None

    @property
    def label(self) -> str:
        """What messages call the job among others: its file's name, on one line."""
        return name_of(Path(self.path.name))


def each_job(options: argparse.Namespace, command: Callable[[JobFile], tuple[Any, str]]) -> int:
    """Print what ``command`` says of every job, a dataclass and its text; the exit code of the first that failed."""
    code = 0
    for path in files_in(options.jobs):
        try:
            summary, text = command(load(path, options.overrides))
        except RenderError as error:
            if options.json:
                print(json.dumps({"job": name_of(path), **error_json(error)}))
            failure = report_error(error)
            code = code or failure
        else:
            print(json.dumps(asdict(summary)) if options.json else text)
    return code


def files_in(paths: Sequence[Path]) -> list[Path]:
    """Job files, those of a directory in the order of their names.

    Raises SpecError for a directory without any, and for standard input that is to be read twice.
    """
    found: list[Path] = []
    for path in paths:
        found += _files_of(path) if path != STDIN and os.path.isdir(path) else [path]
    if found.count(STDIN) > 1:
        raise SpecError("-: standard input can be read once; name it once")
    return found


def _files_of(directory: Path) -> list[Path]:
    try:
        inside = sorted(file for file in directory.iterdir() if file.suffix in (".yaml", ".yml"))
    except OSError as error:
        raise SpecError(f"{shown(directory)}: cannot be read: {error.strerror}") from None
    if not inside:
        raise SpecError(f"{shown(directory)}: no .yaml files in this directory")
    return inside


def load_all(
    paths: Sequence[Path], overrides: Sequence[str], frames: str | None = None, *, models: bool, trust: bool
) -> list[LoadedJob]:
    """Every job of the command, or its mistake. ``frames``: of ``--frames``; ``models``: look for them from here.
    ``trust``: of ``--trust``.

    Two jobs that would render into one directory are a mistake of the second.
    """
    found: list[LoadedJob] = []
    taken: dict[str, str] = {}
    for path in files_in(paths):
        try:
            job = load(path, overrides)
            if frames is not None:
                _check_frames(path, job, frames)
            check_run_dir(job)
            if models:
                check_model(job, trust=trust)
            where = job.spec.run_dir
            place = str(where.resolve() if isinstance(where, Path) else where)
            if place in taken:
                raise job.mistake(("output", "dir"), f"{where}: {taken[place]} renders into the same directory")
            taken[place] = name_of(path)
            found.append(LoadedJob(path, job))
        except RenderError as error:
            found.append(LoadedJob(path, error=error))
    return found


def _check_frames(path: Path, job: JobFile, frames: str) -> None:
    try:
        parse_frames(frames, job.spec.num_frames)
    except SpecError as error:
        raise SpecError(f"{name_of(path)}: {error}") from None


def check_model(job: JobFile, *, trust: bool) -> ModelInfo:
    """The job's model as found from here.

    Raises SpecError that names the line when it is not to be had, or cannot do what the job asks for.
    """
    model, tiny_vae = job.spec.model, job.spec.engine.tiny_vae
    try:
        info = models.describe(model, fingerprint=False, trust=trust)
    except ModelError as error:
        if mistake := folder_mistake(model) or home_mistake(model):
            raise job.mistake(("model",), mistake) from None
        hub = model_called(model)
        cure = f"; on the hub it is {hub}" if hub and hub != model else ""
        raise job.mistake(("model",), f"{error}{cure}") from None
    for path, message in (*graph_mistakes(job.spec, info), *sampling_mistakes(job.spec, info)):
        raise job.mistake(path, message)
    try:
        return models.with_tiny(info, tiny_vae, fingerprint=False) if tiny_vae else info
    except ModelError as error:
        raise job.mistake(("engine", "tiny_vae"), folder_mistake(tiny_vae or "") or str(error)) from None


def check_run_dir(job: JobFile) -> None:
    """Raises SpecError for a run directory that can never be made: something is in the way, it is not writable, there
    is no such kind of store here; and for one in which files would be written over that are not of a run. Asks no
    network.
    """
    location, path = job.spec.run_dir, ("output", "dir") if job.spec.output.dir else ("name",)
    if isinstance(location, str):
        if refusal := unusable(location):
            raise job.mistake(path, refusal)
        return
    if refusal := home_mistake(job.spec.output.dir or "") or obstacle(location):
        raise job.mistake(path, f"{refusal}; choose another output.dir")
    if name := foreign_file(location):
        raise job.mistake(
            path, f"{shown(location)}: no run was here, and its {name} would be written over; choose another output.dir"
        )
