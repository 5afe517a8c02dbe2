"""The jobs that a command was given: files and directories of them, loaded, or what is wrong with each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from render.errors import RenderError, SpecError
from render.plan import parse_frames
from render.spec import JobFile, load
from render.summary import check_model, check_run_dir

__all__ = ["files_in", "load_all"]


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
    paths: Sequence[Path], overrides: Sequence[str], frames: str | None = None, *, models: bool
) -> list[tuple[Path, JobFile | RenderError]]:
    """Every job of the command, or its mistake. ``frames``: of ``--frames``; ``models``: look for them from here.

    Two jobs that would render into one directory are a mistake of the second.
    """
    found: list[tuple[Path, JobFile | RenderError]] = []
    places: dict[str, Path] = {}
    for path in files_in(paths):
        try:
            job = load(path, overrides)
            if frames:
                _check_frames(path, job, frames)
            check_run_dir(job)
            if models:
                check_model(job)
            where = job.spec.run_dir
            other = places.setdefault(str(where.absolute() if isinstance(where, Path) else where), path)
            if other != path:
                raise job.mistake(("output", "dir"), f"{where}: {other} renders into the same directory")
            found.append((path, job))
        except RenderError as error:
            found.append((path, error))
    return found


def _check_frames(path: Path, job: JobFile, frames: str) -> None:
    try:
        parse_frames(frames, job.spec.num_frames)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None
