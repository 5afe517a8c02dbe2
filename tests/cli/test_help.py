"""What ``--help`` prints, word for word: it is what users and their scripts read."""

from __future__ import annotations

from pathlib import Path

import pytest

from render.cli import main
from render.cli.commands import COMMANDS

TEXTS = Path(__file__).parent / "help"


@pytest.mark.parametrize("name", ["render", *COMMANDS])
def test_help(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as leave:
        main(["--help"] if name == "render" else [name, "--help"])
    assert leave.value.code == 0
    assert capsys.readouterr().out == (TEXTS / f"{name}.txt").read_text()


def test_every_text_belongs_to_a_command() -> None:
    assert {path.stem for path in TEXTS.iterdir()} == {"render", *COMMANDS}
