"""Segments on disk: what was written comes back, whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest

from render.errors import VideoError
from render.video.codecs import CODECS, VideoFormat
from render.video.encoder import Colour
from render.video.pixels import Pixels
from render.video.reader import decode, probe
from render.video.segment import SegmentWriter, check_format

GOOD = VideoFormat("h264", 64, 48, Fraction(24))
LOSSY = [name for name in CODECS if not CODECS[name].lossless]


def picture(index: int, width: int = 64, height: int = 48) -> Pixels:
    """A smooth gradient that moves, with its own shade for every index."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 2 + index, y * 3 + 40, np.full_like(x, 250 - 5 * index)], axis=-1).astype(np.uint8)


def encoded(fmt: VideoFormat, *frames: Pixels) -> bytes:
    file = BytesIO()
    with SegmentWriter(file, fmt) as writer:
        for frame in frames:
            writer.write(frame)
    return file.getvalue()


def written(path: Path, fmt: VideoFormat, *frames: Pixels) -> Path:
    path.write_bytes(encoded(fmt, *frames))
    return path


@pytest.mark.parametrize("codec", CODECS)
def test_frames_come_back_in_order_and_nearly_equal(codec: str, tmp_path: Path) -> None:
    fmt = replace(GOOD, codec=codec)
    frames = [picture(index) for index in range(17)]
    path = written(tmp_path / f"a{fmt.suffix}", fmt, *frames)
    back = list(decode(path))
    assert len(back) == len(frames)
    for mine, theirs in zip(frames, back, strict=True):
        assert theirs.shape == mine.shape
        assert theirs.dtype == np.uint8
        assert np.abs(theirs.astype(int) - mine).mean() < (0.01 if CODECS[codec].lossless else 2.4)


def test_lossless_means_every_bit(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 47, 63, 3), dtype=np.uint8)
    path = written(tmp_path / "a.mp4", VideoFormat("ffv1", 63, 47, Fraction(24)), *noise)
    assert np.array_equal(list(decode(path)), noise)
    assert probe(path).colour == Colour(matrix=0, primaries=1, transfer=13, range=2)


@pytest.mark.parametrize("codec", LOSSY)
def test_colour_is_converted_and_tagged_as_bt709(codec: str, tmp_path: Path) -> None:
    fmt = replace(GOOD, codec=codec, crf=1 if CODECS[codec].crf_range else None)
    red = np.full((48, 64, 3), (200, 30, 30), np.uint8)
    path = written(tmp_path / f"a{fmt.suffix}", fmt, red)
    assert probe(path).colour == Colour(matrix=1, primaries=1, transfer=1, range=1)
    with av.open(str(path)) as container:
        luma, depth = next(container.decode(video=0)), 8 if codec != "prores" else 10
    raw = luma.to_ndarray().ravel()[0] / 2 ** (depth - 8) if codec != "prores" else None
    # 16 + 219 (0.2126 R + 0.7152 G + 0.0722 B), by ITU-R BT.709; BT.601 would give 86
    assert raw is None or raw == pytest.approx(16 + 219 * (0.2126 * 200 + 0.7152 * 30 + 0.0722 * 30) / 255, abs=1)
    np.testing.assert_allclose(next(decode(path))[24, 32], (200, 29, 30), atol=2)


def test_a_grey_ramp_keeps_its_levels(tmp_path: Path) -> None:
    """Decoded with swscale's quick roundings it loses two on average."""
    ramp = np.broadcast_to(np.arange(64, 192, 2, dtype=np.uint8)[None, :, None], (48, 64, 3)).copy()
    path = written(tmp_path / "a.mov", replace(GOOD, codec="prores"), ramp)
    assert np.abs(next(decode(path)).astype(int) - ramp).mean() < 0.25


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("codec", CODECS)
def test_same_frames_same_bytes(codec: str, threads: int) -> None:
    fmt = replace(GOOD, codec=codec, threads=threads)
    frames = [picture(index) for index in range(9)]
    assert encoded(fmt, *frames) == encoded(fmt, *frames)


def test_bytes_do_not_depend_on_what_memory_held_before() -> None:
    """x264 reads memory it never wrote at this width on CPUs with AVX-512, unless its options are chosen with care."""
    code = (
        "import hashlib, io, numpy as np; from fractions import Fraction; from render.video.codecs import *; "
        "from render.video.segment import *\n"
        "file, (y, x) = io.BytesIO(), np.mgrid[:48, :64]\n"
        "with SegmentWriter(file, VideoFormat('h264', 64, 48, Fraction(24))) as writer:\n"
        "    for i in range(17):\n"
        "        writer.write(np.stack([x * 2 + 3 * i, y * 3 + 11 * i, x + y + 7 * i], axis=-1).astype(np.uint8))\n"
        "print(hashlib.sha256(file.getvalue()).hexdigest())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"MALLOC_PERTURB_": fill},  # glibc fills fresh memory with this byte
            capture_output=True,
            check=True,
        ).stdout
        for fill in ("37", "111")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("codec", CODECS)
def test_probe_counts_and_describes(codec: str, count: int, tmp_path: Path) -> None:
    fmt = replace(GOOD, codec=codec, fps=Fraction(24000, 1001))
    info = probe(written(tmp_path / f"a{fmt.suffix}", fmt, *[picture(index) for index in range(count)]))
    assert (info.frames, info.width, info.height, info.fps) == (count, 64, 48, Fraction(24000, 1001))
    assert info.codec == {"h265": "hevc"}.get(codec, codec)
    assert info.pixel_format == CODECS[codec].pixel_format
    assert info.duration_s == pytest.approx(count * 1001 / 24000)


def test_segments_start_with_a_keyframe_and_hide_the_clock_and_the_machine() -> None:
    data = encoded(replace(GOOD, codec="h265"), picture(0), picture(1))
    with av.open(BytesIO(data)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert packets[0].is_keyframe
        assert container.streams[0].codec_context.codec_tag == "hvc1"
        assert "creation_time" not in container.metadata
    assert b"cpuid" not in data
    assert b"Lavf" not in data


def _cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


@pytest.mark.parametrize("read", [probe, lambda path: list(decode(path))], ids=["probe", "decode"])
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(_cut, id="cut before the index"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: b"not a video at all\n" * 50, id="text"),
        pytest.param(lambda data: data.replace(b"moov", b"m00v"), id="index lost"),
    ],
)
def test_damaged_files_are_named(
    spoil: Callable[[bytes], bytes], read: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(spoil(encoded(GOOD, *[picture(index) for index in range(9)])))
    with pytest.raises(VideoError, match=r"broken\.mp4: "):
        read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"gone\.mp4"):
        probe(tmp_path / "gone.mp4")


def test_an_exception_leaves_no_segment() -> None:
    file = BytesIO()

    def fail_after_some() -> None:
        with SegmentWriter(file, replace(GOOD, codec="ffv1")) as writer:
            writer.write(picture(0))
            raise RuntimeError("the GPU is gone")

    with pytest.raises(RuntimeError, match="GPU"):
        fail_after_some()
    assert file.getvalue() == b""


def test_a_failure_at_the_end_leaves_no_segment() -> None:
    """The encoder's last packets come only when it is flushed."""
    file = BytesIO()

    def fail_at_the_end() -> None:
        with SegmentWriter(file, replace(GOOD, codec="ffv1")) as writer:
            writer.write(picture(0))
            writer.frames = 2  # one frame went into the encoder and never came out

    with pytest.raises(VideoError, match="1 packet of 2 frames"):
        fail_at_the_end()
    assert file.getvalue() == b""


def test_a_segment_without_frames_is_refused() -> None:
    file = BytesIO()
    with pytest.raises(VideoError, match="at least one frame"), SegmentWriter(file, GOOD):
        pass
    assert file.getvalue() == b""


def test_no_frame_after_close() -> None:
    writer = SegmentWriter(BytesIO(), GOOD)
    writer.write(picture(0))
    writer.close()
    writer.close()
    with pytest.raises(VideoError, match="closed"):
        writer.write(picture(1))


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(picture(0, 48, 64), id="turned"),
        pytest.param(picture(0)[..., :2], id="two channels"),
        pytest.param(picture(0).astype(np.float32), id="floats"),
        pytest.param(picture(0).transpose(2, 0, 1), id="channels first"),
    ],
)
def test_frames_of_another_kind_are_refused(frame: Pixels) -> None:
    with pytest.raises(VideoError, match="this segment takes uint8"):
        encoded(GOOD, picture(0), frame)


@pytest.mark.parametrize("codec", CODECS)
def test_every_end_of_every_range_is_encodable(codec: str) -> None:
    crf_range, presets = CODECS[codec].crf_range, CODECS[codec].presets
    check_format(replace(GOOD, codec=codec))
    for crf in (crf_range[0], crf_range[-1]) if crf_range else ():
        check_format(replace(GOOD, codec=codec, crf=crf, preset=presets[0]))
    for preset in presets[:: max(1, len(presets) - 1)]:
        check_format(replace(GOOD, codec=codec, preset=preset))


@pytest.mark.parametrize(
    ("fmt", "message"),
    [
        pytest.param(replace(GOOD, width=63), "width 63 is odd.*take 64", id="odd"),
        pytest.param(replace(GOOD, crf=52), "crf 52 is out of range", id="crf"),
        pytest.param(replace(GOOD, codec="av1", width=2), "libsvtav1", id="smaller than the encoder can"),
    ],
)
def test_check_format_says_what_is_wrong(fmt: VideoFormat, message: str) -> None:
    with pytest.raises(VideoError, match=message):
        check_format(fmt)


def test_a_missing_encoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("render.video.codecs.CODECS", {"h264": replace(CODECS["h264"], encoder="libmissing")})
    with pytest.raises(VideoError, match="without libmissing; choose another codec"):
        check_format(GOOD)
