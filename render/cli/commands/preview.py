"""``render preview``: a contact sheet of a job in seconds, in this process and without Ray."""

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from render.cli.bars import ProgressBars
from render.cli.jobs import check_model, check_run_dir
from render.cli.parser import add_job
from render.cli.places import given_file
from render.errors import SpecError, count
from render.farm.base import Farm
from render.farm.local import LocalFarm
from render.farm.progress import Watcher
from render.farm.runner import run_job
from render.plan import guessed_machine, resolve
from render.spec import JobFile, Location, load, name_of
from render.spec.location import join_location, split_location
from render.store import RunDir, temporary_folder

__all__ = ["EXAMPLES", "add", "preview", "run", "sketch"]

EXAMPLES = "example: render preview job.yaml"
PREVIEW_FRAMES = 12
PREVIEW_STEPS = 8


def add(parser: argparse.ArgumentParser) -> None:
    """Which job, and where to."""
    add_job(parser)
    parser.add_argument(
        "--to", type=given_file, metavar="FILE.png", help="where to (default: preview.png in the run directory)"
    )


def run(options: argparse.Namespace) -> int:
    """Render the sheet and say where it is. Raises SpecError for a target that is no PNG."""
    job = load(options.jobs[0], options.overrides)
    if options.to is None:
        check_run_dir(job)
    check_model(job, trust=options.trust)
    target = options.to or join_location(job.spec.run_dir, "preview.png")
    if not str(target).endswith(".png"):
        raise SpecError(f"--to {target}: a preview is a PNG; give a name that ends in .png")
    with ProgressBars() as bars:
        farm = partial(LocalFarm, trust=options.trust)
        frames = preview(job, farm, bars.job(name_of(options.jobs[0])), target, trust=options.trust)
    told = f"{count(frames, 'frame')}: {target}"
    print(json.dumps({"preview": str(target), "frames": frames}) if options.json else told)
    return 0


def preview(
    job: JobFile, make_farm: Callable[[], Farm], watcher: Watcher, target: Location, *, trust: bool = False
) -> int:
    """A contact sheet of a few frames in a few steps, as a PNG at ``target``; returns the number of frames.

    The walk, prompts and seeds are the job's own; fewer steps make the pictures rougher. Leaves nothing else behind.
    Raises RenderError.
    """
    from render.video.stills import contact_sheet, encode_still, read_still

    every = math.ceil(job.spec.num_frames / PREVIEW_FRAMES)
    with temporary_folder("preview") as folder:
        run_job(sketch(job, folder, trust=trust), make_farm, watcher, f"0-{job.spec.num_frames - 1}x{every}")
        pictures = [read_still(path) for path in sorted(Path(folder).glob("frames/*.png"))]
    place, name = split_location(target)
    RunDir(place).write(name, encode_still(contact_sheet(pictures, columns=4), ".png"))
    return len(pictures)


def sketch(job: JobFile, folder: str, *, trust: bool = False) -> JobFile:
    """The job in few steps and in ``folder``; its batch is guessed, because a dozen pictures do not repay measuring."""
    spec = job.spec.model_copy(
        update={
            "steps": min(job.spec.steps, PREVIEW_STEPS),
            "output": job.spec.output.model_copy(update={"dir": folder, "frames": "png"}),
        }
    )
    if spec.engine.batch == "auto":
        model = check_model(job, trust=trust)
        batch = resolve(spec, guessed_machine(spec.engine.device, model.family), model).batch
        spec = spec.model_copy(update={"engine": spec.engine.model_copy(update={"batch": batch})})
    return replace(job, spec=spec)
