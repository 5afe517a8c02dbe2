"""Turns and ratios, with a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from render.bench.timing import Ratio, Timing, paired, ratio


def test_subjects_take_turns_and_are_timed_a_picture() -> None:
    now, ran = [0.0], []

    def subject(name: str, seconds: float, pictures: int) -> Callable[[], int]:
        def call() -> int:
            ran.append(name)
            now[0] += seconds
            return pictures

        return call

    timings = paired({"a": subject("a", 4, 4), "b": subject("b", 1, 2)}, 3, clock=lambda: now[0])
    assert ran == ["a", "b", "b", "a", "a", "b"]
    assert timings == {"a": Timing((1.0, 1.0, 1.0)), "b": Timing((0.5, 0.5, 0.5))}


def test_a_ratio_is_taken_within_rounds() -> None:
    assert ratio([2.0, 8.0, 3.0], [1.0, 4.0, 1.0]) == Ratio(2.0, 2.0, 3.0)


def test_a_timing_is_its_median() -> None:
    assert Timing((1.0, 9.0, 2.0)).seconds == 2.0


def test_what_a_subject_raises_goes_through() -> None:
    def broken() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        paired({"a": broken}, 1)
