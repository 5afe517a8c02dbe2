"""Folders that are to be made: what is in the way is found, and what is not is not."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from render.errors import StoreError
from render.store import obstacle, temporary_folder


def test_what_is_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "films").mkdir()
    (tmp_path / "good").symlink_to("films")
    (tmp_path / "bad").symlink_to("unplugged")
    (tmp_path / "to-file").symlink_to("file")
    for name in ("a/b/c", "films", "films/x", "good", "good/x/y", ".", "x" * 255):
        assert obstacle(Path(name)) is None, name
    for name, words in (
        ("file/x", "file is a file, so"),
        ("bad/x", "bad is a link to unplugged, which is not there"),
        ("to-file/x", "to-file is a link to a file"),
        ("/".join(["x" * 200] * 25), "a path of 5,"),
    ):
        assert words in (obstacle(Path(name)) or ""), name


def test_a_name_that_the_locale_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``LC_ALL=de_DE.ISO-8859-1``."""

    def latin(name: object) -> bytes:
        return str(name).encode("latin-1")

    monkeypatch.setattr(os, "fsencode", latin)
    assert "latin-1 names no such folder here; set LC_ALL=C.UTF-8" in (obstacle(tmp_path / "☀") or "")
    assert obstacle(tmp_path / "ä") is None


def test_no_place_for_temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with temporary_folder("test") as folder:
        assert Path(folder).is_dir()
    assert not Path(folder).exists()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(StoreError, match=r"no place for temporary files .*; set TMPDIR to a folder"):
        temporary_folder("test")
