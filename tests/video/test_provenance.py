"""Facts in GIF and WebP: read back as they were written, beside pictures that do not change; nothing is believed."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from render.errors import VideoError
from render.video.animation import write_animation
from render.video.codecs import ANIMATIONS
from render.video.pixels import Pixels
from render.video.provenance import FilmInfo, probe_film, write_facts
from render.video.webp import description

FACTS = {"title": "Träume ☀", "render-digest": "0" * 64, "render-spec": 'version: 1\nname: "a"\n' * 100}
FPS = Fraction(24)


def frames(count: int, *, still: bool = False) -> Iterator[Pixels]:
    y, x = np.mgrid[:40, :57]
    for index in range(count):
        shift = 0 if still else index * 24
        yield np.stack([(x * 4 + shift) % 256, y * 6, (x + y) * 2], axis=-1).astype(np.uint8)


def film(path: Path, count: int = 12, *, still: bool = False) -> Path:
    write_animation(path, frames(count, still=still), FPS, facts=FACTS)
    return path


@pytest.mark.parametrize("kind", ANIMATIONS)
@pytest.mark.parametrize("still", [False, True], ids=["moving", "still"])
def test_facts_come_back_and_pictures_stay(kind: str, still: bool, tmp_path: Path) -> None:
    """Pillow and ffmpeg read what they read without facts."""
    path, bare = film(tmp_path / f"a.{kind}", still=still), tmp_path / f"b.{kind}"
    write_animation(bare, frames(12, still=still), FPS)
    found = probe_film(path)
    assert found == FilmInfo(kind, 57, 40, None, found.duration_s, FACTS)
    assert round(found.duration_s * FPS) == (0 if still and kind == "webp" else 12)
    assert probe_film(bare).facts == {}
    with Image.open(path) as one, Image.open(bare) as other:
        assert (one.size, getattr(one, "n_frames", 1)) == (other.size, getattr(other, "n_frames", 1))
    for index in range(int(iio.improps(bare, plugin="pillow", index=...).n_images or 1)):
        pictures = [iio.imread(each, plugin="pillow", index=index, mode="RGBA") for each in (path, bare)]
        assert np.array_equal(*pictures)
    if kind == "gif":
        assert np.array_equal(iio.imread(path, plugin="pyav"), iio.imread(bare, plugin="pyav"))
        with Image.open(path) as picture:
            assert (picture.info["loop"], json.loads(picture.info["comment"])) == (0, FACTS)
    else:
        with Image.open(path) as picture:
            assert json.loads(picture.getexif()[0x010E]) == FACTS


def test_a_still_with_transparency_keeps_it(tmp_path: Path) -> None:
    pixels = np.zeros((8, 9, 4), np.uint8)
    pixels[2:5, :, :] = (200, 100, 50, 128)
    for lossless in (True, False):
        path = tmp_path / "a.webp"
        Image.fromarray(pixels).save(path, lossless=lossless)
        before = np.array(Image.open(path))
        write_facts(path, FACTS, (9, 8))
        with Image.open(path) as picture:
            assert (picture.mode, picture.size) == ("RGBA", (9, 8))
            assert np.array_equal(np.array(picture), before)
        assert probe_film(path).facts == FACTS


@pytest.mark.parametrize("kind", ANIMATIONS)
def test_a_long_spec(kind: str, tmp_path: Path) -> None:
    path = film(tmp_path / f"a.{kind}")
    write_animation(path, frames(2), FPS, facts={"render-spec": "☀" * (1 << 20)})
    assert len(probe_film(path).facts["render-spec"]) == 1 << 20


@pytest.mark.parametrize("kind", ANIMATIONS)
def test_what_others_write_there_is_no_fact(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    for words in ("made with love", "[1]", '{"render-spec": 3}', "[" * 100_000, '{"a": NaN}'):
        if kind == "gif":
            Image.new("RGB", (8, 8)).save(path, comment=words)
        else:
            exif = Image.Exif()
            exif[0x010E] = words
            Image.new("RGB", (8, 8)).save(path, exif=exif)
        assert probe_film(path).facts == {}


@pytest.mark.parametrize("kind", ANIMATIONS)
def test_damaged_files(kind: str, tmp_path: Path) -> None:
    """Cut anywhere, or with any bytes changed: read or refused, never anything else."""
    whole, dice = film(tmp_path / f"a.{kind}", 3).read_bytes(), random.Random(0)
    path = tmp_path / f"b.{kind}"
    for _ in range(300):
        data = bytearray(whole[: dice.randrange(13, len(whole))] if dice.random() < 0.5 else whole)
        for _ in range(dice.randrange(4)):
            data[dice.randrange(12, len(data))] = dice.randrange(256)
        path.write_bytes(data)
        try:
            found = probe_film(path)
        except VideoError as error:
            assert str(path) in str(error)  # noqa: PT017
        else:
            assert all(isinstance(word, str) for word in found.facts.values())
    path.write_bytes(whole[:-1])
    with pytest.raises(VideoError, match="cut short"):
        probe_film(path)


def test_exif_that_promises_more_than_there_is() -> None:
    """Entries that point outside, and thousands that point to the same bytes."""
    entry = struct.pack("<HHII", 0x010E, 2, 0xFFFFFFFF, 26)
    assert description(b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4) + b"words\0") == b"words"
    assert description(b"II*\0" + struct.pack("<IH", 0xFFFFFFF0, 1)) == b""
    assert description(b"II*\0" + struct.pack("<IH", 8, 0xFFFF) + entry[:4]) == b""
    assert description(b"Exif\0\0") == description(b"") == b""


def test_what_is_no_film(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    for name, words in (("missing.gif", "cannot be read as video: No such file"), ("", "is a folder; name the film")):
        with pytest.raises(VideoError, match=words):
            probe_film(tmp_path / name)
    with pytest.raises(VideoError, match="cannot be read as video"):
        probe_film(tmp_path / "empty")
