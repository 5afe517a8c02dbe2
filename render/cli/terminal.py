"""Bars, lines and screens of the terminal: live where there is one, now and then a plain line elsewhere.

Progress goes to stderr, because stdout is for results. Measures nothing and decides nothing.
"""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bar
from rich.status import Status
from rich.text import Text

from render.cli.streams import speaks_unicode
from render.errors import redacted
from render.farm.progress import Progress
from render.report import count, duration

__all__ = ["ProgressBar", "ProgressBars", "Screen", "Steps", "describe_progress"]

PLAIN_EVERY_S = 10.0  # without a terminal one line in ten seconds: the log of a long job stays readable


class ProgressBars:
    """Live bars for all jobs of a command on a terminal, plain lines elsewhere; on stderr: stdout is for results."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bars: Bar | None = None

    def __enter__(self) -> ProgressBars:
        if self._console.is_terminal:
            columns = (
                SpinnerColumn("dots" if speaks_unicode(sys.stderr) else "line"),
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[text]}"),
            )
            self._bars = Bar(*columns, console=self._console, transient=True)
            self._bars.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def job(self, name: str) -> ProgressBar:
        """The watcher of one job."""
        return ProgressBar(name, self._console, self._bars)


class ProgressBar:
    """A watcher for people: a bar of its own, or a line every few seconds."""

    def __init__(self, name: str, console: Console, bars: Bar | None) -> None:
        self._name = name
        self._console = console
        self._bars = bars
        self._task = bars.add_task(escape(name), total=None, text="starting") if bars else None
        self._last_line = 0.0

    def progress(self, progress: Progress) -> None:
        """Frames done, speed, time to go, workers, retries."""
        text = describe_progress(progress)
        if self._bars is not None and self._task is not None:
            total, done = progress.frames_total, progress.frames_done
            self._bars.update(self._task, total=total, completed=done, text=text)
        elif time.monotonic() - self._last_line >= PLAIN_EVERY_S or progress.frames_done == progress.frames_total:
            self._last_line = time.monotonic()
            print(f"{self._name}: {text}", file=sys.stderr, flush=True)

    def notice(self, text: str) -> None:
        """A line of its own; what foreign libraries say may hold secrets."""
        self._console.print(f"{self._name}: {redacted(text)}", markup=False, emoji=False, soft_wrap=True)


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
        left = f"  about {duration((now - self._began) * (total - done) / done)} left" if done > 2 else ""
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


def describe_progress(progress: Progress) -> str:
    """``96/288 frames  4.1 frames/s  0:47 left  2 workers  1 retry``."""
    parts = [f"{progress.frames_done}/{progress.frames_total} frames"]
    if progress.rendered:
        parts.append(f"{progress.frames_per_s:.2f} frames/s")
    if progress.eta_s:
        parts.append(f"{duration(progress.eta_s)} left")
    idle = "loading the model" if progress.opening else "waiting for a worker"
    if progress.workers or progress.frames_done < progress.frames_total:
        parts.append(count(progress.workers, "worker") if progress.workers else idle)
    if progress.retries:
        parts.append(count(progress.retries, "retry", "retries"))
    return "  ".join(parts)
