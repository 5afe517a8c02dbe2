"""A farm of one worker in the driver's own process, without Ray: for debugging, previews and tests."""

from __future__ import annotations

import traceback
from collections import deque

from render.errors import RenderError
from render.farm import ChunkDone, ChunkFailed, Message, WorkerLost, WorkerReady
from render.plan import Chunk, Plan
from render.resolve import Machine, ModelInfo
from render.spec import JobSpec
from render.worker import Worker

__all__ = ["LocalFarm"]


_FAULTS = (RuntimeError, ValueError, TypeError, OSError, ArithmeticError, LookupError, MemoryError)
"""What torch and its family raise when something breaks. An assertion is a mistake of ours and ends the driver."""


class LocalFarm:
    """``wait`` does the work: it renders the next chunk in line. A hang cannot be noticed from inside."""

    def __init__(self) -> None:
        self._started = 0
        self._workers: dict[str, Worker] = {}
        self._queue: deque[tuple[str, Chunk]] = deque()
        self._messages: deque[Message] = deque()

    def describe(self, spec: JobSpec) -> tuple[Machine, ModelInfo]:
        """This machine, and the model as found from here."""
        return Worker("local").describe(spec)

    def size(self, plan: Plan) -> int:  # noqa: ARG002 - one process is one worker, whatever was asked for
        """One."""
        return 1

    def start_worker(self, plan_json: str) -> str:
        """Load the model here and now."""
        name = f"local-{self._started}"
        self._started += 1
        self._workers[name] = Worker(name)
        try:
            self._messages.append(WorkerReady(name, self._workers[name].open(plan_json)))
        except RenderError as error:
            self._messages.append(WorkerLost(name, str(error), error=error))
        except _FAULTS as error:
            self._messages.append(WorkerLost(name, _short(error), details=traceback.format_exc()))
        return name

    def send(self, worker: str, chunk: Chunk) -> None:
        """Put a chunk in line."""
        self._queue.append((worker, chunk))

    def stop_worker(self, worker: str) -> None:
        """Forget a worker and its chunks."""
        self._workers.pop(worker, None)
        self._queue = deque(item for item in self._queue if item[0] != worker)

    def wait(self, timeout_s: float) -> list[Message]:  # noqa: ARG002 - never waits: it works instead
        """Render the next chunk, unless messages are waiting already."""
        if not self._messages and self._queue:
            worker, chunk = self._queue.popleft()
            try:
                self._messages.append(ChunkDone(worker, self._workers[worker].render(chunk)))
            except RenderError as error:
                self._messages.append(ChunkFailed(worker, chunk, str(error)))
            except _FAULTS as error:
                self._messages.append(ChunkFailed(worker, chunk, _short(error), traceback.format_exc()))
        messages = list(self._messages)
        self._messages.clear()
        return messages

    def close(self) -> None:
        """Let go of the models."""
        self._workers.clear()
        self._queue.clear()


def _short(error: Exception) -> str:
    """``RuntimeError: the first line``."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
