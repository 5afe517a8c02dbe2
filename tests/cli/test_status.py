"""``render status``: words for every state of a job, and waiting for one that has no plan yet."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from render.cli import main
from render.cli.commands import status as command
from render.cli.commands.status import describe_status
from render.report import JobStatus
from render.report.status import WorkerStatus
from render.store import Event, RunDir

JOB = """\
version: 1
name: card
mode: dream
model: testcard
size: 128x72
frames: 12
keyframes:
  - {at: 0, prompt: a}
farm: {chunk: 4}
"""

RUNNING = JobStatus(
    dir="out/card",
    name="card",
    digest="0" * 64,
    running=True,
    draining=False,
    began=100.0,
    frames_done=48,
    frames=96,
    chunks_done=4,
    chunks=8,
    chunks_waiting=3,
    worker_seconds_per_frame=0.25,
    frames_per_second=4.0,
    seconds_left=12.3,
    workers=[WorkerStatus("w0", "box", "000048-000060", 428.0)],
    failures=0,
    troubles=[],
    last_event=None,
    film=None,
    complete=False,
    cleaned=False,
)


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, ["state    running for 5 min 30 s", "speed    4 frames a second by the last chunks, 12 s left"]),
        ({"frames_per_second": None, "seconds_left": None}, ["speed    0.250 s a frame and worker, 12 s of work left"]),
        ({"draining": True}, ["state    running for 5 min 30 s, stopping when what is being rendered is done"]),
        (
            {"running": False, "frames_per_second": None, "frames_done": 96, "chunks_done": 8, "complete": True},
            ["state    complete", "speed    0.250 s a frame and worker", "film     none wanted"],
        ),
        ({"workers": [WorkerStatus("w0", "box")]}, ["         w0 on box: no chunk"]),
        ({"failures": 1}, ["failures 1 attempt failed; `render logs` tells all of it:"]),
    ],
    ids=["running", "no chunk of this run yet", "stopping", "complete", "idle worker", "one failure"],
)
def test_words(changes: dict[str, Any], lines: list[str]) -> None:
    told = describe_status(replace(RUNNING, **changes), 430.0).splitlines()
    assert [line for line in lines if line not in told] == []


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(JOB)
    return tmp_path


def between_looks(monkeypatch: pytest.MonkeyPatch, *steps: Callable[[], Any]) -> None:
    """What happens while the command sleeps."""
    left = iter(steps)
    clock = SimpleNamespace(monotonic=time.monotonic, time=time.time, sleep=lambda _seconds: next(left)())
    monkeypatch.setattr(command, "time", clock)


@pytest.mark.usefixtures("here")
def test_watch_waits_for_a_job_that_is_not_there_yet(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The bug: whoever watched in a second terminal, before the plan was made, was sent away."""
    between_looks(monkeypatch, lambda: None, lambda: main(["run", "job.yaml", "--local"]))
    assert main(["status", "out/card", "--watch"]) == 0
    told = capfd.readouterr().out
    assert told.startswith("out/card: no plan.json in it, so no job has been started here; waiting for 1 s, Ctrl-C")
    assert "state    complete" in told


@pytest.mark.usefixtures("here")
def test_watch_waits_for_a_plan_that_is_being_made(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    rundir = RunDir(Path("out/card"))
    rundir.create()
    with rundir.lock():
        rundir.log(Event.RUN_STARTED)
        between_looks(monkeypatch, lambda: None, lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            main(["status", "out/card", "--watch"])
        assert "out/card: a run goes on, and is making its plan; waiting for" in capfd.readouterr().out
        assert main(["status", "out/card"]) == 3, "who does not watch does not wait"
    assert main(["status", "out/card", "--watch"]) == 3, "a run that ended without a plan"
    assert "render logs out/card` tells what has happened so far" in capfd.readouterr().err


@pytest.mark.usefixtures("here")
def test_watch_for_machines_prints_objects_only(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    between_looks(monkeypatch, lambda: main(["run", "job.yaml", "--local", "--json"]))
    assert main(["status", "out/card", "--watch", "--json"]) == 0
    _, status = map(json.loads, capfd.readouterr().out.splitlines())
    assert status["complete"]
