"""A farm of one worker in the driver's own process, without Ray: for debugging, previews and tests."""

from __future__ import annotations

import traceback
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from render.errors import RenderError
from render.farm import ChunkDone, ChunkFailed, Message, WorkerLost, WorkerReady
from render.plan import Chunk, Plan
from render.record import Segment
from render.resolve import Machine, ModelInfo, Saturation
from render.spec import JobSpec
from render.worker import Worker

__all__ = ["LocalFarm"]


_FAULTS = (RuntimeError, ValueError, TypeError, OSError, ArithmeticError, LookupError, MemoryError)
"""What torch and its family raise when something breaks. An assertion is a mistake of ours and ends the driver."""


class LocalFarm:
    """One worker, two threads: a chunk's last pictures are encoded while the next chunk is rendered."""

    def __init__(self) -> None:
        self._started = 0
        self._workers: dict[str, Worker] = {}
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="chunk")
        self._calls: dict[Future[Segment], tuple[str, Chunk]] = {}
        self._messages: deque[Message] = deque()

    def describe(self, spec: JobSpec) -> tuple[Machine, ModelInfo]:
        """This machine, and the model as found from here."""
        return Worker("local").describe(spec)

    def measure(self, plan_json: str) -> Saturation:
        """This machine's curve."""
        return Worker("local").measure(plan_json)

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
        self._calls[self._threads.submit(self._workers[worker].render, chunk)] = (worker, chunk)

    def stop_worker(self, worker: str) -> None:
        """Forget a worker and its chunks; what it is rendering just now cannot be stopped, only ignored."""
        self._workers.pop(worker, None)
        for call in [call for call, (name, _) in self._calls.items() if name == worker]:
            call.cancel()
            del self._calls[call]

    def wait(self, timeout_s: float) -> list[Message]:
        """What has been rendered meanwhile."""
        if not self._messages and self._calls:
            done = wait(self._calls, timeout_s, FIRST_COMPLETED).done
            first = next((call for call in self._calls if call in done), None)
            return [] if first is None else [self._message(first)]
        messages = list(self._messages)
        self._messages.clear()
        return messages

    def _message(self, call: Future[Segment]) -> Message:
        worker, chunk = self._calls.pop(call)
        try:
            return ChunkDone(worker, call.result())
        except RenderError as error:
            return ChunkFailed(worker, chunk, str(error))
        except _FAULTS as error:
            return ChunkFailed(worker, chunk, _short(error), "".join(traceback.format_exception(error)))

    def close(self) -> None:
        """Let go of the models; what is in line is not begun any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._workers.clear()
        self._calls.clear()


def _short(error: Exception) -> str:
    """``RuntimeError: the first line``."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
