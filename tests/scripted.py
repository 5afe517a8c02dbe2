"""A farm that fails by script, on a clock that only the farm moves, and a stage to play jobs on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from render.errors import ModelError
from render.farm.base import (
    Answered,
    ChunkDone,
    ChunkFailed,
    Message,
    Opened,
    Refused,
    Resources,
    WorkerInfo,
    WorkerLost,
    WorkerReady,
)
from render.farm.driver import Driver
from render.farm.job import commit
from render.farm.progress import Sample
from render.farm.run_log import RunLog
from render.farm.runner import JobThread, run_together
from render.farm.signals import Stop
from render.plan import Chunk, Plan
from render.spec import JobSpec
from render.store import Note, Record, RunDir, Segment

Script = Callable[[str, Chunk], str]

BEGINNING = 1000.0


class ScriptedFarm:
    """Workers that do what ``script(worker, chunk)`` says: done, fail, die, preempt or hang. A chunk takes a second.

    ``starts`` says what comes of a worker before its first chunk: ready (unless it says else); lost, preempt or hang
    while it starts; refused, broken or killed while it opens the plan.
    """

    prefix = "w"

    def __init__(self, workers: int, script: Script, starts: dict[str, str] | None = None) -> None:
        self.now = BEGINNING
        self.workers, self.script, self.starts = workers, script, starts or {}
        self.started: list[str] = []
        self.stopped: list[str] = []
        self.executed: list[tuple[str, Chunk]] = []
        self.notes: tuple[Note, ...] = ()
        self.warnings: tuple[str, ...] = ()
        self._queues: dict[str, deque[Chunk]] = {}
        self._messages: deque[Message] = deque()
        self._digests: dict[str, str] = {}
        self.opened: list[tuple[str, str]] = []
        self.done: list[str] = []
        self.samples: list[Sample] = []

    def monotonic(self) -> float:
        return self.now

    def resources(self, spec: JobSpec, device: str) -> Resources:
        return Resources(gpu=False)

    def capacity(self, resources: Resources) -> int:
        return self.workers

    def plan(self, worker: str, spec: JobSpec, before: Plan | None) -> None:
        raise AssertionError("the plan is there already")

    def has_room(self, resources: Resources) -> bool:
        return True

    def start(self, name: str, resources: Resources) -> None:
        self.started.append(name)
        match self._fate(name):
            case "lost":
                self._messages.append(WorkerLost(name, "no such device"))
            case "preempt":
                self._messages.append(WorkerLost(name, "node is gone", preempted=True))
            case "hang":
                pass
            case _:
                self._queues[name] = deque()
                self._messages.append(WorkerReady(name, WorkerInfo("here", 1)))

    def open(self, worker: str, plan_json: str) -> None:
        self._digests[worker] = Plan.from_json(plan_json).digest
        self.opened.append((worker, self._digests[worker]))
        match self._fate(worker):
            case "refused":
                self._messages.append(Refused(worker, "no such model", ModelError("no such model")))
            case "broken":
                self._messages.append(Refused(worker, "RuntimeError: no kernel image", details="Traceback"))
            case "killed":
                self._messages.append(WorkerLost(worker, "killed"))
            case _:
                self._messages.append(Answered(worker, Opened(self.warnings, 0.5)))

    def _fate(self, name: str) -> str:
        return self.starts.get(name, self.starts.get("all", "ready"))

    def send(self, worker: str, chunk: Chunk) -> None:
        self._queues[worker].append(chunk)

    def stop(self, worker: str) -> None:
        self.stopped.append(worker)
        self._queues.pop(worker, None)

    def wait(self, timeout_s: float) -> list[Message]:
        if not self._messages:
            self.now += timeout_s
            for name in list(self._queues):
                self._work(name)
        messages = list(self._messages)
        self._messages.clear()
        return messages

    def publish(self, samples: Sequence[Sample]) -> None:
        self.samples += samples

    def close(self) -> None:
        self._queues.clear()

    def _work(self, name: str) -> None:
        if not self._queues[name]:
            return
        chunk = self._queues[name][0]
        deed = self.script(name, chunk)
        if deed == "hang":
            return
        self.executed.append((name, chunk))
        self._queues[name].popleft()
        match deed:
            case "done":
                self.done.append(self._digests[name])
                self._messages.append(ChunkDone(name, self._segment(name, chunk)))
            case "fail":
                self._messages.append(ChunkFailed(name, chunk, "out of luck"))
            case "die":
                del self._queues[name]
                self._messages.append(WorkerLost(name, "killed"))
            case "preempt":
                del self._queues[name]
                self._messages.append(WorkerLost(name, "node is gone", preempted=True))

    def _segment(self, name: str, chunk: Chunk) -> Segment:
        record = Record(
            digest=self._digests[name],
            chunk=chunk,
            pictures=("0" * 64,) * len(chunk.frames),
            file=f"segments/{chunk.name}.mp4",
            bytes=4,
            sha256="",
            stills=None,
            stills_bytes={},
            worker=name,
            device="cpu",
            began=self.now - 1,
            ended=self.now,
            timings_s={},
            versions={},
            sampler_table="",
            notes=self.notes,
        )
        return Segment(record, b"data")


def play(
    farm: ScriptedFarm,
    jobs: list[tuple[Plan, tuple[Chunk, ...], RunDir, Any]],
    patch: pytest.MonkeyPatch,
    *,
    done_before: int = 0,
    stop: Stop | None = None,
) -> list[int | Exception]:
    """Drive jobs (plan, missing chunks, run directory, watcher) over the farm's own clock; what became of each."""
    patch.setattr("os.fsync", lambda _descriptor: None)
    driver, tellers = Driver(lambda: farm, stop, clock=farm.monotonic), []
    for plan, missing, rundir, watcher in jobs:
        client = driver.client(watcher, plan.spec.farm.priority)

        def tell(client: Any = client, plan: Plan = plan, missing: Any = missing, rundir: RunDir = rundir) -> int:
            log = RunLog(rundir, BEGINNING)
            client.log_into(log.append)
            for segment in client.render(plan, missing, done_before):
                commit(segment, rundir, client, log)
            return sum(len(chunk.frames) for chunk in missing)

        tellers.append(JobThread(tell, client))
    return run_together(driver, tellers)


def all_done(_worker: str, _chunk: Chunk) -> str:
    return "done"


def on(worker: str | None, start: int | None, deed: str) -> Script:
    """``deed`` where worker and chunk are the named ones (None: any), else done."""
    return lambda name, chunk: deed if worker in (None, name) and start in (None, chunk.start) else "done"
