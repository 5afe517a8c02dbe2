"""Sizes, rates and times: read strictly, written back as they were."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.spec import Size
from render.spec.units import MAX_FRAMES, Rate, Time


@pytest.mark.parametrize("text", ["512x768", " 512 X 768 ", "512×768"])
def test_sizes(text: str) -> None:
    assert Size.parse(text) == Size(512, 768)
    assert str(Size.parse(text)) == "512x768"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (512, "write width x height"),
        ("512", "write width x height"),
        ("512x512x3", "write width x height"),
        ("100x512", "the width must be a multiple of 8; the nearest is 104"),
        ("512x515", "the height must be a multiple of 8; the nearest is 512"),
        ("56x512", "the width must be from 64 to 4096"),
        ("512x4104", "the height must be from 64 to 4096"),
    ],
)
def test_wrong_sizes(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Size.parse(value)


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        (24, Fraction(24)),
        (23.976, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("24000/1001", Fraction(24000, 1001)),
        (12.5, Fraction(25, 2)),
        (1, Fraction(1)),
        (240, Fraction(240)),
    ],
)
def test_rates(value: object, rate: Fraction) -> None:
    assert Rate.parse(value).value == rate
    assert Rate.parse(Rate.parse(value).plain()) == Rate.parse(value)


@pytest.mark.parametrize("value", [0, -24, 0.5, 241, True, "x", "24/0", "1e3", None, 10**30, float("inf")])
def test_wrong_rates(value: object) -> None:
    with pytest.raises(ValueError, match="frame rate"):
        Rate.parse(value)


@pytest.mark.parametrize(
    ("value", "frames"),
    [
        (0, 0),
        (96, 96),
        ("4s", 96),
        ("250ms", 6),
        ("1m30s", 2160),
        ("1:30", 2160),
        ("1:00:00", 86400),
        ("0.5h", 43200),
        ("0:01.5", 36),
        ("20ms", 0),
        ("21ms", 1),
    ],
)
def test_times_become_frames(value: object, frames: int) -> None:
    time = Time.parse(value)
    assert time.at(Rate.parse(24)) == frames
    assert Time.parse(time.plain()) == time


@pytest.mark.parametrize("value", [-1, 4.0, True, None, "", "4", "s", "-4s", "4s!", "4 parsecs", ".5s", "1::2"])
def test_what_is_no_time(value: object) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        Time.parse(value)


@pytest.mark.parametrize("value", [MAX_FRAMES + 1, "300h"])
def test_times_beyond_the_limit(value: object) -> None:
    with pytest.raises(ValueError, match="beyond the limit"):
        Time.parse(value)


@given(st.integers(0, 100_000), st.sampled_from([24, 25, 30, 60, "24000/1001", "30000/1001"]))
def test_the_time_of_a_frame_is_that_frame(frame: int, rate: object) -> None:
    """A millisecond is less than half a frame, so nothing gets lost on the way through milliseconds."""
    fps = Rate.parse(rate)
    assert Time.parse(f"{round(frame / fps.value * 1000)}ms").at(fps) == frame
