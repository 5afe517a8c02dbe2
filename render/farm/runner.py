"""All jobs of one command on one farm: a thread a job, the driver in the main one."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from render.errors import RenderError, StoppedError, message_of
from render.farm.base import Farm
from render.farm.client import Client
from render.farm.driver import Driver
from render.farm.job import JobRun, Outcome
from render.farm.progress import Watcher
from render.farm.signals import Stop
from render.spec import JobFile

__all__ = ["JobThread", "run_job", "run_jobs", "run_together"]

T = TypeVar("T")

JOIN_TIMEOUT_S = 10.0  # for threads to end when everything is stopped at once: a commit takes no longer


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
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def run_jobs(
    jobs: Sequence[tuple[JobFile, Watcher]],
    make_farm: Callable[[], Farm],
    frames: str | None = None,
    *,
    allow_gaps: bool = False,
    stop: Stop | None = None,
) -> list[Outcome | Exception]:
    """The same for many jobs on one farm, side by side; what became of each, in order.

    A job that fails does not stop the others, not even by a mistake of the program: an exception that is no
    RenderError. With ``stop`` requested every job finishes the chunks that are being rendered and ends with
    StoppedError. Of several jobs each watcher hears at once how its own ended. What breaks the driver ends all of
    them: a lost cluster with a RenderError for each, anything else, KeyboardInterrupt too, is raised.
    """
    driver = Driver(make_farm, stop)
    threads = []
    for job, watcher in jobs:
        client = driver.client(watcher, job.spec.farm.priority)
        job_run = JobRun(job, client, frames, allow_gaps=allow_gaps)
        threads.append(JobThread(job_run.run, client, notify_end, at_once=len(jobs) > 1))
    return run_together(driver, threads)


def notify_end(watcher: Watcher, outcome: Outcome | BaseException) -> None:
    """Say how a job ended: the table of all jobs is hours away."""
    if isinstance(outcome, BaseException):
        first_line = message_of(outcome).partition("\n")[0]
        watcher.notice(first_line if isinstance(outcome, StoppedError) else f"failed: {first_line}")
    else:
        watcher.notice(f"done: {outcome.film or outcome.stills or outcome.plan.spec.name}")


class JobThread(threading.Thread, Generic[T]):
    """A job's thread; ``outcome`` is what its work returned or raised.

    ``notify`` hears of that: ``at_once``, or where the command ends before it could say so itself.
    """

    def __init__(
        self,
        work: Callable[[], T],
        client: Client,
        notify: Callable[[Watcher, T | BaseException], None] | None = None,
        *,
        at_once: bool = True,
    ) -> None:
        super().__init__(name=f"job-{client.number}", daemon=True)
        self._work, self._client, self._notify, self._at_once = work, client, notify, at_once
        self.outcome: T | BaseException | None = None

    def run(self) -> None:
        """Work; whatever happens, the client leaves the driver."""
        try:
            try:
                self.outcome = self._work()
            except BaseException as error:  # noqa: BLE001 - what becomes of the job; read in the main thread
                self.outcome = error
            if self._at_once:
                self.tell()
        finally:
            self._client.leave()

    def tell(self) -> None:
        """Say how the job ended, once."""
        notify, self._notify = self._notify, None
        if notify is not None and self.outcome is not None:
            notify(self._client.watcher, self.outcome)

    def result(self, farm_error: RenderError | None) -> T | Exception:
        """What became of the job; where the farm stopped it, the farm's error. Raises what is no Exception."""
        outcome = self.outcome
        if farm_error is not None and (outcome is None or isinstance(outcome, StoppedError)):
            return farm_error
        if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
            raise outcome
        assert outcome is not None
        return outcome


def run_together(driver: Driver, threads: Sequence[JobThread[T]]) -> list[T | Exception]:
    """Start the threads, drive until all clients have left, and return what became of each."""
    for thread in threads:
        thread.start()
    farm_error: RenderError | None = None
    try:
        driver.run()
    except RenderError as error:  # jobs that had not ended were stopped
        farm_error = error
    except BaseException:
        _join(threads)
        for thread in threads:
            thread.tell()
        raise
    _join(threads)
    return [thread.result(farm_error) for thread in threads]


def _join(threads: Sequence[threading.Thread]) -> None:
    until = time.monotonic() + JOIN_TIMEOUT_S
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0.0))
