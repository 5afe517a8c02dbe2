"""How a farm over Ray tells what became of a worker, with Ray's answers by script: no cluster is started."""

from __future__ import annotations

import os
from collections import deque
from typing import Any

import pytest
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    ObjectLostError,
    RayError,
    RaySystemError,
    RayTaskError,
    RuntimeEnvSetupError,
)

from render.errors import FarmError
from render.farm.base import Message, Resources, WorkerInfo, WorkerLost, WorkerReady
from render.farm.ray import connection, resources
from render.farm.ray import farm as cluster
from render.farm.ray.farm import DOUBT_S, RayFarm
from render.plan import Chunk

CHUNK = Chunk(0, 4)
UNREACHABLE = ActorUnavailableError("socket closed", None)


class Anything:
    """Ray's remote class, its actor, a method and a call: whatever is asked of it, it is a new one."""

    def __getattr__(self, name: str) -> Any:
        return Anything()

    def __call__(self, *_args: Any, **_options: Any) -> Any:
        return Anything()


class ScriptedRay:
    """``ray`` and ``time`` at once: calls of actors get ``answers`` in turn, a second later."""

    def __init__(self, *answers: Any) -> None:
        self.remote = Anything()
        self.answers = deque(answers)
        self.now = 1000.0
        self.killed = 0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": "n", "Alive": True, "Resources": {"CPU": 2.0}}]

    def wait(self, calls: list[Any], *, timeout: float, **_options: Any) -> tuple[list[Any], list[Any]]:
        self.now += timeout
        return calls, []

    def get(self, _call: Any) -> Any:
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def kill(self, _actor: Any) -> None:
        self.killed += 1


def play(patch: pytest.MonkeyPatch, ray: ScriptedRay, *, ready: bool = True) -> list[Message]:
    """Start a worker, let it say hello, send a chunk; what the farm tells then."""
    patch.setattr(cluster, "ray", ray)
    patch.setattr(resources, "ray", ray)
    patch.setattr(cluster, "time", ray)
    farm = RayFarm()
    name = "w0"
    farm.start(name, Resources(gpu=False))
    if ready:
        assert farm.wait(1.0) == [WorkerReady(name, HELLO)]
        farm.send(name, CHUNK)
    messages: list[Message] = []
    while not messages:
        messages = farm.wait(0.3)
    return messages


HELLO = WorkerInfo("here", 1, "n")


def died(why: str) -> RayError:
    error = ActorDiedError()
    error.error_msg = why
    return error


def test_a_worker_out_of_reach_is_called_until_the_cluster_knows_that_its_node_died(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ray = ScriptedRay(HELLO, *[UNREACHABLE] * 9, died("The actor died because its node has died."))
    [lost] = play(monkeypatch, ray)
    assert isinstance(lost, WorkerLost)
    assert (lost.cause, lost.preempted) == ("its node died or left the cluster", True)
    assert ray.now >= 1000 + 9, "a second between two calls"


def test_a_worker_out_of_reach_whose_process_died_is_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    [lost] = play(monkeypatch, ScriptedRay(HELLO, UNREACHABLE, died("Worker unexpectedly exits.")))
    assert isinstance(lost, WorkerLost)
    assert (lost.cause, lost.preempted) == ("its process died: killed, out of memory, or crashed", False)


def test_a_worker_that_answers_again_has_forgotten_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = ScriptedRay(HELLO, UNREACHABLE, HELLO)
    assert play(monkeypatch, ray) == [WorkerLost("w0", "the connection to it was lost", preempted=True)]
    assert ray.killed == 1


def test_nobody_waits_for_ever_for_a_worker_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = ScriptedRay(HELLO, *[UNREACHABLE] * 100)
    [lost] = play(monkeypatch, ray)
    assert isinstance(lost, WorkerLost)
    assert (lost.cause, lost.preempted) == ("it could not be reached any more", True)
    assert DOUBT_S < ray.now - 1000 < DOUBT_S + 5


@pytest.mark.parametrize(
    ("error", "cause", "free"),
    [
        (ObjectLostError("0" * 56, None, ""), "its result was lost with the node that held it", True),
        (died("The actor died because its node has died."), "its node died or left the cluster", True),
        (died("Worker unexpectedly exits."), "its process died: killed, out of memory, or crashed", False),
    ],
    ids=["result lost", "node died", "process died"],
)
@pytest.mark.parametrize("ready", [True, False], ids=["rendering", "starting"])
def test_whose_fault_it_is(
    error: RayError, cause: str, free: bool, ready: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [HELLO, error] if ready else [error]
    [lost] = play(monkeypatch, ScriptedRay(*answers), ready=ready)
    assert isinstance(lost, WorkerLost)
    assert (lost.cause, lost.preempted) == (cause, free)


def test_a_worker_that_cannot_say_hello_could_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    error = RayTaskError("hello", "Traceback\nImportError: no such thing", ImportError("no such thing"))
    [lost] = play(monkeypatch, ScriptedRay(error), ready=False)
    assert isinstance(lost, WorkerLost)
    assert (lost.cause, lost.preempted) == ("ImportError: no such thing", False)


def test_a_worker_that_cannot_import_render_says_what_and_from_where(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "python on node-7 cannot import render: ModuleNotFoundError: No module named 'numpy'"
    error = RayTaskError("hello", f"Traceback\nImportError: {said}", ImportError(said, name="render"))
    [lost] = play(monkeypatch, ScriptedRay(error), ready=False)
    assert isinstance(lost, WorkerLost)
    assert (lost.cause, lost.preempted) == (said, False)
    assert "Traceback" in lost.details


@pytest.mark.parametrize(
    "error",
    [
        died(
            "The actor died because of an error raised in its creation task, ray::Entry()\nValueError: no such pickle"
        ),
        RuntimeEnvSetupError("Could not unpack\nValueError: no such pickle"),
    ],
    ids=["not made", "no environment"],
)
def test_an_actor_that_ray_cannot_make_is_not_called_killed(error: RayError, monkeypatch: pytest.MonkeyPatch) -> None:
    [lost] = play(monkeypatch, ScriptedRay(error), ready=False)
    assert isinstance(lost, WorkerLost)
    assert lost.cause == "its process could not be set up: ValueError: no such pickle"


@pytest.mark.parametrize("call", ["capacity", "wait"])
def test_a_cluster_that_is_gone_ends_the_farm(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its head died: the driver's own questions fail, not a worker."""
    ray = ScriptedRay(HELLO)
    monkeypatch.setattr(cluster, "ray", ray)
    monkeypatch.setattr(resources, "ray", ray)
    farm = RayFarm()
    farm.start("w0", Resources(gpu=False))

    def gone(*_args: Any, **_options: Any) -> Any:
        raise RaySystemError("GCS is not reachable")

    monkeypatch.setattr(ray, "nodes", gone)
    monkeypatch.setattr(ray, "wait", gone)
    monkeypatch.setattr(ray, "kill", gone)
    with pytest.raises(FarmError, match=r"the Ray cluster does not answer any more: .*GCS is not reachable"):
        farm.capacity(Resources(gpu=False)) if call == "capacity" else farm.wait(0.1)
    farm.close()


def test_a_cluster_that_lets_nobody_in_may_want_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_options: Any) -> None:
        raise ConnectionError("Failed to connect to Ray cluster at 127.0.0.1:1")

    monkeypatch.setattr("ray.init", refuse)
    monkeypatch.setattr(connection, "_on_loopback_alone", lambda _address: False)
    with pytest.raises(FarmError, match=r"cannot be joined: Failed to connect .*; does it ask for a token\? set RAY_"):
        connection.connected("127.0.0.1:1").__enter__()


@pytest.mark.parametrize(
    ("name", "encoding", "told"),
    [
        (
            os.fsdecode(b"render run caf\xe9.yaml"),
            "utf-8",
            r"'render run caf.*e9\.yaml': it is not UTF-8; rename the file",
        ),
        ("/home/jürgen/tmp/ray", "ascii", r"'/home/j.*rgen/tmp/ray': .*ASCII name; set RAY_TMPDIR"),
    ],
    ids=["command line", "TMPDIR"],
)
def test_a_name_that_ray_does_not_take_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, encoding: str, told: str
) -> None:
    def refuse(**_options: Any) -> None:
        name.encode(encoding)

    monkeypatch.setattr("ray.init", refuse)
    with pytest.raises(FarmError, match=rf"Ray does not take the name {told}.* --local"):
        connection.connected(None).__enter__()


@pytest.mark.parametrize("back_after_s", [5.0, None], ids=["starts again", "is gone"])
def test_a_head_that_is_silent_is_waited_for(back_after_s: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for ever: Ray would end the process, without a word, after a minute."""
    clock = ScriptedRay()
    monkeypatch.setattr(connection, "time", clock)
    monkeypatch.setattr(cluster, "ray", clock)
    monkeypatch.setattr(resources, "ray", clock)
    monkeypatch.setattr(
        connection, "head_answers", lambda: back_after_s is not None and clock.now >= 1000 + back_after_s
    )
    if back_after_s is not None:
        assert RayFarm().capacity(Resources(gpu=False)) == 1
    else:
        with pytest.raises(FarmError, match="the head of the Ray cluster does not answer any more"):
            RayFarm().capacity(Resources(gpu=False))
    assert clock.now - 1000 < 45
