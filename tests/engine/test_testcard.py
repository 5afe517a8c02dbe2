"""Test cards: the index is burnt in so that codecs, scaling of colours and joins cannot hide a wrong frame."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.engine.testcard import TestCard, draw, read_index
from render.plan import Plan, Stopwatch
from render.spec.units import MAX_FRAMES
from render.video.codecs import CODECS, VideoFormat
from render.video.reader import decode
from render.video.segment import SegmentWriter

INDICES = [0, 1, 2, 5, 1023, 1024, 43690, 349525, 699050, 999_999]


@given(
    index=st.integers(0, MAX_FRAMES - 1), width=st.sampled_from([64, 128, 264]), height=st.sampled_from([64, 72, 144])
)
def test_the_index_can_be_read_back(index: int, width: int, height: int) -> None:
    card = draw(index, MAX_FRAMES, width, height)
    assert (card.shape, card.dtype) == ((height, width, 3), np.uint8)
    assert read_index(card) == index


@pytest.mark.parametrize("size", [(64, 64), (128, 72), (256, 144)], ids=str)
@pytest.mark.parametrize(("codec", "crf"), [("h264", 30), ("h265", 32), ("vp9", 50), ("ffv1", None)], ids=str)
def test_the_index_survives(codec: str, crf: int | None, size: tuple[int, int], tmp_path: Path) -> None:
    preset = "ultrafast" if "ultrafast" in CODECS[codec].presets else None
    fmt = VideoFormat(codec, *size, Fraction(24), crf=crf, preset=preset)
    file = BytesIO()
    with SegmentWriter(file, fmt) as writer:
        for index in INDICES:
            writer.write(draw(index, MAX_FRAMES, *size))
    path = tmp_path / f"card{fmt.suffix}"
    path.write_bytes(file.getvalue())
    assert [read_index(frame) for frame in decode(path)] == INDICES


@pytest.mark.parametrize("level", [0, 255], ids=["black", "white"])
def test_what_is_no_card_has_no_index(level: int) -> None:
    picture = np.full((72, 128, 3), level, np.uint8)
    expected = None if level == 0 else 2**20 - 1  # 21 white blocks have odd parity, and name a frame no job has
    assert read_index(picture) == expected


def test_one_wrong_block_is_noticed() -> None:
    card = draw(5, 9, 128, 72)
    card[56:70, :5] = 255 - card[56:70, :5]
    assert read_index(card) is None


def test_neighbouring_cards_differ_for_the_eye_too() -> None:
    first, second = draw(3, 12, 128, 72), draw(4, 12, 128, 72)
    assert (first[:36] != second[:36]).any()


def test_cards_come_in_the_order_asked_for_and_take_their_time(plan_of: Callable[..., Plan]) -> None:
    plan, watch = plan_of("model=testcard:20ms"), Stopwatch()
    pictures = list(TestCard(plan).pictures([7, 2], watch))
    assert [picture.index for picture in pictures] == [7, 2]
    assert [read_index(picture.pixels) for picture in pictures] == [7, 2]
    assert watch.seconds["denoise"] >= 0.04
