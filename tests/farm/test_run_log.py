"""The log of one run: when it began, what happened, and what ended it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from render.errors import LockedError, StoppedError, StoreError, VideoError
from render.farm.requests import Logged
from render.farm.run_log import OtherPlanError, RunLog
from render.store import Event, RunDir


@pytest.fixture
def rundir(tmp_path: Path) -> RunDir:
    rundir = RunDir(tmp_path)
    rundir.create()
    return rundir


def test_the_first_line_says_when_the_run_began(rundir: RunDir) -> None:
    log = RunLog(rundir, 100.0)
    assert rundir.events() == []
    log.append(Logged(Event.SENT, {"chunk": "000000-000004"}, time=105.0))
    log.write(Event.DRAINING)
    events = rundir.events()
    assert [line.event for line in events] == ["run-started", "sent", "draining"]
    assert [line.time for line in events[:2]] == [100.0, 105.0]
    assert events[1].chunk == "000000-000004"


@pytest.mark.parametrize(
    ("error", "event", "cause", "details"),
    [
        (VideoError("no disk\nchunk 1\nchunk 2"), "run-failed", "no disk", "chunk 1"),
        (StoppedError("enough"), "run-stopped", "enough", ""),
        (
            KeyError("x"),
            "run-failed",
            "a mistake in the program: KeyError: 'x'",
            "Traceback (most recent call last):",
        ),
    ],
    ids=["failed", "stopped", "mistake"],
)
def test_what_ends_a_run_is_its_last_line(
    error: Exception, event: str, cause: str, details: str, rundir: RunDir
) -> None:
    with pytest.raises(type(error)), RunLog(rundir, 0.0).ending():
        raise error
    last = rundir.events()[-1]
    assert (last.event, last.details["cause"]) == (event, cause)
    assert last.details.get("details", "").partition("\n")[0] == details


@pytest.mark.parametrize("error", [LockedError, OtherPlanError])
def test_the_log_of_somebody_else_is_left_alone(error: type[Exception], rundir: RunDir) -> None:
    with pytest.raises(error), RunLog(rundir, 0.0).ending():
        raise error("not ours")
    assert rundir.events() == []


def test_a_log_that_cannot_be_written_does_not_hide_the_error(rundir: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: Any, **_details: Any) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(RunDir, "log", full)
    with pytest.raises(VideoError, match="the encoder"), RunLog(rundir, 0.0).ending():
        raise VideoError("the encoder")
