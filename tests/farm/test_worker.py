"""A worker: a chunk in, a segment out, with sums, stills and times."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from render.engine.base import Frame
from render.engine.testcard import draw, read_index
from render.errors import EngineError, RunDirError, VideoError
from render.farm.encoding import AHEAD, SegmentEncoder
from render.farm.worker import Worker
from render.plan import Chunk, Plan, Stopwatch
from render.store import Note, Segment
from render.video.codecs import CODECS
from render.video.reader import decode
from render.video.stills import read_still

Make = Callable[..., Plan]


def opened(plan: Plan) -> Worker:
    worker = Worker("w7")
    worker.open(plan.to_json())
    return worker


def indices(segment: Segment, path: Path) -> list[int | None]:
    path.write_bytes(segment.data)
    return [read_index(frame) for frame in decode(path)]


def test_a_chunk_becomes_a_segment(plan_of: Make, tmp_path: Path) -> None:
    plan = plan_of()
    segment = opened(plan).render(Chunk(4, 8))
    record = segment.record
    assert indices(segment, tmp_path / "segment.mp4") == [4, 5, 6, 7]
    assert (record.chunk, record.digest, record.worker) == (Chunk(4, 8), plan.digest, "w7")
    assert (record.file, record.bytes) == ("segments/000004-000008.mp4", len(segment.data))
    assert record.sha256 == hashlib.sha256(segment.data).hexdigest()
    assert list(record.pictures) == [hashlib.sha256(draw(i, 12, 128, 72).tobytes()).hexdigest() for i in range(4, 8)]
    assert {"denoise", "encode", "wait"} == set(record.timings_s)
    assert record.began <= record.ended
    assert (segment.stills, record.stills, record.notes) == ({}, None, ())


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_stills(suffix: str, plan_of: Make) -> None:
    segment = opened(plan_of(f"output.frames={suffix}")).render(Chunk(8, 12))
    assert list(segment.stills) == [8, 9, 10, 11]
    assert {name: len(segment.stills[int(name[:6])]) for name in segment.record.stills_bytes} == dict(
        segment.record.stills_bytes
    )
    assert set(segment.record.stills_bytes) == {f"0000{place:02}.{suffix}" for place in range(8, 12)}
    assert read_index(read_still(segment.stills[9])) == 9
    if suffix == "png":
        assert np.array_equal(read_still(segment.stills[9]), draw(9, 12, 128, 72))


def test_a_selection_gets_stills_and_no_video(plan_of: Make) -> None:
    segment = opened(plan_of("output.frames=png")).render(Chunk(1, 8, 3))
    assert [read_index(read_still(still)) for still in segment.stills.values()] == [1, 4, 7]
    assert (segment.data, segment.record.file, len(segment.record.pictures)) == (b"", None, 3)


@pytest.mark.parametrize("chunk", ["3", "4", "12"])
def test_a_picture_depends_on_the_plan_and_its_index_only(chunk: str, plan_of: Make) -> None:
    plan = plan_of(f"farm.chunk={chunk}")
    worker = opened(plan)
    sums = [total for one in reversed(plan.chunks) for total in reversed(worker.render(one).record.pictures)]
    assert sums[::-1] == list(opened(plan_of()).render(Chunk(0, 12)).record.pictures)


def test_the_same_chunk_gives_the_same_bytes(plan_of: Make) -> None:
    first, second = (opened(plan_of()).render(Chunk(0, 4)).data for _ in range(2))
    assert first == second


def test_another_model_than_the_plans_is_refused(plan_of: Make) -> None:
    plan = plan_of()
    foreign = replace(plan, model=replace(plan.model, fingerprint="f" * 64))
    with pytest.raises(RunDirError, match=r"testcard on .* has other files than the plan"):
        opened(foreign)


class Source:
    """Pictures that are as the test wants them."""

    sampler_table = "table"
    warnings = ("a warning",)

    def __init__(self, make: Callable[[int], Frame]) -> None:
        self.make = make

    def pictures(self, frames: Sequence[int], watch: Stopwatch) -> Iterator[Frame]:
        for index in frames:
            yield self.make(index)


def worker_with(plan: Plan, make: Callable[[int], Frame], monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setattr(Worker, "_open_source", lambda *_: Source(make))
    return opened(plan)


def test_an_encoder_that_is_not_there_is_missed_before_anything_is_rendered(
    plan_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of("frames=8")
    monkeypatch.setattr("render.video.codecs.CODECS", {"h264": replace(CODECS["h264"], encoder="libmissing")})
    with pytest.raises(VideoError, match="without libmissing; choose another codec"):
        Worker("w0").open(plan.to_json())


def test_remarks_become_notes(plan_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(index: int) -> Frame:
        return Frame(index, draw(index, 12, 128, 72), ("blank", "was blank") if index == 2 else None)

    record = worker_with(plan_of(), make, monkeypatch).render(Chunk(0, 4)).record
    assert (record.notes, record.sampler_table) == ((Note(2, "blank", "was blank"),), "table")


def test_an_error_of_the_engine_passes_and_the_worker_lives_on(plan_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [5]

    def make(index: int) -> Frame:
        if index in broken:
            raise EngineError("NaN in frame 5")
        return Frame(index, draw(index, 12, 128, 72))

    worker = worker_with(plan_of(), make, monkeypatch)
    with pytest.raises(EngineError, match="NaN in frame 5"):
        worker.render(Chunk(4, 8))
    broken.clear()
    assert len(worker.render(Chunk(4, 8)).record.pictures) == 4


@pytest.mark.parametrize("frames", [4, 2 * AHEAD + 8], ids=["short", "longer than what may wait"])
def test_an_error_of_the_encoder_passes(frames: int, plan_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(index: int) -> Frame:
        return Frame(index, draw(index, frames, *((128, 72) if index else (64, 64))))

    worker = worker_with(plan_of(f"frames={frames}", f"farm.chunk={frames}"), make, monkeypatch)
    with pytest.raises(VideoError, match=r"frame 0 is uint8 \(64, 64, 3\)"):
        worker.render(Chunk(0, frames))


def test_pictures_stay_in_order_behind_a_full_queue(plan_of: Make, tmp_path: Path) -> None:
    frames = 2 * AHEAD + 5
    plan = plan_of(f"frames={frames}", f"farm.chunk={frames}", "size=64x64")
    segment = opened(plan).render(Chunk(0, frames))
    assert indices(segment, tmp_path / "segment.mp4") == list(range(frames))


def test_a_segment_is_plain_data(plan_of: Make) -> None:
    import pickle

    segment = opened(plan_of("output.frames=png")).render(Chunk(0, 4))
    assert pickle.loads(pickle.dumps(segment)) == segment
    assert not isinstance(segment.data, io.IOBase)


def test_a_chunk_is_rendered_while_the_one_before_is_encoded(plan_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second chunk's device work ends before the first one's encoder is let go."""
    worker, rendered, release = opened(plan_of()), Event(), Event()
    finish, render = SegmentEncoder.finish, Worker._render

    def slow_finish(encoder: SegmentEncoder) -> bytes:
        assert release.wait(30)
        return finish(encoder)

    def watched(self: Worker, chunk: Chunk) -> object:
        done = render(self, chunk)
        if chunk.start == 4:
            rendered.set()
        return done

    monkeypatch.setattr(SegmentEncoder, "finish", slow_finish)
    monkeypatch.setattr(Worker, "_render", watched)
    with ThreadPoolExecutor(2) as threads:
        segments = [threads.submit(worker.render, chunk) for chunk in worker._plan.chunks[:2]]
        assert rendered.wait(30)
        assert not any(segment.done() for segment in segments)
        release.set()
        first, second = (segment.result() for segment in segments)
    assert first.record.ended <= second.record.began
    assert [first.record.chunk.start, second.record.chunk.start] == [0, 4]
