"""What every store promises a run directory, told by the same tests on a disk, in memory and on a local S3."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fsspec import get_filesystem_class
from fsspec.implementations.memory import MemoryFileSystem

from render.errors import LockedError, RunDirError
from render.plan import Chunk
from render.store import RunDir, Segment, cleaned
from render.store.base import Store
from render.store.disk import DiskStore
from render.store.object_store import ObjectStore
from tests.segments import RECORD, SEGMENT, SELECTED, SELECTION


@pytest.fixture(params=["disk", "memory", pytest.param("s3", marks=pytest.mark.slow)])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Opens one and the same place again and again, as other processes would."""
    if request.param == "disk":
        return lambda: DiskStore(tmp_path / "run")
    if request.param == "memory":
        place = f"memory://{uuid.uuid4()}/run"
        return lambda: ObjectStore(place, MemoryFileSystem(skip_instance_cache=True), beat_s=0.05, lease_s=0.5)
    place = request.getfixturevalue("bucket") + "/films/run"
    fresh = {"skip_instance_cache": True, "use_listings_cache": False}
    return lambda: ObjectStore(place, get_filesystem_class("s3")(**fresh), beat_s=0.3, lease_s=3)


@pytest.fixture
def rundir(make: Callable[[], Store]) -> RunDir:
    rundir = RunDir(make())
    rundir.create()
    return rundir


def test_a_committed_chunk_counts(rundir: RunDir, make: Callable[[], Store]) -> None:
    rundir.commit(SEGMENT)
    again = RunDir(make())
    assert again.records() == {RECORD.chunk: RECORD}
    assert again.intact(RECORD)
    assert again.fetch("frames/000001.png").read_bytes() == b"four"
    assert (again.size("frames/000001.png"), again.size("video.mp4")) == (4, None)
    again.close()


@pytest.mark.parametrize("name", ["segments/000000-000002.mp4", "frames/000001.png", "segments/000000-000002.json"])
@pytest.mark.parametrize("harm", ["delete", "truncate"])
def test_what_is_not_there_in_full_does_not_count(
    name: str, harm: str, rundir: RunDir, make: Callable[[], Store]
) -> None:
    rundir.commit(SEGMENT)
    store = make()
    if harm == "delete":
        store.delete([name])
    else:
        store.write({name: (store.read(name) or b"")[:-1]})
    assert RunDir(make()).records() == {}


def test_a_flipped_bit_is_found_and_discarded(rundir: RunDir, make: Callable[[], Store]) -> None:
    rundir.commit(SEGMENT)
    assert rundir.intact(RECORD)
    rundir.write(str(RECORD.file), b"sEgment")
    assert not rundir.intact(RECORD), "a copy from before the write would hide it"
    rundir.discard(RECORD)
    rundir.discard(RECORD)
    assert RunDir(make()).records() == {}
    rundir.commit(SEGMENT)
    assert RunDir(make()).records() == {RECORD.chunk: RECORD}
    rundir.close()


def test_a_chunk_rendered_again_counts_as_it_is_now(rundir: RunDir, make: Callable[[], Store]) -> None:
    rundir.commit(SEGMENT)
    rundir.discard(RECORD)
    newer = replace(RECORD, worker="w9", ended=3.5)
    rundir.commit(replace(SEGMENT, record=newer))
    assert RunDir(make()).records() == {RECORD.chunk: newer}


def test_selections_and_foreign_records(rundir: RunDir) -> None:
    rundir.commit(SELECTION)
    for name, text in {"3": "{", "4": "null", "5": '{"record_version": 1}', "6": ""}.items():
        rundir.write(f"segments/00000{name}-000009.json", text.encode())
    assert rundir.records() == {SELECTED.chunk: SELECTED}
    assert rundir.intact(SELECTED)


def test_events_of_all_runs_come_in_order(make: Callable[[], Store]) -> None:
    for run in range(3):
        rundir = RunDir(make())
        rundir.create()
        with rundir.lock():
            for step in range(3):
                rundir.log("step", at=3 * run + step)
            assert [entry.details["at"] for entry in rundir.events()] == list(range(3 * run + 3))
    assert [entry.details["at"] for entry in RunDir(make()).events()] == list(range(9))


def test_runs_that_take_turns_keep_their_parts(make: Callable[[], Store]) -> None:
    """One process that comes back after another: what the other wrote stays, and the order too."""
    first, second = RunDir(make()), RunDir(make())
    first.create()
    for turn, rundir in enumerate([first, second, first, second]):
        with rundir.lock():
            rundir.log("turn", number=turn)
    assert [entry.details["number"] for entry in RunDir(make()).events()] == [0, 1, 2, 3]


def test_a_large_file_is_published_whole(rundir: RunDir, make: Callable[[], Store]) -> None:
    beside = rundir.scratch("video.mp4")
    beside.write_bytes(b"film" * 1000)
    assert RunDir(make()).size("video.mp4") is None
    assert rundir.publish(beside, "video.mp4").read_bytes() == b"film" * 1000
    assert not beside.exists()
    assert RunDir(make()).size("video.mp4") == 4000
    rundir.close()


def test_one_driver_at_a_time(make: Callable[[], Store]) -> None:
    first, second = RunDir(make()), RunDir(make())
    first.create()
    assert not first.locked()
    with first.lock():
        assert second.locked()
        with pytest.raises(LockedError, match="is rendering here; wait for it, stop it, or choose"), second.lock():
            pytest.fail("two drivers")
    with second.lock():
        assert first.locked()
    assert not first.locked()


def test_copies_go_with_the_lock(rundir: RunDir) -> None:
    rundir.commit(SEGMENT)
    with rundir.lock():
        copy = rundir.fetch(str(RECORD.file))
        assert copy.read_bytes() == b"segment"
        assert rundir.fetch(str(RECORD.file)) == copy
        assert not rundir.fetch("segments/none.mp4").exists()
    assert copy.exists() == isinstance(rundir.location(), Path)


def names(store: Store) -> set[str]:
    return {name for folder in ("", "segments", "frames", "events", "index") for name in store.sizes(folder)}


@pytest.mark.parametrize("keep_film", [True, False], ids=["keep the film", "all"])
def test_clean(keep_film: bool, rundir: RunDir, make: Callable[[], Store]) -> None:
    rundir.commit(SEGMENT)
    for name in ("plan.json", "job.yaml", "video.mp4", "report.html", "report.json", "notes.txt", "segments/mine.txt"):
        rundir.write(name, b"x")
    rundir.log("run-finished")
    before = names(make())
    removed = RunDir(make()).clean(keep_film=keep_film)
    after = names(make())
    assert {"notes.txt", "segments/mine.txt"} <= after
    assert not {str(RECORD.file), "segments/000000-000002.json"} & after
    assert RunDir(make()).records() == {}
    assert cleaned(RunDir(make()).events()) == keep_film
    if keep_film:
        assert {"video.mp4", "plan.json", "frames/000000.png"} <= after
        assert removed == 2
    else:
        assert after == {"notes.txt", "segments/mine.txt"}
        assert removed in (len(before) - 2, len(before) - 1)  # with the lock's file


def test_clean_refuses_what_is_no_run_directory(rundir: RunDir) -> None:
    rundir.write("precious.mp4", b"x")
    with pytest.raises(RunDirError, match="this is no run directory; nothing was deleted"):
        rundir.clean(keep_film=False)
    assert rundir.size("precious.mp4") == 1


class Counting(MemoryFileSystem):  # type: ignore[misc]
    """Counts what is read one by one."""

    reads = 0

    def cat_file(self, path: str, *args: Any, **kwargs: Any) -> bytes:
        type(self).reads += "/segments/" in path
        return bytes(super().cat_file(path, *args, **kwargs))


def test_records_of_an_object_store_are_read_in_bulk() -> None:
    store = ObjectStore(f"memory://{uuid.uuid4()}/run", Counting(skip_instance_cache=True), beat_s=0.05)
    rundir, chunks = RunDir(store), [Chunk(start, start + 2) for start in range(0, 600, 2)]
    with rundir.lock():
        for chunk in chunks:
            record = replace(RECORD, chunk=chunk, file=f"segments/{chunk.name}.mp4", stills=None, stills_bytes={})
            rundir.commit(Segment(record, b"segment"))
    Counting.reads = 0
    assert sorted(rundir.records()) == chunks
    assert Counting.reads == 0
    store.delete(name for name in store.sizes("index"))
    with rundir.lock():
        assert sorted(rundir.records()) == chunks, "without the index they are read one by one"
    assert Counting.reads == 300
    assert sorted(rundir.records()) == chunks
    assert Counting.reads == 300, "and the index is there again"


def test_an_index_of_garbage_is_passed_over(make: Callable[[], Store], rundir: RunDir) -> None:
    rundir.commit(SEGMENT)
    rundir.write(
        "index/000007.jsonl",
        b'{"name": 5}\n{"name": "x", "text": 5}\n\xff\n[]\nnull\n{"name": "segments/000000-000002.json"',
    )
    assert RunDir(make()).records() == {RECORD.chunk: RECORD}


def test_an_index_that_lies_counts_for_nothing(make: Callable[[], Store], rundir: RunDir) -> None:
    rundir.commit(SEGMENT)
    ghost = replace(RECORD, chunk=Chunk(2, 4), file="segments/000002-000004.mp4")
    entry = {"name": "segments/000002-000004.json", "text": ghost.to_json()}
    rundir.write("index/000007.jsonl", json.dumps(entry).encode() + b"\n")
    assert list(RunDir(make()).records()) == [RECORD.chunk]
