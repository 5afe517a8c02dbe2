"""Animated GIF and WebP: every frame, the right length, good colours. Pillow reads what ffmpeg wrote."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from render.errors import VideoError
from render.video.animation import write_animation
from render.video.pixels import Pixels


def frames(count: int, hold: int = 1) -> Iterator[Pixels]:
    """A moving gradient; each picture stands for `hold` frames."""
    y, x = np.mgrid[:40, :56]
    for index in range(count):
        shift = index // hold * 24
        yield np.stack([(x * 4 + shift) % 256, y * 6, (x + y) * 2], axis=-1).astype(np.uint8)


def delays_ms(path: Path) -> list[int]:
    """As Pillow reads them from a GIF. (It says nothing of single frames in WebP.)"""
    return [iio.immeta(path, plugin="pillow", index=index)["duration"] for index in range(count_of(path))]


def count_of(path: Path) -> int:
    return int(iio.improps(path, plugin="pillow", index=...).n_images or 1)


@pytest.mark.parametrize("fps", [Fraction(24), Fraction(24000, 1001), Fraction(30), Fraction(50), Fraction(7)], ids=str)
@pytest.mark.parametrize("hold", [1, 5], ids=["moving", "holding"])
def test_gif_delays_add_up(hold: int, fps: Fraction, tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    assert write_animation(path, frames(25, hold), fps) == 25
    delays = delays_ms(path)
    assert len(delays) == 25
    assert sum(delays) == 10 * round(2500 / fps)
    assert max(delays) - min(delays) <= 10


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_colours_are_close_and_loops_endless(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    write_animation(path, frames(12), Fraction(24), quality=90)
    assert count_of(path) == 12
    assert iio.immeta(path, plugin="pillow")["loop"] == 0
    for index, frame in enumerate(frames(12)):
        back = iio.imread(path, plugin="pillow", index=index, mode="RGB")
        assert np.abs(back.astype(int) - frame).mean() < 5


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
@pytest.mark.parametrize("count", [1, 2])
def test_the_shortest_animations(count: int, suffix: str, tmp_path: Path) -> None:
    assert write_animation(tmp_path / f"a{suffix}", frames(count), Fraction(24)) == count


def test_webp_holds_a_repeated_frame_longer(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    assert write_animation(path, frames(25, hold=5), Fraction(24)) == 25
    assert count_of(path) == 5


@pytest.mark.parametrize(
    ("name", "count", "fps", "message"),
    [
        pytest.param("a.mp4", 2, 24, "choose one of .gif, .webp", id="suffix"),
        pytest.param("a.gif", 2, 60, "at most 50 .* write .webp", id="gif too fast"),
        pytest.param("a.gif", 0, 24, "at least one frame", id="no frame"),
    ],
)
def test_impossible_animations_are_refused(name: str, count: int, fps: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=message):
        write_animation(tmp_path / name, frames(count), Fraction(fps))


def test_unlike_frames_are_refused(tmp_path: Path) -> None:
    unlike = [*frames(1), np.zeros((8, 8, 3), np.uint8)]
    with pytest.raises(VideoError, match="frame 1 is uint8"):
        write_animation(tmp_path / "a.gif", unlike, Fraction(24))


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_a_short_file_is_noticed(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the encoder had dropped every second frame."""
    import render.video.animation as module

    whole = module._pictures
    monkeypatch.setattr(module, "_pictures", lambda *args: (p for i, p in enumerate(whole(*args)) if i % 2 == 0))
    with pytest.raises(VideoError, match="instead of"):
        write_animation(tmp_path / f"a{suffix}", frames(9), Fraction(24))
