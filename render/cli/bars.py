"""How far the jobs of a command are: live bars on a terminal, elsewhere a plain line now and then; on stderr.

How far a job is, it hears; how long something has gone on it counts itself, so that the bars live while nobody speaks.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar as Bar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from render.cli.streams import speaks_unicode
from render.cli.terminal import PLAIN_EVERY_S
from render.errors import redacted
from render.farm.progress import Progress
from render.report import count, countdown, rate

__all__ = ["ProgressBar", "ProgressBars", "describe_progress"]

WAITING = "waiting for a worker"
SAID_AFTER_S = 2.0  # what is over sooner gets no plain line of its own
BAR_WIDTHS = (6, 40)
ECHO_WIDTH = 4  # columns left free: where ^C is echoed at the end of a full line, the line stays for good
REFRESHED_PER_S = 5.0

Clock = Callable[[], float]


class ProgressBars:
    """The jobs of a command that have not ended, and what goes on for all of them."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        """``clock`` counts seconds."""
        self._console = Console(stderr=True, highlight=False)
        self._clock = clock
        self._jobs: list[ProgressBar] = []
        self._common = _Since(clock)
        self._dots = "dots" if speaks_unicode(sys.stderr) else "line"
        self._spinner = Spinner(self._dots)
        self._live: Live | None = None
        self._over = threading.Event()

    def __enter__(self) -> ProgressBars:
        if self._console.is_interactive:
            self._live = Live(
                console=self._console,
                get_renderable=self.rows,
                refresh_per_second=REFRESHED_PER_S,
                transient=True,
            )
            self._live.start()
        else:
            threading.Thread(target=self._tick, name="progress", daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        if self._live is not None:
            self._jobs.clear()
            self._live.stop()
            self._live = None

    def job(self, name: str) -> ProgressBar:
        """The watcher of one job."""
        bar = ProgressBar(name, self._console, self._clock, plain=self._live is None, forget=self._forget)
        self._jobs.append(bar)
        return bar

    @contextlib.contextmanager
    def doing(self, text: str) -> Iterator[None]:
        """Within, that is what goes on for all jobs."""
        self._common.set(text)
        try:
            yield
        finally:
            self._common.set("")

    def rows(self) -> Group:
        """What a terminal shows just now: of more jobs than it has room for, those that workers are busy with."""
        width, height = self._console.width - ECHO_WIDTH, self._console.height
        jobs, room = list(self._jobs), max(1, height - 4)
        shown = jobs if len(jobs) <= room else sorted(jobs, key=lambda job: job.waits)[:room]
        parts: list[Spinner | Table | Text] = []
        if common := self._common.text():
            line = Text(common)
            line.truncate(max(1, width - 2), overflow="ellipsis")
            parts.append(Spinner(self._dots, line))
        if shown:
            parts.append(self._table(shown, width))
        if len(shown) < len(jobs):
            parts.append(Text(f"  and {count(len(jobs) - len(shown), 'job')} more"))
        return Group(*parts)

    def _table(self, jobs: list[ProgressBar], width: int) -> Table:
        names = min(max(cell_len(job.name) for job in jobs), width // 3)
        taken = names + 4  # with the spinner, and a space between two columns
        hushed = bool(self._common.what)  # what all wait for is said once
        words = [job.words(width - taken - BAR_WIDTHS[0], hushed=hushed) for job in jobs]
        bar = max(1, min(BAR_WIDTHS[1], width - taken - max(map(cell_len, words))))
        table = Table.grid(padding=(0, 1, 0, 0))
        for columns in (1, names, bar, max(1, width - taken - bar)):
            table.add_column(max_width=columns, no_wrap=True, overflow="ellipsis")
        for job, text in zip(jobs, words, strict=True):
            spinner = Text(" ") if job.waits else self._spinner
            total, done = job.state.frames_total, job.state.frames_done
            table.add_row(spinner, Text(job.name), Bar(total or 1, done, width=bar), Text(text))
        return table

    def _forget(self, job: ProgressBar) -> None:
        with contextlib.suppress(ValueError):
            self._jobs.remove(job)

    def _tick(self) -> None:
        """Plain lines of what takes long, also while nobody speaks."""
        said = ""
        while not self._over.wait(1.0):
            if self._common.what != said and self._common.seconds >= SAID_AFTER_S:
                said = self._common.what
                print(f"render: {said}", file=sys.stderr, flush=True)
            for job in list(self._jobs):
                job.speak()


class ProgressBar:
    """A watcher for people: a bar of its own, or a line every few seconds."""

    def __init__(
        self, name: str, console: Console, clock: Clock, *, plain: bool, forget: Callable[[ProgressBar], None]
    ) -> None:
        """``plain``: lines are wanted; ``forget`` is called when the job has ended."""
        self.name = name
        self.state = Progress(0, 0)
        self._console, self._clock, self._plain, self._forget = console, clock, plain, forget
        self._doing = _Since(clock, WAITING)
        self._lock = threading.Lock()
        self._said = ("", 0, clock())  # what the last line said went on, how many frames were done, and when

    @property
    def waits(self) -> bool:
        """Whether nobody does anything for the job."""
        return self._doing.what == WAITING

    def progress(self, progress: Progress) -> None:
        """Frames done, speed, time to go, workers, retries."""
        if progress.ended:
            self._forget(self)
            return
        self.state = progress
        idle = not (progress.workers or progress.frames_done == progress.frames_total)
        self._doing.set(progress.doing or (WAITING if idle else ""))
        self.speak()

    def notice(self, text: str) -> None:
        """A line of its own; what foreign libraries say may hold secrets."""
        self._console.print(f"{self.name}: {redacted(text)}", markup=False, emoji=False, soft_wrap=True)

    def words(self, width: int, *, hushed: bool = False) -> str:
        """How far the job is, in so many columns: what matters least is left out, and ``hushed`` that it waits."""
        doing = "" if hushed and self.waits else self._doing.text()
        return describe_progress(self.state, doing, width)

    def speak(self) -> None:
        """A plain line where one is due."""
        with self._lock:
            now, (said, frames, at) = self._clock(), self._said
            what, done = self._doing.what, self.state.frames_done
            first = done > frames and done in (self.state.frames_total, done - frames)
            fresh = what != said and self._doing.seconds >= SAID_AFTER_S
            again = now - at >= PLAIN_EVERY_S and (what, done) != (WAITING, frames)
            if self._plain and (first or fresh or again):
                self._said = (what, done, now)
                print(f"{self.name}: {self.words(sys.maxsize)}", file=sys.stderr, flush=True)


class _Since:
    """What goes on, and for how long."""

    def __init__(self, clock: Clock, what: str = "") -> None:
        self._clock, self._began, self.what = clock, clock(), what

    @property
    def seconds(self) -> float:
        """Since it goes on."""
        return self._clock() - self._began

    def set(self, what: str) -> None:
        """That from now on, or still."""
        if what != self.what:
            self.what, self._began = what, self._clock()

    def text(self) -> str:
        """``loading the model, 12 s``."""
        return f"{self.what}, {countdown(self.seconds)}" if self.what and self.seconds >= 1 else self.what


def describe_progress(progress: Progress, doing: str = "", width: int = sys.maxsize) -> str:
    """``96/288 frames  4.1 frames/s  47 s left  2 workers  1 retry``, or of it what fits into so many columns.

    ``doing`` is what goes on, where that is more than rendering.
    """
    left = progress.eta_s
    parts = [
        (0, f"{progress.frames_done:,}/{count(progress.frames_total, 'frame')}" if progress.frames_total else ""),
        (1, doing),
        (4, f"{rate(progress.frames_per_s)} frames/s" if progress.frames_per_s else ""),
        (2, f"{countdown(left)} left" if left else ""),
        (3, count(progress.workers, "worker") if progress.workers else ""),
        (5, count(progress.retries, "retry", "retries") if progress.retries else ""),
    ]
    told = [part for part in parts if part[1]]
    while len(told) > 2 and cell_len("  ".join(text for _, text in told)) > width:
        told.remove(max(told))
    return "  ".join(text for _, text in told)
