"""The farm without Ray keeps the promises of ``farm.py``."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from render.errors import EngineError, ModelError
from render.farm import ChunkDone, ChunkFailed, Farm, WorkerLost, WorkerReady
from render.local import LocalFarm
from render.plan import Chunk, Plan
from render.worker import Opened, Worker

Make = Callable[..., Plan]


@pytest.fixture
def farm() -> Iterator[LocalFarm]:
    with closing(LocalFarm()) as farm:
        yield farm


def test_one_worker_whatever_was_asked_for(farm: Farm, plan_of: Make) -> None:
    spec = plan_of("farm.workers=8").spec
    assert farm.size(spec) == 1
    machine, model = farm.describe(spec)
    assert (machine.device, model.family) == ("cpu", "testcard")


def test_chunks_come_back_in_the_order_they_were_sent(farm: Farm, plan_of: Make) -> None:
    plan = plan_of()
    worker = farm.start_worker(plan.to_json())
    assert farm.wait(0) == [WorkerReady(worker, Opened(socket.gethostname(), os.getpid(), ()))]
    farm.send(worker, plan.chunks[1])
    farm.send(worker, plan.chunks[0])
    for chunk in (plan.chunks[1], plan.chunks[0]):
        [message] = farm.wait(30)
        assert isinstance(message, ChunkDone)
        assert (message.worker, message.segment.record.chunk) == (worker, chunk)
    assert farm.wait(0) == []


def test_a_stopped_worker_sends_nothing(farm: Farm, plan_of: Make) -> None:
    plan = plan_of()
    first, second = farm.start_worker(plan.to_json()), farm.start_worker(plan.to_json())
    assert first != second
    farm.wait(0)
    farm.send(first, plan.chunks[0])
    farm.send(second, plan.chunks[1])
    farm.stop_worker(first)
    [message] = farm.wait(30)
    assert message.worker == second


def test_errors_become_messages(farm: Farm, plan_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_worker: Worker, _chunk: Chunk) -> None:
        raise EngineError("out of memory")

    worker = farm.start_worker(plan_of().to_json())
    farm.wait(0)
    monkeypatch.setattr(Worker, "render", fail)
    farm.send(worker, Chunk(0, 4))
    assert farm.wait(30) == [ChunkFailed(worker, Chunk(0, 4), "out of memory")]


def test_a_worker_that_cannot_open_the_plan_is_lost(farm: Farm, plan_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    error = ModelError("no weights")

    def fail(_worker: Worker, _plan: str) -> None:
        raise error

    monkeypatch.setattr(Worker, "open", fail)
    worker = farm.start_worker(plan_of().to_json())
    assert farm.wait(0) == [WorkerLost(worker, "no weights", error=error)]
