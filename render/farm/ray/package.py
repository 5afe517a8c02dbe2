"""What is sent to a cluster: specs that mean the same there, and the command that renders them. Knows no ray."""

import os
import re
import secrets
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from render import models
from render.spec import JobFile, KeyPath

__all__ = ["check_portable", "entrypoint", "pack", "relative_folders", "submission_id"]

MAX_NAME = 40  # characters of a job's name in a submission id

_ANYWHERE = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def check_portable(jobs: Sequence[JobFile]) -> None:
    """Raises SpecError, with the line, for a spec that means another thing, or nothing, in another folder."""
    for job in jobs:
        spec = job.spec
        if not spec.output.dir or not _absolute(spec.output.dir):
            shown = f"{spec.output.dir}: " if spec.output.dir else ""
            raise job.mistake(
                ("output", "dir"),
                f"{shown}on a cluster a relative folder lies in a temporary one and is lost; write an absolute path on "
                "a disk that the head keeps and you can read, or a store such as s3://bucket/folder",
            )
        folders: tuple[tuple[KeyPath, str | None], ...] = (
            (("model",), spec.model),
            (("engine", "tiny_vae"), spec.engine.tiny_vae),
        )
        for path, folder in folders:
            if folder and _relative_folder(folder):
                raise job.mistake(
                    path,
                    f"{folder}: a folder of this machine; write an absolute path that every node sees, or a hub id",
                )


def relative_folders(*names: str | None) -> tuple[str, ...]:
    """Those names of models that mean folders only where the driver works: workers look for them there."""
    return tuple(name for name in names if name and _relative_folder(name))


def _relative_folder(name: str) -> bool:
    """Whether a model's name means a folder that is found from the working directory only."""
    if name == "demo" or models.testcard_cost_s(name) is not None or _absolute(name):
        return False
    return name.startswith(".") or os.path.isdir(name)


def _absolute(folder: str) -> bool:
    return folder.startswith(("/", "~")) or _ANYWHERE.match(folder) is not None


def entrypoint(
    files: Sequence[str], overrides: Sequence[str], frames: str | None = None, flags: Sequence[str] = ()
) -> str:
    """The shell command that renders ``files`` on the cluster; ``flags`` are those of ``render run``.

    ``exec`` leaves no shell between Ray and the driver, which is the one that has to hear SIGTERM.
    """
    words = ["python", "-P", "-m", "render", "run", *files, "--address", "auto"]
    words += [f"--set={assignment}" for assignment in overrides]
    words += [*([f"--frames={frames}"] if frames else []), *flags]
    return "exec " + shlex.join(words)


def submission_id(names: Sequence[str]) -> str:
    """``render-day-and-night-20260131-235959-1f3a``: of letters, digits and hyphens, told apart by time and chance."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", names[0])[:MAX_NAME].strip("-")
    more = f"-and-{len(names) - 1}-more" if len(names) > 1 else ""
    return f"render-{name}{more}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def pack(paths: Sequence[Path], folder: Path) -> list[str]:
    """Copy the specs into ``folder``; returns their names there: the driver's refusals name them."""
    names: list[str] = []
    for number, path in enumerate(paths, start=1):
        name = f"jobs/{path.name}" if f"jobs/{path.name}" not in names else f"jobs/{number}/{path.name}"
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
        names.append(name)
    return names
