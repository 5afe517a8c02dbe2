"""Where Ray keeps its sockets: another user's folder, or one too deep, is named with the cure before Ray starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from render.errors import FarmError
from render.farm.ray.connection import connected
from render.farm.ray.scratch import MAX_SOCKET_BYTES, SOCKET, check_scratch


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose name leaves room for sockets; pytest's own do not."""
    folder = Path("/tmp") / f"r{os.getpid()}"
    folder.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    yield folder
    for path in (folder / "ray", folder):
        if path.is_symlink():
            path.unlink()
        elif path.exists():
            path.rmdir()


def test_a_folder_of_ones_own(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_scratch()
    monkeypatch.setenv("RAY_TMPDIR", str(short / "not/there"))
    check_scratch()
    assert list(short.iterdir()) == [], "Ray makes it"
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.delenv("TMPDIR", raising=False)
    check_scratch()


def test_a_folder_of_another_user(short: Path) -> None:
    """Who was first on a machine owns /tmp/ray."""
    (short / "ray").mkdir(mode=0o755)
    if os.geteuid() != 0:
        (short / "ray").chmod(0o555)
    else:
        os.seteuid(65534)
    try:
        with pytest.raises(FarmError, match=rf"{short}/ray is not writable; set RAY_TMPDIR to a folder of your own"):
            check_scratch()
    finally:
        if os.getuid() == 0:
            os.seteuid(0)


@pytest.mark.parametrize("variable", ["RAY_TMPDIR", "TMPDIR"])
def test_a_name_too_long_for_sockets(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the byte; the one that fits is not refused."""
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    longest = MAX_SOCKET_BYTES - len(f"//ray/{SOCKET}")
    monkeypatch.setenv(variable, f"/{'x' * longest}")
    check_scratch()
    monkeypatch.setenv(variable, f"/{'ä' * (longest // 2)}xy")
    with pytest.raises(
        FarmError, match=r"bytes too long for names of sockets; set RAY_TMPDIR to a folder of your own with a short"
    ):
        check_scratch()


def test_a_file_or_a_link_to_nowhere(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (short / "ray").symlink_to("unplugged")
    with pytest.raises(FarmError, match="is a link to unplugged, which is not there"):
        check_scratch()
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(FarmError, match="has no place for"), connected(None):
        pytest.fail("Ray was started")
    assert os.listdir(short) == ["ray"]
