"""A job as the driver sees it: what it asked for, how far its workers are, and what it is told."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from render.errors import FarmError, RenderError, StoppedError
from render.farm.base import ChunkFailed, Opened, Resources
from render.farm.client import Client, Describe, Finished, Logged, Measure, Render
from render.farm.dispatch.chunk_queue import ChunkQueue, RetryPolicy
from render.farm.progress import Progress, Sample
from render.plan import Chunk, Plan
from render.store import Event, Segment

__all__ = ["Ask", "Assignment", "Job", "JobState", "Open", "Send", "WorkerState", "end_of", "stopped"]


SMOOTHED = 8  # chunks that seconds per image are averaged over


@dataclass
class Job:
    """One client at the driver. Its ``ledger`` is that of its last request to render."""

    client: Client
    resources: Resources | None = None
    question: Describe | Measure | None = None
    plan: Plan | None = None
    plan_json: str = ""
    ledger: ChunkQueue | None = None
    settled: bool = True  # it has heard how its chunks ended
    total: int = 0
    done_before: int = 0
    rendered: int = 0
    began: float | None = None  # when its first chunk was sent
    lost_asks: int = 0
    lost_opens: int = 0  # in a row, to nodes that went away
    failed_opens: int = 0  # in a row
    refusal: RenderError | None = None  # what the last worker said that could not open the plan
    s_per_image: float | None = None  # of the last chunks
    warned: set[str] = field(default_factory=set)

    @property
    def number(self) -> int:
        """Its place in line."""
        return self.client.number

    @property
    def waits(self) -> bool:
        """Whether it waits for an answer or for chunks."""
        return self.question is not None or not self.settled

    def begin(self, request: Render) -> ChunkQueue:
        """Start the books of chunks to render."""
        self.plan, self.plan_json = request.plan, request.plan.to_json()
        self.total = request.done_before + sum(len(chunk.frames) for chunk in request.chunks)
        self.done_before, self.rendered, self.began, self.settled = request.done_before, 0, None, False
        policy = RetryPolicy.of(request.plan.spec.farm, len(request.plan.chunks), resumed=bool(request.done_before))
        self.ledger = ChunkQueue(request.chunks, policy)
        return self.ledger

    def log(self, event: Event, **details: Any) -> None:
        """A line for the job's log."""
        self.client.deliver(Logged(event, details))

    def notice(self, text: str) -> None:
        """A line for the person at the terminal."""
        self.client.watcher.notice(text)

    def opened(self, worker: str, opened: Opened) -> None:
        """A worker has opened the plan; a warning is told once."""
        self.failed_opens = self.lost_opens = 0
        self.log(Event.OPENED, worker=worker, seconds=round(opened.seconds, 3))
        for warning in [text for text in dict.fromkeys(opened.warnings) if text not in self.warned]:
            self.warned.add(warning)
            self.log(Event.WARNING, text=warning)
            self.notice(warning)

    def done(self, segment: Segment) -> None:
        """A chunk is rendered; its frames count when they are committed."""
        record = segment.record
        mean = (record.ended - record.began) / len(record.chunk.frames)
        before = mean if self.s_per_image is None else self.s_per_image
        self.s_per_image = before + (mean - before) / SMOOTHED
        self.client.deliver(segment)

    def failed(self, message: ChunkFailed) -> None:
        """An attempt came to nothing; details (a stack trace) go into the log only."""
        chunk, details = message.chunk.name, message.details
        self.log(Event.FAILED, worker=message.worker, chunk=chunk, cause=message.cause, details=details)
        self.notice(f"{message.chunk} failed on worker {message.worker}: {message.cause}")

    def settle(self) -> None:
        """Tell the job when all its chunks are done, given up or abandoned."""
        ledger = self.ledger
        if ledger is None or self.settled or not ledger.finished:
            return
        self.settled = True
        if ledger.given_up:
            self.client.deliver(FarmError(_given_up(ledger)))
        elif ledger.abandoned:
            self.client.deliver(stopped())
        else:
            self.client.deliver(Finished())

    def fail(self, error: BaseException) -> None:
        """End what the job waits for."""
        self.resources = self.ledger = self.question = None
        self.settled = True
        self.client.deliver(error)

    def progress(self, workers: int, opening: int, now: float) -> Progress:
        """How far it is; so many workers render it, and so many more open its plan."""
        return Progress(
            frames_done=self.done_before + self.rendered,
            frames_total=self.total,
            rendered=self.rendered,
            elapsed_s=now - self.began if self.began is not None else 0.0,
            workers=workers,
            retries=self.ledger.retries if self.ledger else 0,
            opening=opening,
        )

    def sample(self, workers: int, idle_share: float) -> Sample:
        """The metrics of this moment."""
        values: dict[str, float] = {
            "render_frames": self.rendered,
            "render_retries": self.ledger.retries if self.ledger else 0,
            "render_frames_left": self.total - self.done_before - self.rendered,
            "render_queue_depth": self.ledger.waiting if self.ledger else 0,
            "render_workers": workers,
            "render_idle_share": idle_share,
        }
        if self.s_per_image is not None:
            values["render_seconds_per_image"] = self.s_per_image
        name, place = (self.plan.spec.name, str(self.plan.spec.run_dir)) if self.plan else ("", "")
        return Sample(name, values, place)


def stopped() -> StoppedError:
    """What a job hears that was asked to stop."""
    return StoppedError("stopped; what is done stays done, the same command goes on")


def _given_up(ledger: ChunkQueue) -> str:
    others = f"{ledger.abandoned} were not begun after that" if ledger.abandoned else "all others are done"
    total = len(ledger.given_up) + ledger.num_done + ledger.abandoned
    lines = [f"{len(ledger.given_up)} of {total} chunks failed for good; {others}:"]
    for chunk, failures in sorted(ledger.given_up.items()):
        last = failures[-1]
        lines.append(f"  {chunk}: {len(failures)} attempts; the last, on worker {last.worker}: {last.cause}")
    lines.append("mend the cause and run the same command again: it renders only what is missing")
    return "\n".join(lines)


UNCOMMITTED_BYTES = 256 << 20  # of segments that wait for a slow store; beyond that no more chunks of the job go out


@dataclass(frozen=True)
class Ask:
    """Put the job's question to the worker."""

    worker: str
    job: int


@dataclass(frozen=True)
class Open:
    """Have the worker open the job's plan."""

    worker: str
    job: int


@dataclass(frozen=True)
class Send:
    """Send the worker a chunk of the plan that it has open."""

    worker: str
    job: int
    chunk: Chunk


Assignment = Ask | Open | Send


@dataclass
class JobState:
    """A job that may have work: a question, or the chunks of its ledger."""

    number: int
    resources: Resources
    priority: int
    question: bool = False
    ledger: ChunkQueue | None = None
    model: str = ""
    max_workers: int | None = None
    uncommitted: int = 0  # bytes
    opening: int = 0
    unfit: set[str] = field(default_factory=set)

    @property
    def waiting(self) -> int:
        """Chunks that could be sent now."""
        return self.ledger.waiting if self.ledger and self.uncommitted < UNCOMMITTED_BYTES else 0


@dataclass
class WorkerState:
    """A worker: what it holds and does, and what it has done so far."""

    resources: Resources
    errand: Assignment | None = None  # asked or opening
    holds: int | None = None  # the job whose plan is open
    model: str = ""
    queue: deque[Chunk] = field(default_factory=deque)
    since: float = 0.0  # when what it does began
    done_here: int = 0  # chunks of the plan it holds
    mean_s: float | None = None  # of those
    completed: int = 0
    in_a_row: int = 0  # failures since the last chunk it completed
    retired: bool = False

    @property
    def busy(self) -> bool:
        """Whether it has anything to do."""
        return bool(self.queue) or self.errand is not None

    @property
    def job(self) -> int | None:
        """The job it is busy for, or whose plan it has open."""
        return self.errand.job if self.errand is not None else self.holds


def end_of(waiting: int, workers: Iterable[WorkerState], now: float) -> float:
    """When so many waiting chunks will be done if each goes to the worker that is through with it first.

    Workers nobody has measured yet do not count, nor does one that is late: it may hang.
    """
    through: list[tuple[float, float]] = []  # when a worker would be through with one more, its seconds a chunk
    for worker in workers:
        if not worker.mean_s:
            continue
        rest_s = len(worker.queue) * worker.mean_s - (now - worker.since) if worker.queue else 0.0
        if rest_s >= 0:
            through.append((now + rest_s + worker.mean_s, worker.mean_s))
    if not through:
        return math.inf
    heapq.heapify(through)
    for _ in range(waiting - 1):
        end, mean_s = through[0]
        heapq.heapreplace(through, (end + mean_s, mean_s))
    return through[0][0]
