"""Stages: one table that engine, records and reports share."""

from __future__ import annotations

from typing import get_args

import pytest

from render.plan import OPENING_STAGES, STAGES, Stage, Stopwatch, stage_info


def test_every_stage_has_an_entry_and_the_opening_ones_come_first() -> None:
    assert tuple(STAGES) == get_args(Stage)
    assert tuple(STAGES)[: len(OPENING_STAGES)] == OPENING_STAGES == ("load", "prompt", "export", "compile")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_known_by_its_name(stage: Stage) -> None:
    assert stage_info(stage) is STAGES[stage]


def test_a_stage_of_another_version_is_charged_to_rendering() -> None:
    assert (stage_info("upscale").part, stage_info("upscale").label) == ("render", "upscale")


def test_a_stopwatch_adds_up() -> None:
    watch = Stopwatch()
    watch.add("denoise", 1.0)
    watch.add("denoise", 0.5)
    with watch("copy"):
        pass
    assert list(watch.seconds) == ["denoise", "copy"]
    assert watch.seconds["denoise"] == 1.5
