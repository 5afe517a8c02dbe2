"""A job's side of the driver: what it asks for, and what comes back. Lives in the job's own thread.

Every call waits for its answer; the driver hears of it through one queue and answers through another, so nothing else
is shared between the threads.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from queue import SimpleQueue

from render.farm.progress import Progress, Watcher
from render.farm.requests import Committed, Delivery, Finished, Leave, Logged, MakePlan, Render, Request
from render.plan import Chunk, Plan
from render.spec import JobSpec
from render.store import Segment

__all__ = ["Client"]


class Client:
    """One job at the driver, which knows it by its ``number``."""

    def __init__(self, number: int, watcher: Watcher, request: Callable[[Request], None]) -> None:
        self.number, self.watcher = number, watcher
        self._shown, self._doing = Progress(0, 0), ""
        self._request = request
        self._inbox: SimpleQueue[Delivery] = SimpleQueue()
        self._log: Callable[[Logged], None] = lambda _line: None  # who renders without a log wants none

    def log_into(self, log: Callable[[Logged], None]) -> None:
        """From now on lines go there as they come, also while the job waits for an answer."""
        self._log = log

    def deliver(self, delivery: Delivery) -> None:
        """Called by the driver. An exception is raised where the job waits."""
        self._inbox.put(delivery)

    def plan(self, spec: JobSpec, before: Plan | None = None) -> Plan:
        """The plan that a worker makes, or that of a rerun. Raises ModelError, EngineError, FarmError, StoppedError."""
        self._request(MakePlan(self.number, spec, before))
        answer = self._answer()
        assert isinstance(answer, Plan)
        return answer

    def render(self, plan: Plan, chunks: Sequence[Chunk], done_before: int) -> Iterator[Segment]:
        """Segments as they come; the caller says ``committed`` of each.

        Raises FarmError when chunks failed for good, after all others are done, or when no worker can be started, and
        StoppedError when the driver was asked to stop.
        """
        self._request(Render(self.number, plan, chunks, done_before))
        while not isinstance(item := self._answer(), Finished):
            assert isinstance(item, Segment)
            yield item

    def committed(self, frames: int, size: int) -> None:
        """A segment of so many frames and bytes counts now."""
        self._request(Committed(self.number, frames, size))

    def show(self, progress: Progress) -> None:
        """How far the job is; who does not know of how many frames leaves standing what was known before."""
        known = self._shown
        if not progress.frames_total:
            progress = replace(progress, frames_done=known.frames_done, frames_total=known.frames_total)
        self._shown = progress
        self.watcher.progress(replace(progress, doing=self._doing or progress.doing))

    def say(self, doing: str) -> None:
        """What the job does by itself from now on goes before what its workers do; empty: it waits for them."""
        self._doing = doing
        self.show(replace(self._shown, doing=""))

    def end(self) -> None:
        """Called by the driver: the job has left."""
        self.watcher.progress(replace(self._shown, doing="", ended=True))

    def leave(self) -> None:
        """Nothing more is wanted."""
        self._request(Leave(self.number))

    def _answer(self) -> Delivery:
        while isinstance(item := self._inbox.get(), Logged):
            self._log(item)
        if isinstance(item, BaseException):
            raise item
        return item
