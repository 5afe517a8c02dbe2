"""A farm of one worker in the driver's own process, without Ray: for debugging, previews and tests."""

import os
import socket
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from render.errors import RenderError
from render.farm.base import (
    Answered,
    ChunkDone,
    ChunkFailed,
    Doing,
    Message,
    Refused,
    Resources,
    WorkerInfo,
    WorkerReady,
)
from render.farm.progress import Sample
from render.farm.worker import Worker
from render.plan import Chunk, Plan
from render.spec import JobSpec
from render.store import Segment

__all__ = ["LocalFarm"]


_FAULTS = (RuntimeError, ValueError, TypeError, OSError, ArithmeticError, LookupError, MemoryError)
"""What torch and its family raise when something breaks. An assertion is a mistake of ours and ends the driver."""


class LocalFarm:
    """One worker, two threads: a chunk's last pictures are encoded while the next chunk is rendered."""

    prefix = "local-"

    def __init__(self, *, trust: bool = False) -> None:
        """``trust``: the worker may load what could run code."""
        self._trust = trust
        self._workers: dict[str, Worker] = {}
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="chunk")
        self._calls: dict[Future[Any], tuple[str, Chunk | None]] = {}
        self._messages: deque[Message] = deque()

    def resources(self, spec: JobSpec, device: str) -> Resources:  # noqa: ARG002 - one process is one worker
        """Whatever this machine is."""
        return Resources(gpu=False)

    def capacity(self, resources: Resources) -> int:  # noqa: ARG002
        """One."""
        return 1

    def has_room(self, resources: Resources) -> bool:  # noqa: ARG002
        """Always."""
        return True

    def start(self, name: str, resources: Resources) -> None:  # noqa: ARG002
        """Ready at once."""
        self._workers[name] = Worker(name, trust=self._trust)
        self._messages.append(WorkerReady(name, WorkerInfo(socket.gethostname(), os.getpid())))

    def plan(self, worker: str, spec: JobSpec, before: Plan | None) -> None:
        """What is right for this machine."""
        self._call(worker, None, self._workers[worker].plan, spec, before)

    def open(self, worker: str, plan_json: str) -> None:
        """Load the plan's model."""
        self._call(worker, None, self._workers[worker].open, plan_json)

    def send(self, worker: str, chunk: Chunk) -> None:
        """Put a chunk in line."""
        self._call(worker, chunk, self._workers[worker].render, chunk)

    def stop(self, worker: str) -> None:
        """Forget a worker and its chunks; what it is rendering just now cannot be stopped, only ignored."""
        self._workers.pop(worker, None)
        for call in [call for call, (name, _) in self._calls.items() if name == worker]:
            call.cancel()
            del self._calls[call]

    def wait(self, timeout_s: float) -> list[Message]:
        """What has happened meanwhile: of two chunks that are encoded beside each other, the one sent first."""
        if self._messages:
            messages = list(self._messages)
            self._messages.clear()
            return messages
        if not self._calls:
            time.sleep(timeout_s)
            return []
        first = next(iter(self._calls))
        return [self._message(first)] if wait([first], timeout_s).done else self._doing()

    def publish(self, samples: Sequence[Sample]) -> None:
        """Nobody monitors a process that a person looks at."""

    def close(self) -> None:
        """Let go of the models; what is in line is not begun any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._workers.clear()
        self._calls.clear()

    def _doing(self) -> list[Message]:
        """What the worker does that has no chunk."""
        busy = {name for name, chunk in self._calls.values() if chunk is None}
        return [Doing(name, self._workers[name].doing()) for name in busy & self._workers.keys()]

    def _call(self, worker: str, chunk: Chunk | None, call: Callable[..., Any], *arguments: object) -> None:
        self._calls[self._threads.submit(call, *arguments)] = (worker, chunk)

    def _message(self, call: Future[Any]) -> Message:
        worker, chunk = self._calls.pop(call)
        try:
            result = call.result()
        except RenderError as error:
            return Refused(worker, str(error), error) if chunk is None else ChunkFailed(worker, chunk, str(error))
        except _FAULTS as error:
            cause, details = _short(error), "".join(traceback.format_exception(error))
            if chunk is None:
                return Refused(worker, cause, details=details)
            return ChunkFailed(worker, chunk, cause, details)
        return ChunkDone(worker, result) if isinstance(result, Segment) else Answered(worker, result)


def _short(error: Exception) -> str:
    """``RuntimeError: the first line``."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
