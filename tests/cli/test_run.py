"""Many jobs in one command: every one is told of, whatever becomes of the others, of the farm and of the terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from render.cli import farms, main
from render.cli.commands.run import describe_jobs
from render.cli.jobs import LoadedJob
from render.errors import EngineError, FarmError, ModelError, StoppedError, StoreError, VideoError
from render.farm import job, outputs
from render.farm import reducer as reduce
from render.farm.base import WorkerLost
from render.farm.driver import Driver
from render.farm.job import JobRun
from render.farm.local import LocalFarm
from render.farm.runner import JobThread, run_job, run_jobs, run_together
from render.farm.signals import Stop
from render.farm.worker import Worker
from render.plan import Chunk, Plan
from render.spec import JobFile, JobSpec
from render.store import RunDir, Segment
from render.video.reader import probe
from tests.conftest import CARD
from tests.scripted import ScriptedFarm, all_done

ROOT = Path(__file__).parents[2]
Make = Callable[..., JobFile]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """In a folder with two jobs, and signals as they were."""
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text(CARD.replace("name: card", f"name: {name}"))
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield tmp_path
    for number, handler in before.items():
        signal.signal(number, handler)


def events(name: str) -> list[dict[str, Any]]:
    return [entry.to_dict() for entry in RunDir(Path("out") / name).events()]


def printed(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def poison(patch: pytest.MonkeyPatch, name: str, start: int = 4) -> None:
    """One chunk of a job fails on every worker."""
    render, open_plan = Worker.render, Worker.open
    names: dict[Worker, str] = {}

    def opening(worker: Worker, plan_json: str) -> Any:
        names[worker] = Plan.from_json(plan_json).spec.name
        return open_plan(worker, plan_json)

    def poisoned(worker: Worker, chunk: Chunk) -> Segment:
        if names[worker] == name and chunk.start == start:
            raise EngineError("every picture is black")
        return render(worker, chunk)

    patch.setattr(Worker, "open", opening)
    patch.setattr(Worker, "render", poisoned)


# The terminal


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_nobody_listens_any_more(closed: str, here: Path) -> None:
    """``2>&1 | head -1``: the work goes on, and the exit code is that of the work."""
    command = [sys.executable, "-m", "render", "run", "nowhere.yaml", "a.yaml", "--local"]
    with subprocess.Popen(
        [*command, "--set", "model=testcard:40ms", "--set", "frames=48"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE if closed == "stdout" else subprocess.DEVNULL,
        stderr=subprocess.PIPE if closed == "stderr" else subprocess.DEVNULL,
    ) as running:
        getattr(running, closed).close()
    assert running.returncode == 2
    assert (here / "out/a/video.mp4").exists()


@pytest.mark.slow
def test_without_stdout_and_stderr(here: Path) -> None:
    command = f"{sys.executable} -m render run a.yaml --local >&- 2>&-"
    done = subprocess.run(command, shell=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == 0
    assert (here / "out/a/video.mp4").exists()


@pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGTERM, id="SIGTERM"), pytest.param(signal.SIGHUP, id="SIGHUP")],
)
@pytest.mark.slow
def test_a_night_that_is_stopped_says_so_to_the_scheduler(number: signal.Signals, here: Path) -> None:
    """Slurm begins again what ends with 128 + its signal, also where another job had failed before."""
    slow = (here / "a.yaml").read_text().replace("testcard", "testcard:100ms").replace("frames: 12", "frames: 96")
    (here / "a.yaml").write_text(slow)
    with subprocess.Popen(
        [sys.executable, "-m", "render", "run", "nowhere.yaml", "a.yaml", "--local", "--json"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as running:
        deadline = time.monotonic() + 30
        while not list(here.glob("out/a/segments/*.json")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        running.send_signal(number)
        out, _ = running.communicate()
    assert running.returncode == 128 + number
    assert [(row["job"], row["exit_code"]) for row in map(json.loads, out.splitlines())] == [
        ("nowhere.yaml", 2),
        ("a.yaml", StoppedError.exit_code),
    ]
    assert events("a")[-1]["event"] == "run-stopped"


# What became of each


def test_every_job_is_told_to_machines(
    here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    poison(monkeypatch, "a")
    assert main(["run", "a.yaml", "nowhere.yaml", "b.yaml", "--local", "--json"]) == 9
    failed, missing, good = printed(capfd)
    assert (failed["job"], failed["exit_code"], set(failed)) == ("a.yaml", 9, {"job", "error", "exit_code"})
    assert "1 of 3 chunks failed for good" in failed["error"]
    assert missing == {"job": "nowhere.yaml", "error": "nowhere.yaml: no such file", "exit_code": 2}
    assert (good["job"], good["name"], good["frames"]) == ("b.yaml", "b", 12)


@pytest.mark.parametrize("command", ["check", "plan"])
def test_mistakes_are_told_to_machines(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([command, "nowhere.yaml", "--json"]) == 2
    assert printed(capfd) == [{"job": "nowhere.yaml", "error": "nowhere.yaml: no such file", "exit_code": 2}]


def test_other_commands_tell_machines_too(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "nowhere", "--json"]) == 3
    [failed] = printed(capfd)
    assert (failed["exit_code"], set(failed)) == (3, {"error", "exit_code"})


def test_the_end_of_each_of_many_jobs_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    poison(monkeypatch, "a")
    assert main(["run", "a.yaml", "b.yaml", "--local"]) == 9
    err = capfd.readouterr().err.splitlines()
    assert "a.yaml: failed: 1 of 3 chunks failed for good; all others are done:" in err
    assert "b.yaml: done: out/b/video.mp4" in err


def test_a_mistake_of_the_program_ends_its_job_alone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    finish = job.finish

    def broken(run: JobRun, plan: Plan, records: Any) -> None:
        assert run.job_spec.name != "a", "what must hold"
        finish(run, plan, records)

    monkeypatch.setattr(job, "finish", broken)
    assert main(["run", "a.yaml", "b.yaml", "--local"]) == 1
    out, err = capfd.readouterr()
    assert "b.yaml  done" in out
    assert "a.yaml  failed" in out
    assert "render: a.yaml: a mistake in the program: AssertionError: what must hold" in err
    assert "Traceback (most recent call last)" in err
    last = events("a")[-1]
    assert (last["event"], "Traceback" in last["details"]) == ("run-failed", True)


def test_a_farm_that_falls_ends_every_job_with_its_cause(job_of: Make, watcher: Any) -> None:
    class Falling(LocalFarm):
        def wait(self, timeout_s: float) -> Any:
            raise FarmError("the cluster is gone")

    jobs = [(job_of(out="x"), watcher), (job_of(out="y"), watcher)]
    assert [str(outcome) for outcome in run_jobs(jobs, Falling)] == ["the cluster is gone"] * 2


def test_the_last_words_of_all_take_no_longer_than_those_of_one(watcher: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("render.farm.runner.JOIN_TIMEOUT_S", 0.3)
    driver, ended = Driver(LocalFarm), threading.Event()
    monkeypatch.setattr(driver, "run", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    tellers = [JobThread(lambda: ended.wait(20), driver.client(watcher)) for _ in range(8)]
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_together(driver, tellers)
    ended.set()
    assert time.monotonic() - began < 1.5


# The log


class Losing(ScriptedFarm):
    """Its workers die while they look for the model."""

    def plan(self, worker: str, spec: JobSpec, before: Plan | None) -> None:
        self._messages.append(WorkerLost(worker, "killed", details="trace"))


def test_what_happens_before_there_is_a_plan_is_logged(
    job_of: Make, watcher: Any, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FarmError, match="3 workers died over the job's model"):
        run_job(job_of(), lambda: Losing(1, all_done), watcher)
    logged = [entry.to_dict() for entry in RunDir(here / "out").events()]
    assert [event["event"] for event in logged[:4]] == ["run-started", "worker-starting", "worker-ready", "worker-lost"]
    assert (logged[-1]["event"], logged[-1]["cause"]) == (
        "run-failed",
        "3 workers died over the job's model; of the last one: killed",
    )
    assert main(["logs", "out", "--troubles"]) == 0
    assert "killed" in capfd.readouterr().out
    assert main(["status", "out"]) == 3
    assert "no plan yet; `render logs out` tells what has happened so far" in capfd.readouterr().err


@pytest.mark.slow
def test_lines_say_when_it_happened_not_when_they_were_written(
    job_of: Make, watcher: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow store: the next chunk was sent long before the segment before it was written."""
    commit = RunDir.commit

    def slow(rundir: RunDir, segment: Segment) -> None:
        time.sleep(0.8)
        commit(rundir, segment)

    monkeypatch.setattr(RunDir, "commit", slow)
    run_job(job_of(), LocalFarm, watcher)
    logged = [entry.to_dict() for entry in RunDir(here / "out").events()]
    sent = [event["time"] for event in logged if event["event"] == "sent"]
    done = [event["time"] for event in logged if event["event"] == "done"]
    assert sent[-1] < done[0] + 0.75
    assert len(sent) == len(done) == 3


def test_another_plan_leaves_nothing_in_the_log(job_of: Make, watcher: Any, here: Path) -> None:
    run_job(job_of(), LocalFarm, watcher)
    before = RunDir(here / "out").events()
    with pytest.raises(Exception, match="holds another plan"):
        run_job(job_of("steps=3"), LocalFarm, watcher)
    assert RunDir(here / "out").events() == before


def test_stills_after_cleaning_do_not_bring_the_film_back_to_work(job_of: Make, watcher: Any, here: Path) -> None:
    run_job(job_of(), LocalFarm, watcher)
    RunDir(here / "out").clean(keep_film=True)
    assert run_job(job_of(), LocalFarm, watcher, "5").rendered == 1
    assert run_job(job_of(), LocalFarm, watcher).rendered == 0
    (here / "out/video.mp4").unlink()
    assert run_job(job_of(), LocalFarm, watcher).rendered == 12


# Gaps


def test_nothing_hides_why_a_job_failed(job_of: Make, watcher: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the report nor the film with gaps that cannot be written."""

    def refuse(*_args: Any) -> Any:
        raise VideoError("the joint is broken")

    poison(monkeypatch, "card")
    monkeypatch.setattr(outputs, "write_report", refuse)
    monkeypatch.setattr(outputs, "make_film_with_gaps", refuse)
    with pytest.raises(FarmError) as caught:
        run_job(job_of(), LocalFarm, watcher, allow_gaps=True)
    first, *_, last = str(caught.value).splitlines()
    assert first == "1 of 3 chunks failed for good; all others are done:"
    assert last == "no film with gaps: the joint is broken"


@pytest.mark.parametrize("error", [StoreError, VideoError, ModelError])
def test_whatever_fails_there_is_a_film_with_gaps(
    error: type[Exception], job_of: Make, watcher: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any) -> Any:
        raise error("not this time")

    monkeypatch.setattr(reduce, "make_film", fail)
    with pytest.raises(error, match=r"not this time\nthe film with its missing frames marked: .*video\.gaps\.mp4"):
        run_job(job_of(), LocalFarm, watcher, allow_gaps=True)
    assert probe(here / "out/video.gaps.mp4").frames == 12


def test_a_job_that_is_stopped_has_no_film_with_gaps(job_of: Make, watcher: Any, here: Path) -> None:
    stop = Stop()

    class Stopping(LocalFarm):
        def send(self, worker: str, chunk: Chunk) -> None:
            super().send(worker, chunk)
            stop.request(2)

    with pytest.raises(StoppedError):
        run_job(job_of("model=testcard:20ms"), Stopping, watcher, allow_gaps=True, stop=stop)
    assert not (here / "out/video.gaps.mp4").exists()


def test_jobs_that_were_stopped_did_not_fail() -> None:
    """The bug: ``2 jobs, 1 failed``."""
    told = describe_jobs(
        [
            (LoadedJob(Path("a.yaml")), StoppedError("stopped at 72 of 192 frames; run the same command to go on")),
            (LoadedJob(Path("b.yaml")), FarmError("1 of 3 chunks failed for good:\n  frames 0-3: out of luck")),
        ]
    )
    assert told.splitlines() == [
        "a.yaml  stopped      at 72 of 192 frames",
        "b.yaml  failed       1 of 3 chunks failed for good:",
        "2 jobs: 1 stopped, 1 failed; run the same command to go on",
    ]


def test_one_more_interrupt_while_ray_stops_is_no_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    """All is told by then: a hasty Ctrl-C must not leave processes behind, nor make a failure of a finished job."""
    closed = []

    @contextmanager
    def connected(_address: str | None) -> Iterator[None]:
        yield
        os.kill(os.getpid(), signal.SIGINT)
        closed.append(True)

    monkeypatch.setattr("render.farm.ray.connection.connected", connected)
    with farms._connected(None):
        pass
    assert closed == [True]


# Command lines


def test_frames_beyond_one_film_are_named_before_anything_is_rendered(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (here / "b.yaml").write_text((here / "b.yaml").read_text().replace("frames: 12", "frames: 48"))
    assert main(["run", "a.yaml", "b.yaml", "--local", "--frames", "3,20"]) == 2
    assert capfd.readouterr().err.startswith("render: a.yaml: --frames 3,20: column 3: frame 20 is beyond the film")
    assert not (here / "out/a").exists()
    assert len(list((here / "out/b/frames").glob("*.png"))) == 2


def test_gaps_and_frames_exclude_each_other(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "a.yaml", "--local", "--frames", "3", "--allow-gaps"]) == 2
    assert "--frames makes no film" in capfd.readouterr().err
