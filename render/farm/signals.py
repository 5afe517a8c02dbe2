"""Signals that ask a command to stop: Ctrl-C, SIGTERM of schedulers, SIGHUP of a terminal that is closed."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

__all__ = ["CODES", "Stop", "draining", "ending", "heeded", "interrupting"]


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}


CODES = tuple(128 + number for number in STOPPING)  # as shells tell them


_arrived: list[int] = []  # on the way through Ray's C code an exception of our own gets lost


def heeded() -> list[signal.Signals]:
    """The stopping signals that are not ignored: ``nohup`` has a command ignore SIGHUP, and means it."""
    return [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]


def interrupting() -> None:
    """From now on SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does."""
    _arrived.clear()
    for number in heeded():
        if number != signal.SIGINT:
            signal.signal(number, _interrupt)


def ending() -> tuple[str, int]:
    """Of the signal that interrupted the command: a word for it, and the exit code."""
    number = signal.Signals(_arrived[-1]) if _arrived else signal.SIGINT
    return WORDS[number], 128 + number


@contextlib.contextmanager
def draining(stop: Stop) -> Iterator[None]:
    """Within, the first signal asks to stop, the second one stops at once."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            _interrupt(number, frame)
        stop.request(number)

    before = {number: signal.signal(number, on_signal) for number in {signal.SIGINT, *heeded()}}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    _arrived.append(number)
    raise KeyboardInterrupt


class Stop:
    """Set once; which signal asked decides the exit code."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def request(self, signal: int) -> None:
        """Stop because of this signal."""
        self.signal = signal

    @property
    def requested(self) -> bool:
        """Whether somebody has asked."""
        return self.signal is not None
