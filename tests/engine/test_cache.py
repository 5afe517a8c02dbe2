"""What is costly to make is made once a machine."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest

from render.engine import cache
from render.errors import StoreError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_a_folder_for_each_kind(tmp_path: Path) -> None:
    assert cache.folder("onnx") == tmp_path / "render/onnx"
    assert cache.folder("onnx").is_dir()


def test_home_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.folder("x") == tmp_path / "home/.cache/render/x"


def test_a_cache_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(StoreError, match=r"file/render/x: the cache cannot be made there .*; set XDG_CACHE_HOME to"):
        cache.folder("x")


def test_what_one_makes_the_others_find() -> None:
    target, made = cache.folder("x") / "thing", []

    def make(name: str) -> None:
        with cache.making(target) as temporary:
            if not target.exists():
                made.append(name)
                temporary.write_text(name)

    threads = [Thread(target=make, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [target.read_text()] == made


def test_what_fails_leaves_nothing() -> None:
    target = cache.folder("x") / "thing"

    def fail() -> None:
        with cache.making(target) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [path.name for path in target.parent.iterdir()] == ["thing.lock"]
