"""The driver's loop: messages from the farm -> decisions of the dispatcher -> commits in the run directory.

It holds no state that is not on disk too: killed at any line, the next run starts from the done records. Knows
neither Ray nor torch nor the terminal; what happens is told to ``Watcher``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from render.dispatch import FIRST_DEADLINE_S, Dispatcher
from render.errors import FarmError
from render.farm import ChunkDone, ChunkFailed, Farm, Message, WorkerLost, WorkerReady
from render.plan import Chunk, Plan
from render.record import Record
from render.rundir import RunDir
from render.worker import Opened

__all__ = ["Progress", "Watcher", "drive"]

TICK_S = 1.0  # how often deadlines are looked at and the terminal hears something
MAX_FAILED_STARTS = 3  # in a row, without a chunk in between: it is not the chunks' fault


@dataclass(frozen=True)
class Progress:
    """Where a job stands. ``rendered`` frames are of this run, ``frames_done`` of all runs so far."""

    frames_done: int
    frames_total: int
    rendered: int
    elapsed_s: float
    workers: int
    retries: int

    @property
    def frames_per_s(self) -> float:
        """Speed since the first worker was ready; 0 before the first chunk."""
        return self.rendered / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds to go, None before the first chunk."""
        speed = self.frames_per_s
        return (self.frames_total - self.frames_done) / speed if speed else None


class Watcher(Protocol):
    """Hears what happens. The command line shows it; tests collect it."""

    def progress(self, progress: Progress) -> None:
        """Called every second or so and after every chunk."""
        ...

    def notice(self, text: str) -> None:
        """Something a person wants to know: a retry, a lost worker."""
        ...


def drive(farm: Farm, plan: Plan, missing: Sequence[Chunk], rundir: RunDir, watcher: Watcher, done_before: int) -> None:
    """Render the ``missing`` chunks and commit each; returns when all count.

    ``done_before`` are the frames of earlier runs. Raises FarmError when chunks failed for good, after all others
    are done, or when no worker can be started.
    """
    _Drive(farm, plan, missing, rundir, watcher, done_before).run()


class _Drive:
    def __init__(
        self, farm: Farm, plan: Plan, missing: Sequence[Chunk], rundir: RunDir, watcher: Watcher, done_before: int
    ) -> None:
        self.farm = farm
        self.plan = plan
        self.plan_json = plan.to_json()
        self.rundir = rundir
        self.watcher = watcher
        deadline = plan.spec.farm.deadline
        self.dispatcher = Dispatcher(
            missing,
            attempts=plan.spec.farm.attempts,
            deadline_s=None if deadline == "auto" else float(deadline.seconds or 0),
        )
        self.num_missing = len(missing)
        self.total = done_before + sum(len(chunk.frames) for chunk in missing)
        self.done_before = done_before
        self.rendered = 0
        self.first_ready: float | None = None
        self.starting: dict[str, float] = {}
        self.failed_starts = 0
        self.warned: set[str] = set()

    def run(self) -> None:
        for _ in range(min(self.farm.size(self.plan), self.num_missing)):
            self._start_worker()
        while not self.dispatcher.finished:
            for worker, chunk in self.dispatcher.assign(time.monotonic(), len(self.starting)):
                self.rundir.log("sent", worker=worker, chunk=chunk.name)
                self.farm.send(worker, chunk)
            for message in self.farm.wait(TICK_S):
                self._hear(message)
            self._stop_overdue()
            self._report()
        if self.dispatcher.given_up:
            raise FarmError(self._given_up())

    def _start_worker(self) -> None:
        worker = self.farm.start_worker(self.plan_json)
        self.starting[worker] = time.monotonic()
        self.rundir.log("worker-starting", worker=worker)

    def _hear(self, message: Message) -> None:
        if message.worker not in self.starting and not self.dispatcher.knows(message.worker):
            return  # stopped a moment ago, with this message on its way; its chunks went back
        match message:
            case WorkerReady(worker, opened):
                self._ready(worker, opened)
            case ChunkDone(worker, segment):
                self._commit(worker, segment.record, message)
            case ChunkFailed():
                self._chunk_failed(message)
            case WorkerLost():
                self._worker_lost(message)

    def _ready(self, worker: str, opened: Opened) -> None:
        del self.starting[worker]
        self.failed_starts = 0
        for warning in [text for text in dict.fromkeys(opened.warnings) if text not in self.warned]:
            self.warned.add(warning)
            self.rundir.log("warning", text=warning)
            self.watcher.notice(warning)
        self.first_ready = self.first_ready or time.monotonic()
        self.dispatcher.add_worker(worker)
        self.rundir.log("worker-ready", worker=worker, host=opened.host, pid=opened.pid)

    def _commit(self, worker: str, record: Record, message: ChunkDone) -> None:
        self.rundir.commit(message.segment)
        self.dispatcher.completed(worker, record.chunk, time.monotonic())
        self.rendered += len(record.chunk.frames)
        self.rundir.log("done", worker=worker, chunk=record.chunk.name, seconds=round(record.ended - record.began, 3))
        for note in record.notes:
            self.rundir.log("note", chunk=record.chunk.name, frame=note.frame, kind=note.kind, text=note.text)
            self.watcher.notice(f"frame {note.frame}: {note.text}")

    def _chunk_failed(self, message: ChunkFailed) -> None:
        worker = message.worker
        self._failure(worker, message.chunk, message.cause, message.details)
        self.dispatcher.failed(worker, message.chunk, message.cause, time.monotonic())
        if self.dispatcher.retired(worker):
            self._retire(worker)

    def _retire(self, worker: str) -> None:
        """Replace a worker that failed too often; one that never completed anything (a bad device) only if alone."""
        fruitless = self.dispatcher.fruitless(worker)
        self.rundir.log("worker-retired", worker=worker)
        self.farm.stop_worker(worker)
        self.dispatcher.lost(worker, "retired", charge=False)
        replaced = not fruitless or not (self.dispatcher.workers or self.starting)
        end = "is replaced" if replaced else "gets no more; the others go on without it"
        self.watcher.notice(f"worker {worker} failed several chunks and {end}")
        if replaced:
            self._replace()

    def _worker_lost(self, message: WorkerLost) -> None:
        worker, cause = message.worker, message.cause
        details = {"details": message.details} if message.details else {}
        self.rundir.log("worker-lost", worker=worker, cause=cause, preempted=message.preempted, **details)
        if self.starting.pop(worker, None) is not None:
            self._start_failed(message)
            return
        held = self.dispatcher.held(worker)
        if held and not message.preempted:
            self._failure(worker, held[0], cause)
        else:
            self.watcher.notice(f"worker {worker} is gone ({cause}); its chunks go to others")
        self.dispatcher.lost(worker, cause, charge=not message.preempted)
        self._replace()

    def _start_failed(self, message: WorkerLost) -> None:
        alone = not self.dispatcher.workers and not self.starting
        if message.error is not None and alone:
            raise message.error  # a wrong model stays wrong however often it is loaded
        self.watcher.notice(f"worker {message.worker} could not start: {message.cause}")
        self.failed_starts += not message.preempted
        if self.failed_starts >= MAX_FAILED_STARTS and alone:
            raise FarmError(
                f"{self.failed_starts} workers in a row could not start; the last one said: {message.cause}"
            )
        if self.failed_starts < MAX_FAILED_STARTS:
            self._replace()

    def _replace(self) -> None:
        """Start a worker for one that is gone, unless enough are there for what is left."""
        if self.dispatcher.waiting > len(self.starting):
            self._start_worker()

    def _stop_overdue(self) -> None:
        """Workers that hang: over a chunk, or before they were ready at all."""
        now = time.monotonic()
        for worker, since in list(self.starting.items()):
            if now - since > FIRST_DEADLINE_S:
                self.farm.stop_worker(worker)
                self._hear(WorkerLost(worker, f"not ready after {now - since:.0f} s"))
        for worker, chunk, seconds in self.dispatcher.overdue(now):
            cause = f"no result after {seconds:.0f} s; the worker was stopped (farm.deadline sets the limit)"
            self._failure(worker, chunk, cause)
            self.farm.stop_worker(worker)
            self.dispatcher.lost(worker, cause)
            self._replace()

    def _failure(self, worker: str, chunk: Chunk, cause: str, details: str = "") -> None:
        """Tell of an attempt that came to nothing; ``details`` (a stack trace) go into the log only."""
        self.rundir.log(
            "failed", worker=worker, chunk=chunk.name, cause=cause, **({"details": details} if details else {})
        )
        self.watcher.notice(f"{chunk} failed on worker {worker}: {cause}")

    def _report(self) -> None:
        now = time.monotonic()
        self.watcher.progress(
            Progress(
                frames_done=self.done_before + self.rendered,
                frames_total=self.total,
                rendered=self.rendered,
                elapsed_s=now - self.first_ready if self.first_ready else 0.0,
                workers=len(self.dispatcher.workers),
                retries=self.dispatcher.retries,
            )
        )

    def _given_up(self) -> str:
        lines = [f"{len(self.dispatcher.given_up)} of {self.num_missing} chunks failed for good; all others are done:"]
        for chunk, failures in sorted(self.dispatcher.given_up.items()):
            lines.append(
                f"  {chunk}: {len(failures)} attempts; the last, on worker {failures[-1].worker}: {failures[-1].cause}"
            )
        lines.append("mend the cause and run the same command again: it renders only what is missing")
        return "\n".join(lines)
