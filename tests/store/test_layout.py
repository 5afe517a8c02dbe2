"""The files of a run directory: which are ours, by their exact names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from render.store.layout import is_ours, record_name
from render.video.codecs import CODECS
from tests.segments import RECORD

CONTAINERS = [container for codec in CODECS.values() for container in codec.containers]


@pytest.mark.parametrize("container", sorted(set(CONTAINERS)))
def test_segments_of_every_codec_are_ours(container: str) -> None:
    for name in (f"segments/000000-000024.{container}", f"segments/.000000-000024.{container}.part"):
        assert is_ours(name, keep_film=True)
    assert not is_ours(f"video.{container}", keep_film=True)
    assert is_ours(f"video.{container}", keep_film=False)


@pytest.mark.parametrize("name", ["segments/mine.mp4", "segments/000000-000024.avi", "notes.txt", "video.mp4.bak"])
def test_what_others_wrote_is_not(name: str) -> None:
    assert not is_ours(name, keep_film=False)


def test_records_lie_beside_what_they_vouch_for() -> None:
    assert record_name(RECORD) == "segments/000000-000002.json"
    assert record_name(replace(RECORD, file=None)) == "frames/000000-000002.json"
