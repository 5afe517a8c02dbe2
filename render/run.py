"""All jobs of one command on one farm: a thread a job, the driver in the main one."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic, TypeVar

from render.client import Client
from render.drive import Driver
from render.errors import RenderError
from render.farm import Farm
from render.place import Place, split
from render.plan import Plan, select
from render.progress import Watcher
from render.resolve import resolve
from render.rundir import RunDir
from render.spec import JobFile
from render.stop import Stop
from render.story import Outcome, Story, render_chunks, with_stills

__all__ = ["Outcome", "preview", "run_job", "run_jobs"]

PREVIEW_FRAMES = 12
PREVIEW_STEPS = 8
T = TypeVar("T")

LAST_WORDS_S = 10.0  # for threads to end when everything is stopped at once: a commit takes no longer


def run_job(
    job: JobFile,
    make_farm: Callable[[], Farm],
    watcher: Watcher,
    frames: str | None = None,
    *,
    allow_gaps: bool = False,
    stop: Stop | None = None,
) -> Outcome:
    """Render what is missing of a job, join the film, write the report.

    ``make_farm`` is called only when there is something to render. ``frames`` is the text of ``--frames``: stills of
    those frames, no film. ``allow_gaps``: where chunks failed, a second film is made with their frames marked. Raises
    RenderError; whatever was rendered until then stays and counts.
    """
    [outcome] = run_jobs([(job, watcher)], make_farm, frames, allow_gaps=allow_gaps, stop=stop)
    if isinstance(outcome, RenderError):
        raise outcome
    return outcome


def run_jobs(
    jobs: Sequence[tuple[JobFile, Watcher]],
    make_farm: Callable[[], Farm],
    frames: str | None = None,
    *,
    allow_gaps: bool = False,
    stop: Stop | None = None,
) -> list[Outcome | RenderError]:
    """The same for many jobs on one farm, side by side; what became of each, in order.

    A job that fails does not stop the others. With ``stop`` requested every job finishes the chunks that are being
    rendered and ends with StoppedError. Any other exception, KeyboardInterrupt too, ends all of them.
    """
    driver = Driver(make_farm, stop)
    tellers = []
    for job, watcher in jobs:
        client = driver.client(watcher, job.spec.farm.priority)
        story = Story(job, client, frames, allow_gaps=allow_gaps)
        tellers.append(_Teller(story.tell, client))
    return _together(driver, tellers)


class _Teller(threading.Thread, Generic[T]):
    """A job's thread, with what becomes of it."""

    def __init__(self, tell: Callable[[], T], client: Client) -> None:
        super().__init__(name=f"job-{client.number}", daemon=True)
        self._tell, self._client = tell, client
        self.outcome: T | BaseException | None = None

    def run(self) -> None:
        try:
            self.outcome = self._tell()
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            self.outcome = error
        finally:
            self._client.leave()


def _together(driver: Driver, tellers: Sequence[_Teller[T]]) -> list[T | RenderError]:
    """Start the threads, drive until all have left, and say what became of each. Mistakes of ours are raised here."""
    for teller in tellers:
        teller.start()
    try:
        driver.run()
    finally:
        for teller in tellers:
            teller.join(LAST_WORDS_S)
    found: list[T | RenderError] = []
    for teller in tellers:
        if isinstance(teller.outcome, BaseException) and not isinstance(teller.outcome, RenderError):
            raise teller.outcome
        assert teller.outcome is not None
        found.append(teller.outcome)
    return found


def preview(job: JobFile, make_farm: Callable[[], Farm], watcher: Watcher, target: Place) -> int:
    """A contact sheet of a few frames in a few steps, as a PNG at ``target``; returns the number of frames.

    The walk, prompts and seeds are the job's own; fewer steps make the pictures rougher. Leaves nothing else behind.
    """
    driver = Driver(make_farm)
    client = driver.client(watcher)
    [count] = _together(driver, [_Teller(lambda: _preview(job, client, target), client)])
    if isinstance(count, RenderError):
        raise count
    return count


def _preview(job: JobFile, client: Client, target: Place) -> int:
    from render.stills import contact_sheet, encode_still, read_still

    spec = with_stills(job.spec).model_copy(update={"steps": min(job.spec.steps, PREVIEW_STEPS)})
    described = client.describe(spec)
    plan = Plan(spec, resolve(spec, described.machine, described.model), described.model)
    every = math.ceil(spec.num_frames / PREVIEW_FRAMES)
    chunks = select(plan, f"0-{spec.num_frames - 1}x{every}")
    with TemporaryDirectory(prefix="render-preview-") as folder:
        render_chunks(client, plan, chunks, RunDir(Path(folder)), 0)
        pictures = [read_still(path) for path in sorted(Path(folder).glob("frames/*.png"))]
    place, name = split(target)
    RunDir(place).write(name, encode_still(contact_sheet(pictures, columns=4), ".png"))
    return len(pictures)
