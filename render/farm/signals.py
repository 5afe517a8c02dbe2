"""Signals that ask a command to stop: Ctrl-C, SIGTERM of schedulers, SIGHUP of a terminal that is closed."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

__all__ = ["CODES", "Interrupted", "Stop", "heeded", "interruptible"]

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
CODES = tuple(128 + number for number in STOPPING)  # by the convention of shells


class Interrupted(KeyboardInterrupt):
    """A signal ends the command at once. ``text`` is what to say of it; empty where the command has nothing special."""

    def __init__(self, number: int, text: str = "") -> None:
        super().__init__(text)
        self.signal = signal.Signals(number)
        self.text = text

    @property
    def word(self) -> str:
        """What happened to the command."""
        return WORDS[self.signal]

    @property
    def exit_code(self) -> int:
        """As shells expect it."""
        return 128 + self.signal


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


def heeded() -> list[signal.Signals]:
    """The stopping signals that are not ignored: ``nohup`` has a command ignore SIGHUP, and means it."""
    return [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]


@contextlib.contextmanager
def interruptible(stop: Stop | None = None) -> Iterator[None]:
    """A block that a stopping signal leaves as Interrupted; with ``stop`` the first signal only asks to stop.

    A KeyboardInterrupt becomes one as well: Python's own of Ctrl-C, and what Ray's C code makes of ours.
    """
    arrived: list[int] = [signal.SIGINT]

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if stop is not None and not stop.requested:
            stop.request(number)
            return
        arrived.append(number)
        raise Interrupted(number)

    # without ``stop`` Ctrl-C is left to Python, and so to asyncio, which winds up its tasks
    numbers = {*heeded(), signal.SIGINT} if stop else {*heeded()} - {signal.SIGINT}
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        raise Interrupted(arrived[-1]) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
