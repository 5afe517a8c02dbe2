"""The run directory: whole files only, records that can be trusted, one driver at a time."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from render.errors import LockedError, RunDirError, StoreError
from render.plan import Chunk, Plan
from render.store import RunDir, cleaned
from render.store.disk import DiskStore
from tests.segments import RECORD, SEGMENT, SELECTED, SELECTION

Make = Callable[..., Plan]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def rundir(folder: Path) -> RunDir:
    rundir = RunDir(folder)
    rundir.create()
    return rundir


@contextmanager
def another_process_holds(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another driver, as far as the lock can tell."""
    code = f"import fcntl, time; f = open({str(path / 'lock')!r}, 'a+'); fcntl.flock(f, fcntl.LOCK_EX); "
    code += "f.truncate(0); f.write('process 1 on elsewhere'); f.flush(); print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_committed_chunk_counts(folder: Path, rundir: RunDir) -> None:
    rundir.commit(SEGMENT)
    assert rundir.records() == {RECORD.chunk: RECORD}
    assert rundir.intact(RECORD)
    assert (folder / "frames" / "000001.png").read_bytes() == b"four"
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == [
        "000000-000002.json",
        "000000-000002.mp4",
        "000000.png",
        "000001.png",
    ]


class Watched(DiskStore):
    """A disk that remembers the order of its writes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.written: list[str] = []

    def write(self, files: Mapping[str, bytes]) -> None:
        self.written += files
        super().write(files)


def test_the_record_is_written_last(folder: Path) -> None:
    store = Watched(folder)
    store.create()
    RunDir(store).commit(SEGMENT)
    assert store.written[-1] == "segments/000000-000002.json"
    assert len(store.written) == 4


@pytest.mark.parametrize(
    "name",
    ["segments/000000-000002.mp4", "frames/000001.png", "segments/000000-000002.json"],
    ids=["film", "still", "record"],
)
@pytest.mark.parametrize("harm", ["delete", "truncate"])
def test_what_is_not_there_in_full_does_not_count(name: str, harm: str, folder: Path, rundir: RunDir) -> None:
    rundir.commit(SEGMENT)
    path = folder / name
    if harm == "delete":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    assert rundir.records() == {}


@pytest.mark.parametrize(
    "text",
    ["", "{", "5", "[]", "null", "\udcff", "{}", '{"record_version": 2}', '{"record_version": 1}'],
    ids=["empty", "torn", "number", "list", "null", "garbage", "nothing", "newer", "no fields"],
)
def test_records_that_are_none_do_not_count(text: str, folder: Path, rundir: RunDir) -> None:
    (folder / "segments" / "000000-000002.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert rundir.records() == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[(name, None) for name in ("stills_bytes", "pictures", "chunk", "notes", "began")],
        ("chunk", {"start": "a", "stop": "b", "step": 1}),
        ("chunk", {"start": 0, "stop": 2, "step": 0}),
        ("chunk", {"start": 0, "stop": 10**12, "step": 1}),
        ("began", "x"),
        ("ended", float("inf")),
        ("timings_s", {"decode": float("nan")}),
        ("bytes", "4"),
        ("pictures", [1, 2]),
        ("notes", [{"frame": "0", "kind": "a", "text": "b"}]),
        ("more", 1),
    ],
    ids=str,
)
def test_records_with_another_value_do_not_count(field: str, value: object, folder: Path, rundir: RunDir) -> None:
    content = json.loads(RECORD.to_json()) | {field: value}
    rundir.commit(SEGMENT)
    (folder / "segments" / "000000-000002.json").write_text(json.dumps(content))
    assert rundir.records() == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("file", "segments/000002-000004.mp4"),
        ("file", "/etc/passwd"),
        ("file", "../victim.mp4"),
        ("file", "segments/000000-000002.exe"),
        ("stills_bytes", {"../../victim.png": 4}),
        ("stills_bytes", {"000002.png": 4}),
        ("chunk", {"start": 2, "stop": 4, "step": 1}),
    ],
    ids=str,
)
def test_a_record_names_no_files_but_those_of_its_chunk(
    field: str, value: object, folder: Path, rundir: RunDir
) -> None:
    rundir.commit(SEGMENT)
    (folder / "segments" / "000002-000004.mp4").write_bytes(SEGMENT.data)
    (folder / "frames" / "000002.png").write_bytes(b"four")
    content = json.loads(RECORD.to_json())
    stills = content["stills_bytes"] | value if field == "stills_bytes" else content["stills_bytes"]
    content |= {"stills_bytes": stills} if field == "stills_bytes" else {field: value}
    (folder / "segments" / "000000-000002.json").write_text(json.dumps(content))
    assert RunDir(folder).records() == {}


def test_a_record_of_too_few_pictures_does_not_count(folder: Path, rundir: RunDir) -> None:
    rundir.commit(SEGMENT)
    (folder / "segments" / "000000-000002.json").write_text(replace(RECORD, pictures=RECORD.pictures[1:]).to_json())
    assert rundir.records() == {}


def test_a_flipped_bit_is_found(folder: Path, rundir: RunDir) -> None:
    rundir.commit(SEGMENT)
    (folder / "segments" / "000000-000002.mp4").write_bytes(b"sEgment")
    assert list(rundir.records()) == [RECORD.chunk], "sums are not computed on every look"
    assert not rundir.intact(RECORD)
    rundir.discard(RECORD)
    assert rundir.records() == {}
    rundir.discard(RECORD)


def test_a_selection_has_its_records_beside_the_stills(folder: Path, rundir: RunDir) -> None:
    rundir.commit(SELECTION)
    assert (folder / "frames" / "000000-000003x2.json").exists()
    assert rundir.records() == {SELECTED.chunk: SELECTED}
    assert rundir.intact(SELECTED)


class Counting(DiskStore):
    """Remembers the records that were read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read_names: list[str] = []

    def read_marks(self, sizes: Mapping[str, int]) -> dict[str, bytes]:
        self.read_names += sizes
        return super().read_marks(sizes)


def test_a_driver_reads_a_record_once_but_looks_every_time(folder: Path, rundir: RunDir) -> None:
    """Thousands of small reads take seconds on a network disk; the listing still says what counts."""
    rundir.commit(SEGMENT)
    later = replace(RECORD, chunk=Chunk(2, 4), file="segments/000002-000004.mp4", stills=None, stills_bytes={})
    store = Counting(folder)
    driver, first, second = (
        RunDir(store),
        folder / "segments/000000-000002.json",
        folder / "segments/000002-000004.json",
    )
    with driver.lock():
        assert list(driver.records()) == [RECORD.chunk]
        driver.commit(replace(SEGMENT, record=later, stills={}))
        assert driver.records() == {RECORD.chunk: RECORD, later.chunk: later}
        assert store.read_names == ["segments/000000-000002.json"]
        second.write_text(second.read_text()[:-1])
        assert list(driver.records()) == [RECORD.chunk], "torn meanwhile"
        first.unlink()
        assert driver.records() == {}
    first.write_text(RECORD.to_json().replace("w0", "w1"))
    assert driver.records()[RECORD.chunk].worker == "w1", "without the lock others may write"


def test_a_failed_write_leaves_the_old_file(folder: Path, rundir: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    rundir.write("plan.json", b"old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"plan\.json: the disk is full; free some space and run the same command"):
        rundir.write("plan.json", b"new")
    assert rundir.read_text("plan.json") == "old"
    assert sorted(path.name for path in folder.iterdir()) == ["plan.json", "segments"]


def test_a_run_directory_beneath_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="something on the way to it is a file"):
        RunDir(tmp_path / "file" / "run").create()
    with pytest.raises(StoreError, match="something on the way to it is a file"):
        RunDir(tmp_path / "file").create()


def test_a_deleted_run_directory_is_named(tmp_path: Path) -> None:
    rundir = RunDir(tmp_path / "gone")
    with pytest.raises(StoreError, match="it is gone"):
        rundir.log("sent")
    with pytest.raises(StoreError, match="it is gone"), rundir.lock():
        pass
    assert rundir.read_text("plan.json") is None
    assert (rundir.events(), rundir.records(), rundir.locked()) == ([], {}, False)


def test_publish_moves_what_is_whole(rundir: RunDir) -> None:
    beside = rundir.scratch("video.mp4")
    beside.write_bytes(b"film")
    assert rundir.publish(beside, "video.mp4").read_bytes() == b"film"
    assert not beside.exists()


def test_plans_come_back(rundir: RunDir, plan_of: Make) -> None:
    assert rundir.read_plan() is None
    rundir.write("plan.json", plan_of().to_json().encode())
    assert rundir.read_plan() == plan_of()


@pytest.mark.parametrize("raw", [b"", b"{", b"5", b"[]", b"{}", b"\xff\xfe", b'{"plan_version": 9}'], ids=repr)
def test_plans_that_are_none(raw: bytes, rundir: RunDir) -> None:
    rundir.write("plan.json", raw)
    with pytest.raises(RunDirError, match=r"plan\.json: cannot be read \(.*\); choose another output\.dir"):
        rundir.read_plan()


def test_events_survive_a_torn_line(folder: Path, rundir: RunDir) -> None:
    rundir.log("sent", worker="w0", chunk="000000-000002")
    with (folder / "events.jsonl").open("ab") as file:
        file.write(b'{"time": 1, "ev\xff\n5\n[]\n{}\n')
    rundir.log("done")
    assert [entry.event for entry in rundir.events()] == ["sent", "done"]
    assert rundir.events()[0].worker == "w0"


def test_one_driver_at_a_time(folder: Path, rundir: RunDir) -> None:
    with another_process_holds(folder) as process:
        assert rundir.locked()
        with pytest.raises(LockedError, match="process 1 on elsewhere is rendering here; wait for it"), rundir.lock():
            pytest.fail("two drivers")
        process.kill()
        process.wait()
        assert not rundir.locked()
        with rundir.lock():
            assert rundir.locked()
            assert f"process {os.getpid()} on " in (folder / "lock").read_text()
    assert not rundir.locked()


def test_errors_under_the_lock_are_not_blamed_on_the_disk(rundir: RunDir) -> None:
    with pytest.raises(BrokenPipeError), rundir.lock():
        raise BrokenPipeError
    assert not rundir.locked()


@pytest.mark.parametrize("keep_film", [True, False], ids=["keep the film", "all"])
def test_clean(keep_film: bool, folder: Path, rundir: RunDir) -> None:
    rundir.commit(SEGMENT)
    for name in ("plan.json", "job.yaml", "video.mp4", "report.html", "report.json", "events.jsonl"):
        rundir.write(name, b"x")
    leftovers = ("segments/.000002-000004.mp4.part", ".plan.json.part", ".part.video.mp4")
    for name in leftovers:
        (folder / name).write_text("killed in the middle of a write")
    (folder / "notes.txt").write_text("of the user")
    (folder / "segments" / "mine.txt").write_text("of the user")
    before = [path for path in folder.rglob("*") if path.is_file()]
    removed = rundir.clean(keep_film=keep_film)
    after = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    whole = {"events.jsonl", "job.yaml", "lock", "plan.json", "report.html", "report.json", "video.mp4"}
    stills = {f"frames/{index:06}.png" for index in SEGMENT.stills}
    assert set(after) == {"notes.txt", "segments/mine.txt"} | (whole | stills if keep_film else set())
    assert removed == len({*before, folder / "lock"}) - len(after)
    assert cleaned(rundir.events()) == keep_film


def test_clean_leaves_no_empty_folder(folder: Path, rundir: RunDir) -> None:
    rundir.commit(SEGMENT)
    rundir.write("plan.json", b"x")
    rundir.clean(keep_film=False)
    assert not folder.exists()


def test_clean_refuses_what_is_no_run_directory(tmp_path: Path) -> None:
    (tmp_path / "000000-000008.mp4").write_text("precious")
    with pytest.raises(RunDirError, match="this is no run directory; nothing was deleted"):
        RunDir(tmp_path).clean(keep_film=False)
    with pytest.raises(RunDirError, match="no run directory"):
        RunDir(tmp_path / "missing").clean(keep_film=False)
    assert [path.name for path in tmp_path.iterdir()] == ["000000-000008.mp4"]


def test_clean_refuses_while_a_driver_is_at_work(folder: Path, rundir: RunDir) -> None:
    rundir.write("plan.json", b"x")
    with another_process_holds(folder), pytest.raises(LockedError):
        rundir.clean(keep_film=False)
    assert (folder / "plan.json").exists()


def test_the_log_keeps_no_secrets(tmp_path: Path) -> None:
    rundir = RunDir(tmp_path / "run")
    rundir.create()
    rundir.log(
        "failed", worker="w0", cause="401 for https://me:pass@hub", details="Authorization: Bearer hf_" + "a" * 30
    )
    text = rundir.read_text("events.jsonl")
    assert text is not None
    assert "pass" not in text
    assert "aaaa" not in text
    assert rundir.events()[0].worker == "w0"
