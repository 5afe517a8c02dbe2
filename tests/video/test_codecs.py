"""The table of codecs, and what `VideoFormat` says of settings that cannot work."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from render.video.codecs import ANIMATIONS, CODECS, CONTAINERS, VideoFormat

GOOD = VideoFormat("h264", 64, 48, Fraction(24))
RATES = [Fraction(24), Fraction(25), Fraction(30), Fraction(60), Fraction(24000, 1001), Fraction(15, 7), Fraction(1, 3)]


@pytest.mark.parametrize("name", CODECS)
def test_defaults_are_within_their_own_ranges(name: str) -> None:
    codec = CODECS[name]
    assert codec.name == name
    assert (codec.default_crf is None) == (codec.crf_range is None)
    assert codec.crf_range is None or codec.default_crf in codec.crf_range
    assert codec.default_preset is None or codec.default_preset in codec.presets
    for container in codec.containers:
        assert VideoFormat(name, 64, 48, Fraction(24), container=container).faults() == ()


def test_containers_are_those_of_the_codecs() -> None:
    assert CONTAINERS == ("mp4", "mov")
    assert not set(CONTAINERS) & set(ANIMATIONS)


@pytest.mark.parametrize("name", CODECS)
def test_options_say_quality_and_speed(name: str) -> None:
    """A setting that a codec takes reaches its encoder."""
    fmt = VideoFormat(name, 64, 48, Fraction(24))
    options = fmt.settings.options(fmt)
    assert all(isinstance(value, str) for value in options.values())
    assert (options.get("crf") == str(fmt.quality)) == (fmt.settings.crf_range is not None)
    assert fmt.speed is None or fmt.speed in options.values()


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_a_frame_lasts_a_whole_number_of_ticks(fps: Fraction) -> None:
    fmt = replace(GOOD, fps=fps)
    assert Fraction(fmt.tick, fmt.timescale) * fps == 1
    assert fmt.timescale >= 10_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"codec": "h266"}, "choose one of h264, h265", id="codec"),
        pytest.param({"width": 63}, "width 63 is odd", id="odd width"),
        pytest.param({"height": 47}, "height 47 is odd", id="odd height"),
        pytest.param({"height": 0}, "height is 0", id="no height"),
        pytest.param({"codec": "prores", "width": 63}, "width 63 is odd", id="odd width, half-width colour"),
        pytest.param({"fps": Fraction(0)}, "fps is 0", id="no rate"),
        pytest.param({"fps": Fraction(2**31 + 1, 2**20)}, "too fine", id="rate past the container's field"),
        pytest.param({"crf": 0}, "1 .best. to 51", id="crf too low"),
        pytest.param({"crf": 52}, "1 .best. to 51", id="crf too high"),
        pytest.param({"codec": "ffv1", "crf": 10}, "ffv1 has no crf", id="crf of a lossless codec"),
        pytest.param({"preset": "quick"}, "no preset 'quick'.*ultrafast", id="preset"),
        pytest.param({"container": "mkv"}, "mp4 or mov", id="container"),
        pytest.param({"threads": 0}, "threads is 0", id="threads"),
    ],
)
def test_faults_name_the_setting_and_the_cure(changes: dict[str, Any], message: str) -> None:
    assert GOOD.faults() == ()
    (fault,) = replace(GOOD, **changes).faults()
    assert re.search(message, fault)


def test_odd_sizes_are_fine_where_colour_is_whole() -> None:
    assert VideoFormat("ffv1", 63, 47, Fraction(24)).faults() == ()
    assert VideoFormat("prores", 64, 47, Fraction(24)).faults() == ()


def test_the_table_needs_no_video_library() -> None:
    code = "import sys, render.video.codecs; sys.exit(bool({'av', 'numpy', 'imageio'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
