"""A farm of as many workers as one likes, on a clock that only the farm moves: what the driver itself costs."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Sequence

from render.farm.base import Answered, ChunkDone, Message, Opened, Resources, WorkerInfo, WorkerReady
from render.farm.client import Client
from render.farm.driver import Driver
from render.farm.progress import Sample, Silent
from render.farm.runner import JobThread, run_together
from render.plan import Chunk, Plan
from render.spec import JobSpec
from render.store import Record, Segment


class SimulatedFarm:
    """Workers that take ``seconds(worker, chunk)`` of the farm's own time for a chunk and never fail."""

    prefix = "w"

    def __init__(self, workers: int, seconds: Callable[[int, Chunk], float], digest: str) -> None:
        self.now = 1000.0
        self.rendered = self.committed = 0
        self.began = self.ended = 0.0  # of rendering, by the farm's clock
        self._workers, self._seconds, self._digest = workers, seconds, digest
        self._queues: dict[str, deque[Chunk]] = {}
        self._messages: deque[Message] = deque()
        self._due: list[tuple[float, str]] = []

    def monotonic(self) -> float:
        """The farm's clock."""
        return self.now

    def resources(self, spec: JobSpec, device: str) -> Resources:
        """All workers are alike to the driver."""
        return Resources(gpu=True)

    def capacity(self, resources: Resources) -> int:
        """As many as were asked for."""
        return self._workers

    def start(self, name: str, resources: Resources) -> None:
        """Ready at once."""
        self._queues[name] = deque()
        self._messages.append(WorkerReady(name, WorkerInfo("here", 1)))

    def plan(self, worker: str, spec: JobSpec, before: Plan | None) -> None:
        """The plan is there already."""
        raise NotImplementedError

    def open(self, worker: str, plan_json: str) -> None:
        """Open at once."""
        self._messages.append(Answered(worker, Opened((), 0.0)))

    def send(self, worker: str, chunk: Chunk) -> None:
        """Queue a chunk; the first one begins now."""
        self.began = self.began or self.now
        queue = self._queues[worker]
        queue.append(chunk)
        if len(queue) == 1:
            self._begin(worker)

    def _begin(self, worker: str) -> None:
        number = int(worker[1:])
        heapq.heappush(self._due, (self.now + self._seconds(number, self._queues[worker][0]), worker))

    def stop(self, worker: str) -> None:
        """Never has to."""
        raise NotImplementedError

    def wait(self, timeout_s: float) -> list[Message]:
        """What happens next, and everything that happens at the same time."""
        while self.committed < self.rendered:  # the job's thread keeps real time, the farm does not
            time.sleep(0)
        if self._messages:
            messages = list(self._messages)
            self._messages.clear()
            return messages
        if not self._due or self._due[0][0] > self.now + timeout_s:
            self.now += timeout_s
            return []
        self.now = self._due[0][0]
        done: list[Message] = []
        while self._due and self._due[0][0] <= self.now:
            _, worker = heapq.heappop(self._due)
            queue = self._queues[worker]
            done.append(ChunkDone(worker, self._segment(worker, queue.popleft())))
            if queue:
                self._begin(worker)
        self.rendered += len(done)
        self.ended = self.now
        return done

    def has_room(self, resources: Resources) -> bool:
        """Never asked: nothing starts slowly here."""
        return True

    def publish(self, samples: Sequence[Sample]) -> None:
        """Nobody listens."""

    def close(self) -> None:
        """Nothing to let go of."""

    def _segment(self, worker: str, chunk: Chunk) -> Segment:
        record = Record(
            digest=self._digest,
            chunk=chunk,
            pictures=("0" * 64,) * len(chunk.frames),
            file=f"segments/{chunk.name}.mp4",
            bytes=4,
            sha256="",
            stills=None,
            stills_bytes={},
            worker=worker,
            device="none",
            began=0.0,
            ended=0.0,
            timings_s={},
            versions={},
            sampler_table="",
        )
        return Segment(record, b"data")


def dispatch(plan: Plan, farm: SimulatedFarm, look: Callable[[int], None] = lambda _done: None) -> float:
    """Drive a plan's chunks over the farm; returns seconds of this process. ``look`` hears how many chunks are done."""
    driver = Driver(lambda: farm, clock=farm.monotonic)
    client = driver.client(Silent())
    teller = JobThread(lambda: _tell(client, plan, farm, look), client)
    began = time.process_time()
    run_together(driver, [teller])
    return time.process_time() - began


def _tell(client: Client, plan: Plan, farm: SimulatedFarm, look: Callable[[int], None]) -> int:
    """A job whose disk costs nothing."""
    for item in client.render(plan, plan.chunks, 0):
        if isinstance(item, Segment):
            client.committed(len(item.record.chunk.frames), item.size)
            farm.committed += 1
            look(farm.committed)
    return farm.committed
