"""The farm without Ray keeps the promises of ``base.py``."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from render.errors import EngineError, ModelError
from render.farm.base import (
    Answered,
    ChunkDone,
    ChunkFailed,
    Opened,
    Refused,
    Resources,
    WorkerInfo,
    WorkerReady,
)
from render.farm.local import LocalFarm
from render.farm.worker import Worker
from render.plan import Chunk, Plan

Make = Callable[..., Plan]


@pytest.fixture
def farm() -> Iterator[LocalFarm]:
    with closing(LocalFarm()) as farm:
        yield farm


def ready(farm: LocalFarm, plan: Plan | None = None, worker: str = "local-0") -> str:
    """A worker, with the plan open."""
    farm.start(worker, Resources(gpu=False))
    assert farm.wait(0) == [WorkerReady(worker, WorkerInfo(socket.gethostname(), os.getpid()))]
    if plan is not None:
        farm.open(worker, plan.to_json())
        [message] = farm.wait(30)
        assert isinstance(message, Answered)
        assert isinstance(message.answer, Opened)
    return worker


def test_one_worker_whatever_was_asked_for(farm: LocalFarm, plan_of: Make) -> None:
    spec = plan_of("farm.workers=8").spec
    assert farm.capacity(farm.resources(spec, "auto")) == 1
    farm.plan(ready(farm), spec, None)
    [message] = farm.wait(30)
    assert isinstance(message, Answered)
    assert isinstance(message.answer, Plan)
    assert (message.answer.settings.device, message.answer.model.family) == ("cpu", "testcard")


def test_chunks_come_back_in_the_order_they_were_sent(farm: LocalFarm, plan_of: Make) -> None:
    plan = plan_of()
    worker = ready(farm, plan)
    farm.send(worker, plan.chunks[1])
    farm.send(worker, plan.chunks[0])
    for chunk in (plan.chunks[1], plan.chunks[0]):
        [message] = farm.wait(30)
        assert isinstance(message, ChunkDone)
        assert (message.worker, message.segment.record.chunk) == (worker, chunk)
    assert farm.wait(0) == []


def test_a_worker_goes_from_plan_to_plan(farm: LocalFarm, plan_of: Make) -> None:
    worker = ready(farm)
    for plan in (plan_of(), plan_of("frames=8", "size=64x64"), plan_of()):
        farm.open(worker, plan.to_json())
        farm.wait(30)
        farm.send(worker, plan.chunks[-1])
        [message] = farm.wait(30)
        assert isinstance(message, ChunkDone)
        assert message.segment.record.digest == plan.digest


def test_a_stopped_worker_sends_nothing(farm: LocalFarm, plan_of: Make) -> None:
    plan = plan_of()
    first, second = ready(farm, plan), ready(farm, plan, "local-1")
    assert first != second
    farm.send(first, plan.chunks[0])
    farm.send(second, plan.chunks[1])
    farm.stop(first)
    [message] = farm.wait(30)
    assert message.worker == second


def test_errors_become_messages(farm: LocalFarm, plan_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_worker: Worker, _chunk: Chunk) -> None:
        raise EngineError("out of memory")

    worker = ready(farm, plan_of())
    monkeypatch.setattr(Worker, "render", fail)
    farm.send(worker, Chunk(0, 4))
    assert farm.wait(30) == [ChunkFailed(worker, Chunk(0, 4), "out of memory")]


@pytest.mark.parametrize("error", [ModelError("no weights"), RuntimeError("no kernel\nimage")])
def test_a_plan_that_cannot_be_opened_is_refused(
    error: Exception, farm: LocalFarm, plan_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_worker: Worker, _plan: str) -> None:
        raise error

    monkeypatch.setattr(Worker, "open", fail)
    worker = ready(farm)
    farm.open(worker, plan_of().to_json())
    [message] = farm.wait(30)
    assert isinstance(message, Refused)
    ours = isinstance(error, ModelError)
    assert (message.cause, message.error) == (("no weights", error) if ours else ("RuntimeError: no kernel", None))
    assert ("Traceback" in message.details) != ours
