"""How far jobs are, for people: bars on a terminal, plain lines where there is none, always what goes on."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from render.cli.bars import ECHO_WIDTH, ProgressBars, describe_progress
from render.farm.progress import Progress


def progress(done: int, **changes: Any) -> Progress:
    return Progress(**{"frames_done": done, "frames_total": 96, "workers": 2} | changes)


HALF = progress(48, frames_per_s=4.0, eta_s=12.3)


@pytest.mark.parametrize(
    ("shown", "doing", "text"),
    [
        (progress(0, workers=0, frames_total=0), "planning, 3 s", "planning, 3 s"),
        (progress(0, workers=0), "waiting for a worker", "0/96 frames  waiting for a worker"),
        (progress(48, workers=0), "loading the model, 4 s", "48/96 frames  loading the model, 4 s"),
        (HALF, "", "48/96 frames  4 frames/s  12 s left  2 workers"),
        (progress(48, frames_per_s=0.25, eta_s=0.2, workers=1), "", "48/96 frames  0.25 frames/s  1 s left  1 worker"),
        (progress(1, frames_total=1, workers=1, retries=2, eta_s=0.0), "", "1/1 frame  1 worker  2 retries"),
        (progress(48, eta_s=7.0), "stopping, 1 s", "48/96 frames  stopping, 1 s  7 s left  2 workers"),
    ],
    ids=["nothing is known", "waiting", "resumed", "half way", "slow", "done", "stopping"],
)  # fmt: skip
def test_progress(shown: Progress, doing: str, text: str) -> None:
    assert describe_progress(shown, doing) == text


def test_what_matters_least_is_left_out_first() -> None:
    shown = progress(48, frames_per_s=4.0, eta_s=3900.0, retries=1)
    texts = [describe_progress(shown, "", width) for width in (70, 55, 45, 40, 29, 5)]
    assert texts == [
        "48/96 frames  4 frames/s  1 h 05 min left  2 workers  1 retry",
        "48/96 frames  4 frames/s  1 h 05 min left  2 workers",
        "48/96 frames  1 h 05 min left  2 workers",
        "48/96 frames  1 h 05 min left  2 workers",
        "48/96 frames  1 h 05 min left",
        "48/96 frames  1 h 05 min left",
    ]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """Bars on a terminal of some size, on a clock that only the test moves."""

    def __init__(self, width: int, height: int = 24) -> None:
        self.clock = Clock()
        self.bars = ProgressBars(self.clock)
        self.console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None)
        self.bars._console = self.console

    def lines(self) -> list[str]:
        with self.console.capture() as capture:
            self.console.print(self.bars.rows())
        return [line.rstrip() for line in capture.get().splitlines()]


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_rows_fit_the_terminal_with_room_for_an_echo(width: int) -> None:
    """A terminal writes ^C at the end of the last row; where that is full, rows stay behind for good."""
    stage = Stage(width)
    jobs = [stage.bars.job(name) for name in ("evening.yaml", "a-long-name-of-a-job-" * 4, "日本語" * 20)]
    for job in jobs:
        job.progress(progress(48, frames_per_s=4.0, eta_s=3900.0, retries=1))
    jobs[0].progress(progress(48, doing="measuring the best batch of a model with a name " * 3))
    with stage.bars.doing("joining the Ray cluster at somewhere"):
        lines = stage.lines()
    assert len(lines) == 1 + len(jobs)
    assert max(map(cell_len, lines)) <= width - ECHO_WIDTH
    if width >= 80:
        assert all("48/96 frames" in line for line in lines[1:])


def test_every_second_says_what_goes_on_and_for_how_long() -> None:
    stage = Stage(80)
    said = []
    with stage.bars.doing("starting Ray"):
        job = stage.bars.job("evening.yaml")
        job.progress(Progress(24, 96))
        for stage.clock.now in (100.0, 100.5, 101.0, 112.0):
            said.append(stage.lines()[0][2:])
    assert said == ["starting Ray", "starting Ray", "starting Ray, 1 s", "starting Ray, 12 s"]
    assert stage.lines()[0].endswith("24/96 frames  waiting for a worker, 12 s"), "the frames of the runs before count"
    job.progress(Progress(24, 96, doing="planning"))
    stage.clock.now += 3
    job.progress(Progress(24, 96, doing="planning"))
    assert stage.lines()[0].endswith("24/96 frames  planning, 3 s")
    job.progress(progress(96, eta_s=0.0))
    assert stage.lines()[0].endswith("96/96 frames  2 workers")


def test_a_job_that_is_only_kept_is_not_said_to_wait() -> None:
    stage = Stage(80)
    job = stage.bars.job("evening.yaml")
    job.progress(progress(8, workers=0, doing="keeping what is done"))
    assert not job.waits
    stage.clock.now += 12
    assert stage.lines()[0].endswith("8/96 frames  keeping what is done, 12 s")


def test_a_job_that_ended_leaves_no_bar() -> None:
    stage = Stage(80)
    jobs = [stage.bars.job(f"{name}.yaml") for name in "ab"]
    jobs[0].progress(HALF)
    for _ in range(2):
        jobs[0].progress(progress(48, ended=True))
    assert [line.split()[0] for line in stage.lines()] == ["b.yaml"]


def test_of_many_jobs_those_are_shown_that_are_rendered() -> None:
    stage = Stage(80, height=10)
    for number in range(20):
        job = stage.bars.job(f"{number}.yaml")
        job.progress(HALF if number > 15 else progress(0, workers=0))
    lines = stage.lines()
    assert len(lines) <= 8, "what does not fit would be cut off without a word"
    assert [line.split()[1] for line in lines[:4]] == ["16.yaml", "17.yaml", "18.yaml", "19.yaml"]
    assert lines[-1] == "  and 14 jobs more"


def test_a_log_gets_a_line_now_and_then(capfd: pytest.CaptureFixture[str]) -> None:
    with ProgressBars() as bars:
        job = bars.job("job.yaml")
        for done in (1, 2, 3, 96):
            job.progress(progress(done))
    out, err = capfd.readouterr()
    assert (out, [line.split()[1] for line in err.splitlines()]) == ("", ["1/96", "96/96"])


def test_a_log_hears_what_takes_long(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    job = ProgressBars(clock).job("job.yaml")
    said = []
    for at, doing in ((0, "planning"), (2, "planning"), (3, "loading"), (4, "compiling"), (30, "compiling")):
        clock.now = 100.0 + at
        job.progress(progress(0, workers=0, doing=doing))
        clock.now += 2.5 if doing == "compiling" else 0.0
        job.speak()
        said.append(capfd.readouterr().err.rpartition("  ")[2].strip())
    assert said == ["", "planning, 2 s", "", "compiling, 2 s", "compiling, 26 s"]


def test_a_log_is_not_told_over_and_over_that_a_job_waits(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    job = ProgressBars(clock).job("job.yaml")
    for clock.now in range(100, 200):
        job.progress(progress(0, workers=0))
    assert capfd.readouterr().err == "job.yaml: 0/96 frames  waiting for a worker, 2 s\n"


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with ProgressBars() as bars:
        bars.job("job.yaml").progress(HALF)
    assert capfd.readouterr().err == "job.yaml: 48/96 frames  4 frames/s  12 s left  2 workers\n"


def test_lines_come_while_nobody_speaks(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("render.cli.bars.SAID_AFTER_S", 0.5)
    with ProgressBars() as bars, bars.doing("starting Ray"):
        until = time.monotonic() + 20
        err = ""
        while not err and time.monotonic() < until:
            time.sleep(0.1)
            err = capfd.readouterr().err
    assert err == "render: starting Ray\n"


@pytest.mark.parametrize("text", ["x" * 300, "[bold]not markup[/bold]", ":warning: no emoji", "C:\\[a]"])
def test_notices_are_told_as_they_are(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    with ProgressBars() as bars:
        bars.job("job[1].yaml").notice(text)
    assert capfd.readouterr().err == f"job[1].yaml: {text}\n"
