"""Ray as a farm: the same pictures whoever makes them, and nothing lost when a process is killed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from render.engine.testcard import read_index
from render.errors import FarmError
from render.farm.base import Answered, Doing, Farm, Message, Opened, Resources, WorkerReady
from render.farm.local import LocalFarm
from render.farm.progress import Progress
from render.farm.runner import run_job
from render.plan import Stopwatch, film_name
from render.spec import load
from render.store import RunDir
from render.video.reader import decode
from tests.tiny import COMPILED, HALVES

pytestmark = pytest.mark.ray

JOB = """
version: 1
name: {name}
mode: dream
model: {model}
frames: {frames}
steps: 4
loop: true
keyframes:
  - {{at: 0, prompt: a big red sun over violet mountains at dawn, seed: 7, ease: in}}
  - {{at: 12, prompt: a huge white moon over blue sea at night, seed: 11}}
engine: {{batch: 8, threads: 1}}
"""


class Quiet:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def progress(self, progress: Progress) -> None:
        """Not asked."""

    def notice(self, text: str) -> None:
        """Kept."""
        self.notices.append(text)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Callable[[], Farm]]:
    """The one Ray cluster of the session: two CPUs here."""
    from render.farm.ray.connection import connected
    from render.farm.ray.farm import RayFarm

    with connected(None):
        yield RayFarm


def render_job(
    folder: Path, farm: Callable[[], Farm], *overrides: str, watcher: Quiet | None = None, **job: Any
) -> RunDir:
    """Render the test job into ``folder``."""
    folder.mkdir(exist_ok=True)
    spec = folder / "job.yaml"
    spec.write_text(JOB.format(**({"name": folder.name, "model": "testcard", "frames": 48} | job)))
    run_job(load(spec, [f"output.dir={folder / 'run'}", *overrides]), farm, watcher or Quiet())
    return RunDir(folder / "run")


def pictures(rundir: RunDir) -> list[str]:
    """sha256 of every rendered picture in the order of the film."""
    plan = rundir.read_plan()
    assert plan is not None
    records = rundir.records()
    return [picture for chunk in plan.chunks for picture in records[chunk].pictures]


def indices(rundir: RunDir) -> list[int | None]:
    """The frame indices that the film's pictures show."""
    return [read_index(frame) for frame in decode(rundir.fetch("video.mp4"))]


def events(rundir: RunDir, kind: str) -> list[dict[str, Any]]:
    """The events of one kind."""
    return [entry.to_dict() for entry in rundir.events() if entry.event == kind]


@pytest.mark.parametrize("name", ["testcard:60ms", pytest.param("tiny_sd", marks=pytest.mark.slow)])
def test_same_pictures_whatever_the_farm(
    tmp_path: Path, cluster: Callable[[], Farm], name: str, request: pytest.FixtureRequest
) -> None:
    model = str(request.getfixturevalue(name)) if name == "tiny_sd" else name
    runs = [
        render_job(tmp_path / "one", cluster, "farm.workers=1", "farm.chunk=8", model=model, frames=26),
        render_job(
            tmp_path / "two", lambda: Together(cluster()), "farm.workers=2", "farm.chunk=24", model=model, frames=26
        ),
        render_job(tmp_path / "local", LocalFarm, model=model, frames=26),
    ]
    assert {event["worker"] for event in events(runs[1], "done")} == {"w0", "w1"}
    assert pictures(runs[0]) == pictures(runs[1]) == pictures(runs[2])
    assert len(set(pictures(runs[0]))) == 26


@pytest.mark.long
@pytest.mark.parametrize("backend", ["compile", "onnx"])
def test_same_pictures_with_every_backend(
    tmp_path: Path, cluster: Callable[[], Farm], tiny_sdxl: Path, backend: str
) -> None:
    """Two workers that open at the same time share what one of them compiles or exports; so does this process."""
    from render.engine.engine import open_engine

    halves = HALVES if backend == "compile" else ()
    options = (*COMPILED, *halves, f"engine.backend={backend}", "steps=2", "farm.workers=2", "farm.chunk=8")
    run = render_job(tmp_path / "two", lambda: Together(cluster()), *options, model=str(tiny_sdxl), frames=26)
    assert {event["worker"] for event in events(run, "done")} == {"w0", "w1"}
    plan = run.read_plan()
    assert plan is not None
    here = open_engine(plan, tiny_sdxl, Stopwatch()).pictures(range(26), Stopwatch())
    found = pictures(run)
    assert [hashlib.sha256(picture.pixels.tobytes()).hexdigest() for picture in here] == found
    assert len(set(found)) == 26


class Together:
    """A farm whose workers begin together: of the first open plan it tells when the second is open too."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.held: list[Message] = []
        self.num_open = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.farm, name)

    def wait(self, timeout_s: float) -> list[Message]:
        """Messages; from the first open plan to the second none."""
        messages = self.farm.wait(timeout_s)
        opened = [
            message for message in messages if isinstance(message, Answered) and isinstance(message.answer, Opened)
        ]
        self.num_open += len(opened)
        self.held += opened
        others = [message for message in messages if message not in opened]
        if self.num_open < 2:
            return others
        told, self.held = self.held, []
        return [*others, *told]


def test_a_worker_says_how_far_it_is_with_a_plan(tmp_path: Path, cluster: Callable[[], Farm]) -> None:
    """Asked every second, beside its work: it has a thread for that."""
    path = tmp_path / "job.yaml"
    path.write_text(JOB.format(name="words", model="demo", frames=48).replace("batch: 8", "batch: auto"))
    farm, heard = cluster(), list[Message]()
    farm.start("w0", Resources(gpu=False))
    while not heard:
        heard += farm.wait(30)
    assert isinstance(heard.pop(), WorkerReady)
    farm.plan("w0", load(path).spec, None)
    while not any(isinstance(message, Answered) for message in heard):
        heard += farm.wait(1)
    farm.close()
    told = [message.text for message in heard if isinstance(message, Doing)]
    assert set(told) <= {"", "importing torch", "reading demo", "measuring the best batch"}
    assert "measuring the best batch" in told


def test_a_killed_worker_costs_one_attempt_and_no_frame(
    tmp_path: Path, cluster: Callable[[], Farm], capfd: pytest.CaptureFixture[str]
) -> None:
    watcher = KillsWorkers(tmp_path / "killed" / "run", after_chunks=2)
    rundir = render_job(
        tmp_path / "killed", cluster, "farm.workers=2", "farm.chunk=4", model="testcard:60ms", watcher=watcher
    )
    undisturbed = render_job(tmp_path / "calm", LocalFarm, "farm.chunk=4")
    time.sleep(1)  # Ray would tell of it from a thread of its own
    assert capfd.readouterr().out == "", "stdout is for results"
    failed = events(rundir, "failed")
    assert watcher.killed
    assert len(failed) == 1
    assert len(events(rundir, "worker-lost")) == 1
    retried = [event for event in events(rundir, "sent") if event["chunk"] == failed[0]["chunk"]]
    assert len({event["worker"] for event in retried}) == 2  # another worker got it
    assert len(events(rundir, "done")) == 12  # every chunk once
    assert indices(rundir) == list(range(48))
    assert pictures(rundir) == pictures(undisturbed)


class KillsWorkers(Quiet):
    """Kills the first worker by SIGKILL once some chunks are done."""

    def __init__(self, run_dir: Path, after_chunks: int) -> None:
        super().__init__()
        self.rundir = RunDir(run_dir)
        self.after_chunks = after_chunks
        self.killed = 0

    def progress(self, progress: Progress) -> None:
        """Kill when it is time."""
        if not self.killed and len(events(self.rundir, "done")) >= self.after_chunks:
            self.killed = events(self.rundir, "worker-ready")[0]["pid"]
            os.kill(self.killed, signal.SIGKILL)


def test_a_frozen_worker_meets_its_deadline(tmp_path: Path, cluster: Callable[[], Farm]) -> None:
    watcher = FreezesWorker(tmp_path / "frozen" / "run", after_chunks=1)
    rundir = render_job(
        tmp_path / "frozen",
        cluster,
        *("farm.workers=1", "farm.chunk=8", "farm.deadline=6s"),
        model="testcard:20ms",
        watcher=watcher,
    )
    assert [event["cause"].startswith("no result after") for event in events(rundir, "failed")] == [True]
    assert indices(rundir) == list(range(48))


class FreezesWorker(KillsWorkers):
    """SIGSTOP instead: the process is there and does nothing."""

    def progress(self, progress: Progress) -> None:
        """Freeze when it is time."""
        if not self.killed and len(events(self.rundir, "done")) >= self.after_chunks:
            self.killed = events(self.rundir, "worker-ready")[0]["pid"]
            os.kill(self.killed, signal.SIGSTOP)


def test_a_model_that_cannot_be_opened_is_told_at_once(tmp_path: Path, cluster: Callable[[], Farm]) -> None:
    from render.errors import ModelError

    with pytest.raises(ModelError, match="no such folder"):
        render_job(tmp_path / "absent", cluster, model="./nowhere")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ray", "local"])
def test_a_killed_driver_resumes_where_it_stopped(tmp_path: Path, how: str) -> None:
    spec = tmp_path / "job.yaml"
    spec.write_text(JOB.format(name="driver", model="testcard:60ms", frames=96))
    command = [sys.executable, "-m", "render", "run", str(spec), "--set", "farm.chunk=8", "--set", "output.dir=run"]
    command += ["--local"] if how == "local" else ["--set", "farm.workers=2"]
    rundir = RunDir(tmp_path / "run")
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as first:
        wait_until(lambda: len(rundir.records()) >= 3)
        second = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert second.returncode == 4  # one driver a run directory
        assert f"process {first.pid}" in second.stderr
        first.kill()
    kept = {chunk: record.ended for chunk, record in rundir.records().items()}
    assert 3 <= len(kept) < 12
    done = subprocess.run(
        [*command, "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["rendered"] == 96 - sum(len(chunk.frames) for chunk in kept)
    after = rundir.records()
    assert {chunk: after[chunk].ended for chunk in kept} == kept  # nothing was rendered twice
    calm = render_job(tmp_path / "calm", LocalFarm, "farm.chunk=8", frames=96)
    films = [run.fetch(str(film_name(run.read_plan()))) for run in (rundir, calm)]  # type: ignore[arg-type]
    for mine, undisturbed in zip(decode(films[0]), decode(films[1]), strict=True):
        assert (mine == undisturbed).all()


def wait_until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Poll a condition; an assertion when it does not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_driver_leaves_a_resumable_job(tmp_path: Path, number: signal.Signals, code: int) -> None:
    spec = tmp_path / "job.yaml"
    spec.write_text(JOB.format(name="job", model="testcard:60ms", frames=96))
    command = [sys.executable, "-m", "render", "run", str(spec), "--set", "farm.chunk=8", "--set", "output.dir=run"]
    rundir = RunDir(tmp_path / "run")
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as driver:
        wait_until(lambda: len(rundir.records()) >= 2)
        driver.send_signal(number)
        _, told = driver.communicate(timeout=60)
    assert driver.returncode == code
    assert told.splitlines()[-1].endswith("frames; run the same command to go on")
    assert "Traceback" not in told
    kept = len(rundir.records())
    render_job(tmp_path, LocalFarm, "farm.chunk=8", name="job", model="testcard:60ms", frames=96)
    assert len(events(rundir, "done")) == 12
    assert kept < 12
    assert indices(rundir) == list(range(96))


def test_a_running_cluster_is_joined(tmp_path: Path, cluster: Callable[[], Farm]) -> None:
    import ray

    spec = tmp_path / "job.yaml"
    spec.write_text(JOB.format(name="joined", model="testcard", frames=24))
    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, "-m", "render", "run", str(spec), "--address", address, "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rendered"] == 24
    assert ray.is_initialized()
    assert [node["Alive"] for node in ray.nodes()] == [True]  # whoever joins a cluster leaves it running


def test_workers_of_a_ray_of_ours_are_as_nice_as_the_driver(cluster: Callable[[], Farm]) -> None:
    """Ray's default of 15 leaves them what others leave."""
    import ray

    assert ray.get(ray.remote(lambda: os.getpriority(os.PRIO_PROCESS, 0)).remote()) == os.getpriority(
        os.PRIO_PROCESS, 0
    )


def test_a_farm_of_this_machine_is_reached_from_this_machine_alone(cluster: Callable[[], Farm]) -> None:
    psutil = pytest.importorskip("psutil")
    from ray._private.authentication.authentication_utils import is_token_auth_enabled

    assert is_token_auth_enabled()
    me = psutil.Process()
    heard = {
        (process.name(), connection.laddr.ip)
        for process in (me, *me.children(recursive=True))
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {"raylet", "gcs_server"} <= {name for name, _ in heard}
    assert {ip for _, ip in heard} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, heard


def test_a_cluster_that_is_not_there_is_named_at_once(tmp_path: Path) -> None:
    from render.farm.ray.connection import _on_loopback_alone

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens on it
        with pytest.raises(FarmError, match=r"nobody answers at 127\.0\.0\.1:"):
            _on_loopback_alone(f"127.0.0.1:{taken.getsockname()[1]}")
