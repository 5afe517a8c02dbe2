"""Lines and screens of the terminal: live where there is one, now and then a plain line elsewhere.

Progress goes to stderr, because stdout is for results. Measures nothing and decides nothing.
"""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.status import Status
from rich.text import Text

from render.report import countdown

__all__ = ["PLAIN_EVERY_S", "Screen", "Steps"]

PLAIN_EVERY_S = 10.0  # without a terminal one line in ten seconds: the log of a long job stays readable


class Steps:
    """Steps of a benchmark for people: what is measured now, and how long the rest will take at this pace."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._console = Console(stderr=True, highlight=False)
        self._status: Status | None = None
        self._began = time.monotonic()
        self._last_line = -PLAIN_EVERY_S

    def __enter__(self) -> Steps:
        if self._console.is_terminal:
            self._status = self._console.status(escape(self._name))
            self._status.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._status is not None:
            self._status.stop()

    def step(self, done: int, total: int, text: str) -> None:
        """``7/42  render eager bf16 batch 16  1 min 20 s left``."""
        now = time.monotonic()
        left = f"  about {countdown((now - self._began) * (total - done) / done)} left" if done > 2 else ""
        line = f"{self._name}: {done}/{total}  {text}{left}"
        if self._status is not None:
            self._status.update(escape(line))
        elif now - self._last_line >= PLAIN_EVERY_S:
            self._last_line = now
            print(line, file=sys.stderr, flush=True)


class Screen:
    """A text that is replaced by the next one; on a terminal in its place, elsewhere below it."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None

    def __enter__(self) -> Screen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, text: str) -> None:
        """The text from now on."""
        if self._live is not None:
            self._live.update(Text(text), refresh=True)
        else:
            print(text, flush=True)
