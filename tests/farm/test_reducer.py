"""The reducer: segments in any order, in the film in order; a gap or a stranger is refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.engine.testcard import read_index
from render.errors import RunDirError, VideoError
from render.farm.reducer import damaged, film_stands, make_film, ordered
from render.farm.worker import Worker
from render.plan import Plan, film_name
from render.store import Record, RunDir
from render.video.reader import decode, probe

Make = Callable[..., Plan]


def record_of(plan: Plan, place: int) -> Record:
    chunk = plan.chunks[place]
    return Record(
        digest=plan.digest,
        chunk=chunk,
        pictures=("0" * 64,) * len(chunk.frames),
        file=f"segments/{chunk.name}.mp4",
        bytes=0,
        sha256="",
        stills=None,
        stills_bytes={},
        worker="w",
        device="cpu",
        began=0.0,
        ended=1.0,
        timings_s={},
        versions={},
        sampler_table="",
    )


@given(frames=st.integers(1, 200), chunk=st.integers(1, 40), dice=st.randoms(use_true_random=False))
def test_any_order_becomes_the_order_of_the_film(frames: int, chunk: int, dice: random.Random, plan_of: Make) -> None:
    plan = plan_of(f"frames={frames}", f"farm.chunk={chunk}")
    records = [record_of(plan, place) for place in range(len(plan.chunks))]
    dice.shuffle(records)
    in_order = ordered(plan, {record.chunk: record for record in records})
    assert [index for record in in_order for index in record.chunk.frames] == list(range(frames))


@given(data=st.data())
def test_any_gap_is_refused(data: st.DataObject, plan_of: Make) -> None:
    plan = plan_of("frames=40")
    gone = data.draw(st.sets(st.integers(0, 9), min_size=1))
    records = [record_of(plan, place) for place in range(10) if place not in gone]
    with pytest.raises(RunDirError, match=rf"^missing: {len(gone)} of 10 chunks, {plan.chunks[min(gone)]}"):
        ordered(plan, {record.chunk: record for record in records})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"digest": "e" * 64}, "frames 4-7: was rendered for another plan"),
        ({"pictures": ("0" * 64,) * 3}, "frames 4-7: its done record tells of 3 pictures"),
    ],
    ids=["digest", "pictures"],
)
def test_foreign_records_are_refused(change: dict[str, object], words: str, plan_of: Make) -> None:
    plan = plan_of()
    records = [record_of(plan, place) for place in range(3)]
    records[1] = replace(records[1], **change)  # type: ignore[arg-type]
    with pytest.raises(RunDirError, match=words):
        ordered(plan, {record.chunk: record for record in records})


def test_film_names(plan_of: Make) -> None:
    assert [film_name(plan_of(f"output.video={video}")) for video in ("mp4", "gif", "null")] == [
        "video.mp4",
        "video.gif",
        None,
    ]


def rendered(plan: Plan, path: Path) -> RunDir:
    """A run directory with every chunk of the plan."""
    rundir = RunDir(path)
    rundir.create()
    worker = Worker("w")
    worker.open(plan.to_json())
    for chunk in reversed(plan.chunks):
        rundir.commit(worker.render(chunk))
    return rundir


def test_a_film_is_made_whole_and_says_what_it_is(plan_of: Make, tmp_path: Path) -> None:
    plan = plan_of()
    rundir = rendered(plan, tmp_path)
    assert not film_stands(plan, rundir)
    film = make_film(plan, rundir, rundir.records())
    assert film == tmp_path / "video.mp4"
    assert [read_index(frame) for frame in decode(film)] == list(range(12))
    assert film_stands(plan, rundir)
    assert not film_stands(plan_of("steps=3"), rundir), "a film of another plan is no film"
    assert probe(film).metadata["render-digest"] == plan.digest
    assert list(tmp_path.glob(".part*")) == []
    film.write_bytes(film.read_bytes()[:-100])
    assert not film_stands(plan, rundir)


def test_a_failed_join_leaves_the_old_film(plan_of: Make, tmp_path: Path) -> None:
    plan = plan_of()
    rundir = rendered(plan, tmp_path)
    (tmp_path / "video.mp4").write_bytes(b"the film of yesterday")
    records = rundir.records()
    path = tmp_path / str(records[plan.chunks[1]].file)
    path.write_bytes(path.read_bytes()[:-900])
    assert damaged(rundir, records.values()) == [records[plan.chunks[1]]]
    with pytest.raises(VideoError, match=path.name):
        make_film(plan, rundir, records)
    assert (tmp_path / "video.mp4").read_bytes() == b"the film of yesterday"
    assert list(tmp_path.glob(".part*")) == []


@pytest.mark.parametrize("swap", [False, True], ids=["as committed", "swapped"])
def test_segments_are_told_apart_by_their_sums(swap: bool, plan_of: Make, tmp_path: Path) -> None:
    """Two segments of one length change places: only the sums can tell."""
    plan = plan_of()
    rundir = rendered(plan, tmp_path)
    paths = [tmp_path / str(record.file) for record in rundir.records().values()]
    first, second = (path.read_bytes() for path in paths[:2])
    if swap:
        paths[0].write_bytes(second)
        paths[1].write_bytes(first)
    assert len(damaged(rundir, ordered_records(plan, rundir))) == (2 if swap else 0)


def ordered_records(plan: Plan, rundir: RunDir) -> list[Record]:
    return [Record.from_json(str(rundir.read_text(f"segments/{chunk.name}.json"))) for chunk in plan.chunks]


def test_no_film_is_made_of_a_gap(plan_of: Make, tmp_path: Path) -> None:
    plan = plan_of()
    rundir = rendered(plan, tmp_path)
    rundir.discard(rundir.records()[plan.chunks[2]])
    with pytest.raises(RunDirError, match="missing: 1 of 3 chunks, frames 8-11"):
        make_film(plan, rundir, rundir.records())
    assert not (tmp_path / "video.mp4").exists()


def test_a_job_without_a_film(plan_of: Make, tmp_path: Path) -> None:
    plan = plan_of("output.video=null")
    rundir = rendered(plan, tmp_path)
    assert make_film(plan, rundir, rundir.records()) is None
    assert film_stands(plan, rundir)
