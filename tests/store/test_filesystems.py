"""Object stores as places of run directories: whole jobs on a local S3, and what refuses."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from render.cli import main
from render.cli.commands.preview import preview
from render.engine.testcard import read_index
from render.errors import LockedError, SpecError, StoreError
from render.farm.job import Outcome
from render.farm.local import LocalFarm
from render.farm.progress import Watcher
from render.farm.runner import run_job
from render.spec import JobFile
from render.spec.location import parse_location
from render.store import RunDir, unusable
from render.store.disk import DiskStore
from render.store.filesystems import OPENERS, open_store
from render.store.object_store import ObjectStore
from render.video.reader import decode
from render.video.stills import read_still

Jobs = Callable[..., JobFile]


def pixels(path: Path) -> list[bytes]:
    return [frame.tobytes() for frame in decode(path)]


def film(rundir: RunDir) -> list[bytes]:
    with contextlib.closing(rundir):
        return pixels(rundir.fetch("video.mp4"))


def run_cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "render", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-m", "render", *arguments], stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_job_in_an_object_store_is_killed_and_goes_on(
    bucket: str, job_of: Jobs, watcher: Watcher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rendered on S3, the driver killed in the middle, run again: the film is that of an undisturbed run on a disk."""
    calm = run_job(job_of("frames=48"), LocalFarm, watcher)
    settings = ["frames=48", "model=testcard:250ms"]
    place = f"{bucket}/nightly/card"
    command = ["run", str(tmp_path / "card.yaml"), "--local", "--set", f"output.dir={place}"]
    command += [word for setting in settings for word in ("--set", setting)]
    rundir = RunDir(place)
    with running(*command) as process:
        while len(rundir.records()) < 3:
            assert process.poll() is None, process.stderr
            time.sleep(0.1)
        assert main(["status", place, "--json"]) == 0
        status = json.loads(capsys.readouterr().out)
        assert (status["running"], status["complete"], status["dir"]) == (True, False, place)
        second = run_cli(*command)
        assert (second.returncode, "is rendering here; wait for it" in second.stderr) == (4, True), second.stderr
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not rundir.locked(), "a dead process of this machine holds nothing"
    kept = rundir.records()
    assert 3 <= len(kept) < 12
    again = run_cli(*command, "--json")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert told["film"] == f"{place}/video.mp4"
    assert told["rendered"] == 48 - sum(len(chunk.frames) for chunk in kept)
    after = rundir.records()
    assert {chunk: after[chunk] for chunk in kept} == kept, "what was committed was not rendered again"
    assert isinstance(calm.film, Path)
    assert film(rundir) == pixels(calm.film)
    assert [read_index(frame) for frame in decode(calm.film)] == list(range(48))
    third = run_cli(*command, "--json")
    assert (third.returncode, json.loads(third.stdout)["rendered"]) == (0, 0)
    for words in (["status", place], ["inspect", f"{place}/video.mp4"], ["clean", place], ["status", place]):
        assert main(words) == 0
    told_all = capsys.readouterr().out
    assert "48 of 48 (100%)" in told_all
    assert "name: card" in told_all
    assert run_cli(*command).returncode == 0, "a cleaned job is complete"
    assert main(["clean", place, "--film-too"]) == 0
    assert rundir.size("video.mp4") is None
    everything = " ".join([again.stderr, second.stderr, told_all, *(map(str, rundir.events()))])
    assert "very-secret" not in everything
    assert "AKIATEST" not in everything


class Refusing(MemoryFileSystem):  # type: ignore[misc]
    """A store that works for a while. ``error`` is raised by every write and deletion after ``left`` writes."""

    error: Exception = PermissionError("Access Denied")
    left: int | None = None
    pattern = ""

    def _count(self, path: str) -> None:
        if self.left is None or self.pattern not in path:
            return
        if self.left <= 0:
            raise self.error
        self.left -= 1

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        self._count(path)
        super().pipe_file(path, value, mode=mode, **kwargs)

    def put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        self._count(rpath)
        super().put_file(lpath, rpath, **kwargs)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address whose store is in memory, and refuses when it is told to."""
    monkeypatch.setattr("render.store.retry.PATIENCE_S", 0.0)
    Refusing.left, Refusing.pattern, Refusing.error = None, "", PermissionError("Access Denied")

    def opened(url: str) -> ObjectStore:
        inside = url.replace("s3://", "memory://")
        return ObjectStore(inside, Refusing(skip_instance_cache=True), beat_s=0.05, lease_s=0.5)

    monkeypatch.setattr("render.store.filesystems.OPENERS", {**OPENERS, "s3": opened})
    return f"s3://{uuid.uuid4()}/run"


REFUSALS: dict[str, tuple[Exception, str]] = {
    "denied": (
        PermissionError("Access Denied"),
        r"permission denied \(Access Denied\); give these credentials the right",
    ),
    "gone": (FileNotFoundError("The specified bucket does not exist"), "there is no such bucket; make it"),
    "busy": (OSError(errno.EBUSY, "Please reduce your request rate"), "the store refuses or cannot be reached"),
    "silent": (
        TimeoutError("timed out"),
        "the store refuses or cannot be reached .timed out.; what is committed stays",
    ),
}


@pytest.mark.parametrize("pattern", ["/segments/", ".json", "events", "index", "video.mp4", "report.html"])
@pytest.mark.parametrize("kind", ["denied", "silent"])
def test_a_store_that_stops_accepting_ends_the_job_and_the_job_goes_on(
    kind: str, pattern: str, place: str, job_of: Jobs, watcher: Watcher
) -> None:
    def run() -> Outcome:
        return run_job(job_of(f"output.dir={place}", "frames=24"), LocalFarm, watcher)

    error, words = REFUSALS[kind]
    Refusing.error, Refusing.pattern = error, pattern
    Refusing.left = 3 if pattern in ("/segments/", ".json") else 0
    with pytest.raises(StoreError, match=words) as caught:
        run()
    assert caught.value.exit_code == 5
    assert caught.value.__cause__ is None, "the chain would tell what the message leaves out"
    Refusing.left = None
    rundir = RunDir(place)
    assert not rundir.locked()
    kept = rundir.records()
    assert all(rundir.intact(record) for record in kept.values())
    assert run().rendered == 24 - sum(len(chunk.frames) for chunk in kept)
    with contextlib.closing(rundir):
        assert [read_index(frame) for frame in decode(rundir.fetch("video.mp4"))] == list(range(24))


def test_a_passing_outage_is_waited_for(
    place: str, job_of: Jobs, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Flaky(Refusing):
        def _count(self, path: str) -> None:
            type(self).calls += 1
            if self.calls % 3 == 0:
                raise OSError(errno.EBUSY, "Please reduce your request rate")

        calls = 0

    store = ObjectStore(f"memory://{uuid.uuid4()}/run", Flaky(skip_instance_cache=True), beat_s=0.05, lease_s=5)
    monkeypatch.setattr("render.store.filesystems.OPENERS", {**OPENERS, "s3": lambda _url: store})
    monkeypatch.setattr("render.store.retry.PATIENCE_S", 5.0)
    monkeypatch.setattr("render.store.retry.PAUSES_S", (0.01, 0.1))
    Flaky.calls = 0
    assert run_job(job_of(f"output.dir={place}"), LocalFarm, watcher).rendered == 12
    assert Flaky.calls > 20
    Flaky.calls = 2
    with pytest.raises(StoreError):
        RunDir(place).write("plan.json", b"x")  # without the lock a person waits: told at once


@pytest.mark.parametrize("kind", REFUSALS)
def test_every_refusal_names_the_place_and_the_cure(kind: str, place: str) -> None:
    Refusing.error, words = REFUSALS[kind]
    Refusing.left = 0
    with pytest.raises(StoreError, match=rf"^memory://.*/run/plan\.json: {words}"):
        RunDir(place).write("plan.json", b"x")


def test_selections_previews_and_animations(place: str, job_of: Jobs, watcher: Watcher) -> None:
    job = job_of(f"output.dir={place}", "output.video=webp")
    stills = run_job(job, LocalFarm, watcher, "0-8x4")
    assert str(stills.stills).endswith("/run/frames")
    with contextlib.closing(RunDir(place)) as rundir:
        shown = [read_index(read_still(rundir.fetch(f"frames/{index:06}.png"))) for index in (0, 4, 8)]
    assert shown == [0, 4, 8]
    assert preview(job, LocalFarm, watcher, f"{place}/preview.png") == 12
    assert RunDir(place).size("preview.png")
    assert run_job(job, LocalFarm, watcher).rendered == 12
    assert run_job(job, LocalFarm, watcher).rendered == 0
    RunDir(place).write("video.webp", b"torn")
    assert run_job(job, LocalFarm, watcher).rendered == 0
    assert (RunDir(place).size("video.webp") or 0) > 4, "made again from the segments"


def test_a_mistake_of_ours_keeps_its_traceback(place: str) -> None:
    Refusing.error, Refusing.left = KeyError("ours"), 0
    with pytest.raises(KeyError):
        RunDir(place).write("plan.json", b"x")


def test_half_a_film_is_noticed(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rundir = RunDir(place)
    beside = rundir.scratch("video.mp4")
    beside.write_bytes(b"film")
    monkeypatch.setattr(Refusing, "put_file", lambda self, lpath, rpath: self.pipe_file(rpath, b"fi"))
    with pytest.raises(StoreError, match=r"video\.mp4: 2 of 4 bytes arrived; run the same command again"):
        rundir.publish(beside, "video.mp4")
    rundir.close()


def test_a_full_disk_of_temporary_files(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    rundir = RunDir(place)
    monkeypatch.setattr(Refusing, "get_file", full)
    with pytest.raises(StoreError, match=r"does not fit on this machine's disk of temporary files .*set TMPDIR"):
        rundir.fetch("video.mp4")
    rundir.close()


def test_who_lost_the_lock_commits_no_more(place: str, job_of: Jobs, watcher: Watcher) -> None:
    """Another driver took over while this one could not be heard: it stops, and the other's lock stays."""

    class Robbed(LocalFarm):
        def wait(self, timeout_s: float) -> Any:
            if not self.robbed:
                self.robbed = True
                RunDir(place).write(
                    "lock", b'{"host": "elsewhere", "pid": 7, "token": "x", "machine": "m", "started": "1"}'
                )
                time.sleep(0.5)
            return super().wait(timeout_s)

        robbed = False

    with pytest.raises(LockedError, match="process 7 on elsewhere took the lock"):
        run_job(job_of(f"output.dir={place}"), Robbed, watcher)
    assert RunDir(place).records() == {}
    assert "elsewhere" in str(RunDir(place).read_text("lock"))


@pytest.mark.slow
def test_a_server_that_dies_in_the_middle(
    job_of: Jobs, watcher: Watcher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("render.store.retry.PATIENCE_S", 0.0)
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import s3fs

    s3fs.S3FileSystem(skip_instance_cache=True).mkdir("mortal")

    class Watching:
        def progress(self, progress: Any) -> None:
            if progress.frames_done >= 8 and not self.stopped:
                self.stopped = True
                server.stop()

        def notice(self, text: str) -> None:
            pass

        stopped = False

    began = time.monotonic()
    with pytest.raises(
        StoreError, match=r"s3://mortal/run/.*the store refuses or cannot be reached \(Could not connect"
    ):
        run_job(job_of("output.dir=s3://mortal/run", "frames=200"), LocalFarm, Watching())
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_no_bucket_and_no_credentials(
    bucket: str, job_of: Jobs, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match=r"there is no such bucket; make it, or choose another output\.dir"):
        run_job(job_of("output.dir=s3://no-such-bucket-here/run"), LocalFarm, watcher)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StoreError, match=r"no credentials .*set them up as for the store's own tools"):
        run_job(job_of(f"output.dir={bucket}/run"), LocalFarm, watcher)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s4://b/x", "unknown kind of store s4://; for example s3://bucket/films"),
        ("file://b/x", "is no place for a run directory: write the folder itself"),
        ("https://b/x", "it cannot be written"),
        ("memory://b/x", "it dies with the process"),
    ],
)
def test_stores_that_are_none_are_refused_with_the_line(url: str, words: str, job_of: Jobs, tmp_path: Path) -> None:
    from render.cli.jobs import check_run_dir

    assert words in str(unusable(url))
    with pytest.raises(SpecError, match=words):
        open_store(url)
    with pytest.raises(SpecError, match=rf"output\.dir: .*{words}"):
        check_run_dir(job_of(f"output.dir={url}"))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("render.store.filesystems.find_spec", lambda name: None)
    assert "needs the package gcsfs; `pip install '.[gcs]'` in /" in str(unusable("gs://b/x"))
    assert "needs the package adlfs; `pip install adlfs`" in str(unusable("az://b/x"))
    assert unusable("gs://b/x") is not None


@pytest.mark.parametrize(
    "url",
    ["s3://key:very-secret@b/x", "s3://b/x?X-Amz-Signature=very-secret", "s3://very-secret@b", "s3://host:9000/b"],
)
def test_addresses_carry_no_credentials(url: str, job_of: Jobs, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SpecError) as caught:
        job_of(f"output.dir={url}")
    assert "output.dir: " in str(caught.value)
    with pytest.raises(SpecError) as parsed:
        parse_location(url)
    assert main(["status", url]) == 2
    everything = str(caught.value) + str(parsed.value) + capsys.readouterr().err
    assert "very-secret" not in everything


def test_a_store_that_wants_to_know_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(**_options: object) -> None:
        raise ValueError("give account_name or connection_string")

    monkeypatch.setattr("fsspec.get_filesystem_class", lambda scheme: make)
    with pytest.raises(StoreError, match=r"^s3://b/x: cannot be opened \(give account_name .*\); set it up as for"):
        open_store("s3://b/x")


def test_a_store_of_our_own_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fsspec does not know: one file, one row."""
    assert "unknown kind of store ours://" in str(unusable("ours://x"))
    monkeypatch.setattr("render.store.filesystems.OPENERS", {**OPENERS, "ours": lambda _url: DiskStore(tmp_path)})
    assert unusable("ours://x") is None
    assert RunDir("ours://x").location() == RunDir(tmp_path).location() == tmp_path
