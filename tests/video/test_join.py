"""Joining: the film is its segments, frame for frame, or there is no film."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from render.errors import VideoError
from render.video.codecs import CODECS, VideoFormat
from render.video.join import join
from render.video.pixels import Pixels
from render.video.reader import decode, probe
from render.video.segment import SegmentWriter

GOOD = VideoFormat("h264", 64, 48, Fraction(24))
COUNTS = (1, 17, 2, 5, 1)
RATES = [Fraction(24), Fraction(25), Fraction(30), Fraction(60), Fraction(24000, 1001)]


def picture(index: int) -> Pixels:
    y, x = np.mgrid[:48, :64]
    return np.stack([x * 2 + index, y * 3 + 40, np.full_like(x, 250 - 5 * index)], axis=-1).astype(np.uint8)


def segment(path: Path, fmt: VideoFormat, start: int, count: int) -> Path:
    with path.open("wb") as file, SegmentWriter(file, fmt) as writer:
        for index in range(start, start + count):
            writer.write(picture(index))
    return path


def segments(folder: Path, fmt: VideoFormat, counts: tuple[int, ...] = COUNTS) -> list[Path]:
    starts = np.cumsum([0, *counts]).tolist()
    return [
        segment(folder / f"{start:06}{fmt.suffix}", fmt, start, count)
        for start, count in zip(starts, counts, strict=False)
    ]


def times(path: Path) -> tuple[list[Fraction], list[Fraction]]:
    """When each packet is shown and decoded, in seconds."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        return [p.pts * p.time_base for p in packets], [p.dts * p.time_base for p in packets]


@pytest.mark.parametrize("fps", RATES, ids=str)
@pytest.mark.parametrize("codec", CODECS)
def test_the_film_is_its_segments(codec: str, fps: Fraction, tmp_path: Path) -> None:
    fmt = replace(GOOD, codec=codec, fps=fps)
    paths, target = segments(tmp_path, fmt), tmp_path / f"film{fmt.suffix}"
    info = join(paths, COUNTS, target, fmt, {})
    assert (info.frames, info.fps, info.colour) == (sum(COUNTS), fps, probe(paths[0]).colour)
    wanted = [frame for path in paths for frame in decode(path)]
    assert np.array_equal(list(decode(target)), wanted)
    shown, decoded = times(target)
    assert sorted(shown) == [index / fps for index in range(sum(COUNTS))]
    assert np.all(np.diff([float(time) for time in decoded]) > 0)
    assert all(late <= early for late, early in zip(decoded, shown, strict=True))


def test_b_frames_are_really_there(tmp_path: Path) -> None:
    """Else the test above would say nothing about reordering."""
    for codec in ("h264", "h265"):
        shown, _ = times(segment(tmp_path / f"{codec}.mp4", replace(GOOD, codec=codec), 0, 17))
        assert shown != sorted(shown)


def test_joining_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    paths = segments(tmp_path, GOOD)
    films = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for film in films:
        join(paths, COUNTS, film, GOOD, {"title": "x"})
    assert films[0].read_bytes() == films[1].read_bytes()


@pytest.mark.parametrize("codec", ["h264", "prores"], ids=["mp4", "mov"])
def test_metadata_of_any_key_and_length_comes_back(codec: str, tmp_path: Path) -> None:
    fmt = replace(GOOD, codec=codec)
    metadata = {"render_spec": "prompt: “sün” = 1; #\n" * 1000, "render_digest": "0f" * 32, "title": "A film"}
    film = tmp_path / f"film{fmt.suffix}"
    info = join(segments(tmp_path, fmt, (2,)), [2], film, fmt, metadata)
    assert {key: info.metadata[key] for key in metadata} == metadata
    data = film.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "players on the web start before the whole file is there"


def test_the_tag_that_apple_wants_survives(tmp_path: Path) -> None:
    fmt = replace(GOOD, codec="h265")
    join(segments(tmp_path, fmt, (2, 1)), [2, 1], tmp_path / "film.mp4", fmt, {})
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


@pytest.fixture
def few_files() -> Iterator[int]:
    """At most this many more open files than now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = max((int(entry.name) for entry in Path("/proc/self/fd").iterdir()), default=64)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 16, hard))
    yield 16
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux shows them")
def test_more_segments_than_files_may_be_open(tmp_path: Path, few_files: int) -> None:
    path, many = segment(tmp_path / "one.mp4", GOOD, 0, 2), 4 * few_files
    assert join([path] * many, [2] * many, tmp_path / "film.mp4", GOOD, {}).frames == 2 * many


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        pytest.param({"crf": 30}, "extradata", id="quality"),
        pytest.param({"preset": "ultrafast"}, "extradata", id="preset"),
        pytest.param({"fps": Fraction(25)}, "time_base 1/12288 and 1/12800", id="rate"),
        pytest.param({"height": 46}, "height 48 and 46", id="size"),
        pytest.param({"codec": "vp9"}, "codec h264 and vp9", id="codec"),
    ],
)
def test_unlike_segments_are_refused_by_name(changes: dict[str, object], difference: str, tmp_path: Path) -> None:
    other = replace(GOOD, **changes)  # type: ignore[arg-type]
    one, two = segment(tmp_path / "one.mp4", GOOD, 0, 2), tmp_path / "two.mp4"
    with two.open("wb") as file, SegmentWriter(file, other) as writer:
        writer.write(picture(0)[: other.height])
    with pytest.raises(VideoError, match=rf"one\.mp4 and .*two\.mp4 cannot be joined: .*{difference}"):
        join([one, two], [2, 1], tmp_path / "film.mp4", GOOD, {})
    assert not (tmp_path / "film.mp4").exists()


@pytest.mark.parametrize("count", [4, 6])
def test_a_segment_of_another_length_is_refused(count: int, tmp_path: Path) -> None:
    paths = segments(tmp_path, GOOD, (2, 5))
    with pytest.raises(VideoError, match=rf"000002\.mp4: holds 5 frames instead of {count}"):
        join(paths, [2, count], tmp_path / "film.mp4", GOOD, {})


def test_segments_of_another_job_are_refused(tmp_path: Path) -> None:
    paths = segments(tmp_path, GOOD, (2,))
    with pytest.raises(VideoError, match=r"000000\.mp4: is h264 .* it belongs to another job"):
        join(paths, [2], tmp_path / "film.mp4", replace(GOOD, fps=Fraction(25)), {})


@pytest.mark.parametrize("share", [0.0, 0.4, 0.95])
def test_a_truncated_segment_in_the_middle_is_refused(share: float, tmp_path: Path) -> None:
    paths = segments(tmp_path, GOOD, (2, 5, 2))
    data = paths[1].read_bytes()
    paths[1].write_bytes(data[: int(len(data) * share)])
    with pytest.raises(VideoError, match=r"000002\.mp4"):
        join(paths, [2, 5, 2], tmp_path / "film.mp4", GOOD, {})


@pytest.mark.parametrize("share", [0.5, 0.8, 0.99])
@pytest.mark.parametrize("codec", ["h264", "ffv1", "prores"])
def test_a_truncated_film_is_noticed(codec: str, share: float, tmp_path: Path) -> None:
    """Its index stands in front and still promises every frame."""
    fmt = replace(GOOD, codec=codec)
    film = tmp_path / f"film{fmt.suffix}"
    join(segments(tmp_path, fmt, (5, 5)), [5, 5], film, fmt, {})
    data = film.read_bytes()
    start = data.index(b"mdat")
    film.write_bytes(data[: start + int((len(data) - start) * share)])
    with pytest.raises(VideoError, match="film"):
        probe(film)
    with pytest.raises(VideoError, match="film"):
        list(decode(film))


@pytest.mark.parametrize("codec", ["ffv1", "prores"])
def test_a_film_cut_between_two_frames_is_noticed(codec: str, tmp_path: Path) -> None:
    """No packet is damaged then: only the count tells."""
    fmt = replace(GOOD, codec=codec)
    film = tmp_path / f"film{fmt.suffix}"
    join(segments(tmp_path, fmt, (5, 5)), [5, 5], film, fmt, {})
    with av.open(str(film)) as container:
        cut = [packet.pos for packet in container.demux(video=0) if packet.size][-2]
    film.write_bytes(film.read_bytes()[:cut])
    with pytest.raises(VideoError, match="holds 8 frames, and its header says 10"):
        probe(film)


def test_nothing_to_join_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no segment"):
        join([], [], tmp_path / "film.mp4", GOOD, {})


def test_a_target_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"nowhere/film\.mp4: cannot be written"):
        join(segments(tmp_path, GOOD, (2,)), [2], tmp_path / "nowhere" / "film.mp4", GOOD, {})
