"""Where a job is started from: folders that are not ASCII, hold what Python could import, or are not on every node."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from render.engine.testcard import read_index
from render.errors import FarmError, ModelError
from render.farm.base import Farm
from render.store import RunDir
from render.video.reader import decode
from tests.farm.ray.test_farm import JOB, Quiet, events, pictures, render_job, wait_until

pytestmark = pytest.mark.ray

IN_THE_WAY = ("render", "numpy", "yaml", "ray", "torch", "typing", "logging", "av", "pydantic", "PIL", "tests", "json")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Callable[[], Farm]]:
    """Ray with two CPUs here; its own working directory is that of the tests."""
    from render.farm.ray.connection import connected
    from render.farm.ray.farm import RayFarm

    with connected(None):
        yield RayFarm


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder ``Träume ☀`` that holds a folder ``render/`` and modules which all raise."""
    folder = tmp_path / "Träume ☀"
    (folder / "render").mkdir(parents=True)
    for name in IN_THE_WAY:
        (folder / f"{name}.py").write_text(f"raise RuntimeError('the wrong {name}')\n")
    return folder


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """The command ``render``, as pip installs it."""
    script = tmp_path / "bin" / "render"
    script.parent.mkdir()
    script.write_text("from render.__main__ import command\ncommand()\n")
    return [sys.executable, str(script)]


def environment() -> dict[str, str]:
    """A terminal that knows ASCII only."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_ADDRESS", "LC_"))}
    return kept | {"LANG": "C", "PYTHONIOENCODING": "ascii"}


@pytest.mark.slow
def test_a_job_is_killed_and_resumed_in_a_folder_that_is_all_wrong(odd: Path, command: list[str]) -> None:
    (odd / "film.yaml").write_text(JOB.format(name="film", model="testcard:60ms", frames=96))
    run = [*command, "run", "film.yaml", "--set", "farm.chunk=8", "--set", "output.dir=render/träume"]
    rundir = RunDir(odd / "render" / "träume")
    with subprocess.Popen(run, cwd=odd, env=environment(), stderr=subprocess.PIPE) as first:
        wait_until(lambda: len(rundir.records()) >= 3)
        first.send_signal(signal.SIGKILL)
    kept = {chunk: record.ended for chunk, record in rundir.records().items()}
    assert 3 <= len(kept) < 12
    done = subprocess.run(run, cwd=odd, env=environment(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"film: {96 - sum(len(chunk.frames) for chunk in kept)} frames in " in done.stdout.decode("ascii")
    after = rundir.records()
    assert {chunk: after[chunk].ended for chunk in kept} == kept, "nothing was rendered twice"
    assert [read_index(frame) for frame in decode(rundir.fetch("video.mp4"))] == list(range(96))
    assert events(rundir, "worker-lost") == events(rundir, "warning") == []
    for words in (["status", "render/träume"], ["logs", "render/träume"], ["inspect", "render/träume/video.mp4"]):
        told = subprocess.run([*command, *words], cwd=odd, env=environment(), capture_output=True, check=False)
        assert (told.returncode, told.stderr) == (0, b""), words
        assert told.stdout.decode("ascii")


@pytest.mark.slow
def test_python_m_imports_nothing_from_where_it_stands(odd: Path) -> None:
    (odd / "render.py").unlink()  # that file would be run instead: nothing of ours is asked
    (odd / "film.yaml").write_text(JOB.format(name="film", model="testcard", frames=24))
    run = [sys.executable, "-m", "render", "run", "film.yaml", "--json"]
    kept = environment() | {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(run, cwd=odd, env=kept, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rendered"] == 24


@pytest.mark.slow
def test_a_relative_model_is_the_drivers_on_a_cluster_that_is_joined(
    odd: Path, command: list[str], cluster: Callable[[], Farm], tiny_sd: Path
) -> None:
    import ray

    (odd / "models").mkdir()
    (odd / "models" / "mine").symlink_to(tiny_sd)
    (odd / "film.yaml").write_text(JOB.format(name="film", model="models/mine", frames=16))
    address = ray.get_runtime_context().gcs_address
    options = ["--set", "size=64x64", "--set", "engine.dtype=fp32", "--set", "engine.batch=4"]
    run = [*command, "run", "film.yaml", "--address", address, "--json", *options]
    done = subprocess.run(run, cwd=odd, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rundir = RunDir(odd / "out" / "film")
    plan = rundir.read_plan()
    assert plan is not None
    assert plan.spec.model == "models/mine"
    assert len(pictures(rundir)) == 16
    absolute = plan.spec.model_copy(update={"model": str(odd / "models" / "mine")})
    assert plan.rerun(absolute).digest == plan.digest, "where a model lies is not part of its plan"


def test_a_relative_folder_that_a_node_lacks_is_no_hub_name(
    tmp_path: Path, cluster: Callable[[], Farm], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    (folder / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(folder)

    class Elsewhere:
        """``os.getcwd`` of a driver whose folder this node does not have."""

        def __getattr__(self, name: str) -> object:
            return (lambda: str(tmp_path / "elsewhere")) if name == "getcwd" else getattr(os, name)

    monkeypatch.setattr("render.farm.ray.farm.os", Elsewhere())
    with pytest.raises(ModelError) as caught:
        render_job(tmp_path / "job", cluster, model="models/mine")
    told = str(caught.value)
    assert told.startswith("'models/mine': no such folder on ")
    assert f"in {tmp_path / 'elsewhere'}, where the job was started; write an absolute path" in told


class _Unknown:
    """A worker's maker that no process can unpickle."""

    def __call__(self) -> None:
        raise AssertionError

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return importlib.import_module, ("render.no_such_module",)


def test_a_worker_that_cannot_import_says_what_and_from_where(
    tmp_path: Path, cluster: Callable[[], Farm], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("render.farm.ray.farm._OnNode", _Unknown())
    watcher = Quiet()
    with pytest.raises(FarmError) as caught:
        render_job(tmp_path / "job", cluster, watcher=watcher)
    told = str(caught.value)
    assert f"{sys.executable} on " in told
    assert "cannot import render: ModuleNotFoundError: No module named 'render.no_such_module' (render is " in told
    assert "install there what is installed here" in told
    [first, *_] = watcher.notices
    assert first.startswith("worker w0 could not start: ")
    assert "killed" not in told
