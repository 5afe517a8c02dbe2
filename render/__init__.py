"""Batch rendering of Stable Diffusion video: job files in, films out, over as many GPUs as there are.

The command line is the front door (``render --help``). From Python: ``load`` a job file, ``run_job`` it on a farm.
Names are imported when they are first used, so that ``import render`` stays instant.
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:  # `python -m render` must get past a `typing.py` of the working directory
    from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Chunk": "render.plan",
    "Farm": "render.farm.base",
    "JobSpec": "render.spec",
    "LocalFarm": "render.farm.local",
    "Outcome": "render.farm.job",
    "Plan": "render.plan",
    "Progress": "render.farm.progress",
    "RayFarm": "render.farm.ray.farm",
    "RenderError": "render.errors",
    "Watcher": "render.farm.progress",
    "load": "render.spec",
    "run_job": "render.farm.runner",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module 'render' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
