"""Locations: folders apart from addresses, joined, split, and nothing secret repeated."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.errors import SpecError, redacted
from render.spec.location import is_url, join_location, parse_location, split_location, url_mistake


@pytest.mark.parametrize("text", ["out/x", "/mnt/films", "C:/films", "s3:/b", "://b", "./s3://b"])
def test_folders(text: str) -> None:
    assert not is_url(text)
    assert parse_location(text) == Path(text)


def test_home_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert parse_location("~/films") == Path("/home/someone/films")


@pytest.mark.parametrize("text", ["s3://b", "s3://b/films/ä b", "abfss://b/x"])
def test_addresses(text: str) -> None:
    assert parse_location(text + "/") == text
    assert split_location(join_location(text, "video.mp4")) == (text, "video.mp4")
    assert split_location(join_location(Path("out"), "video.mp4")) == (Path("out"), "video.mp4")


@pytest.mark.parametrize(
    "text", ["s3://", "s3:///x", "s3://b/../c", "s3://b/./c", "s3://b/*.mp4", "s3://b:80/x", "s3://u@b"]
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(SpecError):
        parse_location(text)


@given(user=st.text(st.characters(exclude_characters="@", codec="ascii", categories=["L", "N", "P"]), min_size=1))
def test_whatever_stands_before_an_at_is_no_part_of_a_message(user: str) -> None:
    address = f"s3://SECRET{user}@bucket/x"
    assert "SECRET" not in redacted(f"output.dir={address}", strict=True)
    assert "SECRET" not in (url_mistake(address) or "")
