"""Single pictures and contact sheets."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from render.errors import VideoError
from render.video.stills import STILL_SUFFIXES, contact_sheet, encode_still, read_still


def gradient(height: int = 40, width: int = 56) -> np.ndarray[Any, np.dtype[np.uint8]]:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 4, y * 5, (x + y) * 2], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    ("suffix", "quality", "error"),
    [(".png", 95, 0), (".png", 1, 0), (".webp", 100, 0), (".jpg", 95, 1.5), (".webp", 95, 2.5)],
    ids=str,
)
def test_pictures_come_back(suffix: str, quality: int, error: float, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(encode_still(gradient(), suffix, quality))
    back = read_still(path)
    assert (back.shape, back.dtype) == ((40, 56, 3), np.uint8)
    assert np.abs(back.astype(int) - gradient()).mean() <= error
    assert np.array_equal(read_still(path.read_bytes()), back)


@pytest.mark.parametrize("suffix", STILL_SUFFIXES)
def test_same_picture_same_bytes_and_quality_costs(suffix: str) -> None:
    assert encode_still(gradient(), suffix) == encode_still(gradient(), suffix)
    if suffix != ".png":
        noise = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
        assert len(encode_still(noise, suffix, 20)) < len(encode_still(noise, suffix, 90))


def test_colour_keeps_its_full_resolution_in_jpeg() -> None:
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::2, 0] = stripes[:, 1::2, 2] = 255
    assert np.abs(read_still(encode_still(stripes, ".jpg")).astype(int) - stripes).mean() < 5


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(gradient()[..., 0], id="grey"),
        pytest.param(np.dstack([gradient(), gradient()[..., 0]]), id="alpha"),
        pytest.param(gradient()[..., 0] > 100, id="one bit"),
    ],
)
def test_any_8_bit_picture_becomes_rgb(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    back = read_still(iio.imwrite("<bytes>", pixels, extension=".png", plugin="pillow"))
    assert (back.shape, back.dtype) == ((40, 56, 3), np.uint8)


def test_16_bits_are_refused_and_not_clipped() -> None:
    deep = (gradient()[..., 0].astype(np.uint16)) * 257
    with pytest.raises(VideoError, match="16 bits a channel; save it with 8"):
        read_still(iio.imwrite("<bytes>", deep, extension=".png", plugin="pillow"))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda data: data[: len(data) // 2], id="cut"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: b"no picture" * 20, id="text"),
    ],
)
def test_damaged_pictures_are_named(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(spoil(encode_still(gradient(), ".png")))
    with pytest.raises(VideoError, match=r"broken\.png: cannot be read"):
        read_still(path)


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"gone\.png"):
        read_still(tmp_path / "gone.png")


@pytest.mark.parametrize(("suffix", "quality"), [(".bmp", 95), (".jpg", 0), (".jpg", 101)])
def test_unknown_forms_and_qualities_are_refused(suffix: str, quality: int) -> None:
    with pytest.raises(VideoError, match=r"choose one of|out of range"):
        encode_still(gradient(), suffix, quality)


@pytest.mark.parametrize(("count", "columns", "grid"), [(1, 4, (1, 1)), (4, 4, (1, 4)), (5, 4, (2, 4)), (6, 2, (3, 2))])
def test_a_contact_sheet_shows_every_frame_once(count: int, columns: int, grid: tuple[int, int]) -> None:
    frames = [np.full((8, 6, 3), 100 + index, np.uint8) for index in range(count)]
    sheet = contact_sheet(frames, columns)
    rows, across = grid
    assert sheet.shape == (4 + rows * 12, 4 + across * 10, 3)
    for index in range(count):
        assert (sheet == 100 + index).sum() == 8 * 6 * 3
    assert np.array_equal(sheet[4:12, 4:10], frames[0])


@pytest.mark.parametrize("shapes", [[], [(8, 6, 3), (6, 8, 3)]], ids=["none", "unlike"])
def test_impossible_contact_sheets_are_refused(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(VideoError):
        contact_sheet([np.zeros(shape, np.uint8) for shape in shapes], 2)


def png_of(width: int, height: int) -> bytes:
    """A few bytes that say they are so large."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("width", "height", "words"),
    [
        (9000, 8000, "9000x8000; pictures of at most 64,000,000 pixels"),
        (12_000, 12_000, "decompression bomb"),
        (100_000, 100_000, "decompression bomb"),
    ],
)
def test_a_picture_that_would_fill_the_memory_is_refused(width: int, height: int, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of(width, height))
    for source in (path, path.read_bytes()):
        with pytest.raises(VideoError, match=words):
            read_still(source)


def test_what_is_no_single_picture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    iio.imwrite(tmp_path / "moving.gif", [gradient(), gradient()[::-1]], plugin="pillow")
    with pytest.raises(VideoError, match=r"moving.gif: is an animation"):
        read_still(tmp_path / "moving.gif")
    (tmp_path / "program.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(VideoError, match="cannot be read as a picture"):
        read_still(tmp_path / "program.eps")
    (tmp_path / "large.png").write_bytes(encode_still(gradient(), ".png"))
    monkeypatch.setattr("render.video.stills.MAX_READ_BYTES", 100)
    with pytest.raises(VideoError, match=r"large.png: has .* bytes; pictures of at most"):
        read_still(tmp_path / "large.png")
