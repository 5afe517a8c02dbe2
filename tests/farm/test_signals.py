"""Signals that ask to stop, wherever they catch the command."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Any

import pytest

from render.errors import StoppedError
from render.farm.ray import connection
from render.farm.ray.connection import connected
from render.farm.signals import STOPPING, Interrupted, Stop, interruptible


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """As they were."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_while_ray_starts_stops_the_jobs(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray is not left half started, and nobody goes on as if it stood."""

    class Starting:
        stood = 0

        def is_initialized(self) -> bool:
            return False

        def init(self, **_options: Any) -> None:
            os.kill(os.getpid(), number)
            self.stood += 1

        def shutdown(self) -> None:
            self.stood -= 1

    ray, stop = Starting(), Stop()
    monkeypatch.setattr(connection, "ray", ray)
    with (
        interruptible(),
        interruptible(stop),
        pytest.raises(StoppedError, match="the same command goes on"),
        connected(None),
    ):
        pytest.fail("there is no Ray")
    assert (stop.signal, ray.stood) == (number, 0)


@pytest.mark.parametrize("number", STOPPING)
def test_the_second_signal_stops_at_once(number: signal.Signals) -> None:
    stop = Stop()
    with interruptible(), interruptible(stop):
        os.kill(os.getpid(), number)
        assert stop.signal == number
        with pytest.raises(Interrupted) as caught:
            os.kill(os.getpid(), number)
    assert caught.value.exit_code == 128 + number


@pytest.mark.parametrize("number", STOPPING)
@pytest.mark.parametrize("drained", [False, True], ids=["at work", "draining"])
def test_which_signal_it_was_is_known_whatever_it_came_through(number: signal.Signals, drained: bool) -> None:
    """Ray's C code raises a KeyboardInterrupt of its own in place of ours."""
    stop = Stop()
    stop.request(signal.SIGINT)

    def through_ray() -> None:
        with interruptible(), interruptible(stop) if drained else nullcontext():
            with suppress(KeyboardInterrupt):
                os.kill(os.getpid(), number)
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        through_ray()
    assert (caught.value.signal, caught.value.exit_code) == (number, 128 + number)


def test_handlers_are_given_back() -> None:
    before = [signal.getsignal(number) for number in STOPPING]
    with suppress(Interrupted), interruptible(), interruptible(Stop()):
        raise KeyboardInterrupt
    assert [signal.getsignal(number) for number in STOPPING] == before


def test_nohup_is_heeded() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = Stop()
    with interruptible(), interruptible(stop):
        os.kill(os.getpid(), signal.SIGHUP)
    assert not stop.requested
