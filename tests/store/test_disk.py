"""Disks that refuse: full, without permission, gone. A clear end, nothing half written counts, the rerun goes on."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from render.cli import main
from render.engine.testcard import read_index
from render.errors import StoreError
from render.farm.local import LocalFarm
from render.farm.progress import Watcher
from render.farm.runner import run_job
from render.spec import JobFile
from render.store import RunDir, Segment
from render.store.disk import DiskStore
from render.video.reader import decode

Jobs = Callable[..., JobFile]
FRAMES = ["frames=64", "farm.chunk=4", "output.codec=ffv1", "output.preset=null"]


def mount(*arguments: str) -> bool:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one mebibyte, where this machine lets us mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or not mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)):
        pytest.skip("mounting a small disk needs the rights of root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def indices(film: Any) -> list[int | None]:
    return [read_index(frame) for frame in decode(film)]


@pytest.mark.parametrize(("free_kib", "chunks"), [(150, range(1, 16)), (424, range(16, 17))], ids=["chunks", "film"])
def test_a_full_disk_ends_the_job_and_the_job_goes_on(
    free_kib: int,
    chunks: range,
    small_disk: Path,
    job_of: Jobs,
    watcher: Watcher,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes((1024 - free_kib) << 10))
    job = job_of(f"output.dir={small_disk / 'run'}", *FRAMES)
    with pytest.raises(StoreError, match=r"the disk is full; free some space and run the same command again") as caught:
        run_job(job, LocalFarm, watcher)
    assert caught.value.exit_code == 5
    rundir = RunDir(small_disk / "run")
    kept = rundir.records()
    assert len(kept) in chunks
    assert all(rundir.intact(record) for record in kept.values())
    assert list(small_disk.rglob("*.part*")) == [], "a half-written file would fill the disk for ever"
    assert not rundir.locked()
    command = ["run", str(tmp_path / "card.yaml"), "--local", "--set", f"output.dir={small_disk / 'run'}"]
    assert main([*command, *(word for setting in FRAMES for word in ("--set", setting))]) == 5
    assert "the disk is full" in capsys.readouterr().err
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    outcome = run_job(job, LocalFarm, watcher)
    assert outcome.rendered <= 64 - 4 * len(kept)
    assert indices(outcome.film) == list(range(64))


@contextlib.contextmanager
def after_two_chunks(harm: Callable[[], object]) -> Iterator[None]:
    """Within, the disk is harmed when two chunks of a job count."""
    commit, counts = RunDir.commit, count(1)

    def committed(rundir: RunDir, segment: Segment) -> None:
        commit(rundir, segment)
        if next(counts) == 2:
            harm()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunDir, "commit", committed)
        yield


def test_a_disk_that_is_unmounted_in_the_middle(
    small_disk: Path, job_of: Jobs, watcher: Watcher, tmp_path: Path
) -> None:
    """What lies under the mount must not get the rest of the job."""
    shown = tmp_path / "shown"
    shown.mkdir()
    subprocess.run(["mount", "--bind", str(small_disk), str(shown)], check=True)

    job = job_of("frames=48", out="shown/run")
    harm = after_two_chunks(lambda: subprocess.run(["umount", "--lazy", str(shown)], check=True))
    with harm, pytest.raises(StoreError, match="it is gone; was the folder deleted in the middle of the work"):
        run_job(job, LocalFarm, watcher)
    assert list(shown.rglob("*.mp4")) == []
    subprocess.run(["mount", "--bind", str(small_disk), str(shown)], check=True)
    try:
        kept = RunDir(shown / "run").records()
        assert len(kept) >= 2
        outcome = run_job(job, LocalFarm, watcher)
        assert outcome.rendered == 48 - 4 * len(kept)
        assert indices(outcome.film) == list(range(48))
    finally:
        subprocess.run(["umount", "--lazy", str(shown)], check=True)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Outside of pytest's own folder, which every session that begins closes to others, also beside this one."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def somebody(job_of: Jobs, watcher: Watcher, tmp_path: Path) -> Iterator[None]:
    """The rest of the test runs as a user whom permissions bind."""
    if os.geteuid() != 0:
        yield
        return
    run_job(job_of("frames=4", out="first"), LocalFarm, watcher)  # imports all while Python's folder can be read
    (tmp_path / "card.yaml").unlink()
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o007:  # pytest's own folders; /tmp keeps what it has
            folder.chmod(0o777)
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.mark.parametrize("folder", ["run/segments", "run"])
def test_permission_lost_in_the_middle(
    folder: str, somebody: None, job_of: Jobs, watcher: Watcher, tmp_path: Path
) -> None:
    job = job_of("frames=24", out="run")
    harm = after_two_chunks(lambda: (tmp_path / folder).chmod(0o555))
    with harm, pytest.raises(StoreError, match=r"permission denied; make it writable, or choose another output\.dir"):
        run_job(job, LocalFarm, watcher)
    (tmp_path / folder).chmod(0o755)
    kept = RunDir(tmp_path / "run").records()
    assert len(kept) >= 2
    outcome = run_job(job, LocalFarm, watcher)
    assert outcome.rendered == 24 - sum(len(chunk.frames) for chunk in kept)
    assert indices(outcome.film) == list(range(24))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EDQUOT, "your quota is used up; free some space and run the same command again"),
        (errno.ESTALE, "the network disk has lost it; mount it again and run the same command again"),
        (errno.EIO, "the disk cannot read or write it; check the disk"),
        (errno.ETIMEDOUT, "the disk does not answer; when it does again, run the same command again"),
    ],
)
def test_every_refusal_has_a_cure(number: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DiskStore(tmp_path / "run")
    store.create()
    store.write({"plan.json": b"old"})

    def refuse(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreError, match=rf"plan\.json: {words}"):
        store.write({"plan.json": b"new"})
    assert store.read("plan.json") == b"old"


def test_a_disk_that_cannot_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_file: object, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    store = DiskStore(tmp_path)
    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(StoreError, match="this disk cannot lock files; mount it with locking"), store.lock():
        pytest.fail("no lock, no work")


class Sick:
    """A file whose disk goes away once it is locked."""

    def __init__(self, file: Any) -> None:
        self.file, self.truncated = file, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> Sick:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def truncate(self, size: int) -> None:
        self.truncated += 1
        if self.truncated > 1:
            raise OSError(errno.ESTALE, "Stale file handle")
        self.file.truncate(size)

    def close(self) -> None:
        self.file.close()
        raise OSError(errno.ESTALE, "Stale file handle")


def test_unlocking_hides_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DiskStore(tmp_path)
    with monkeypatch.context() as patch:
        real = Path.open
        patch.setattr(Path, "open", lambda path, *mode: Sick(real(path, *mode)))
        with pytest.raises(StoreError, match="the disk is full"), store.lock():
            raise StoreError("the disk is full")
    assert not store.locked()
