"""Terminals that know few characters: nothing that is printed fails, and what machines read stays what it is."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from render.cli import main
from render.cli.commands import COMMANDS
from render.cli.streams import READABLE, speaks_unicode
from render.errors import RenderError, shown
from render.spec import MODES, load
from tests.conftest import CARD

ROOT = Path(__file__).parents[2]
PROMPT = "Träume – “☀” \U0001f600"
Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    text = CARD.replace("prompt: a", f"prompt: '{PROMPT}'") + "negative: naïve\n"
    (tmp_path / "card.yaml").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Typed:
    """``typed("ascii", "check", …)``: exit code, stdout and stderr of a terminal of that encoding, which is strict."""

    def call(encoding: str, *arguments: str) -> tuple[int, str, str]:
        streams = {name: io.TextIOWrapper(io.BytesIO(), encoding, errors="strict") for name in ("stdout", "stderr")}
        with monkeypatch.context() as patch:
            for name, stream in streams.items():
                patch.setattr(sys, name, stream)
            try:
                code = main(arguments)
            except SystemExit as end:  # of --help
                code = int(end.code or 0)
        for stream in streams.values():
            stream.flush()
        out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams.values())  # type: ignore[attr-defined]
        return code, out, err

    return call


@pytest.mark.parametrize(("encoding", "dream"), [("ascii", r"Tr\xe4ume"), ("latin-1", "Träume"), ("cp437", "Träume")])
def test_a_job_on_a_terminal_of_few_characters(encoding: str, dream: str, typed: Typed, here: Path) -> None:
    """The whole life of a job in a folder whose name the terminal cannot write."""
    job = ("card.yaml", "--set", "output.dir=out/Träume ☀")
    place = "out/Träume ☀"
    code, out, err = typed(encoding, "run", *job, "--local")
    assert (code, f"film    out/{dream} \\u2600/video.mp4" in out) == (0, True), err
    for command in ("logs", "status", "clean"):
        code, out, err = typed(encoding, command, place)
        assert (code, err) == (0, ""), err
        assert command != "logs" or "frames 0-3" in out, "a range is readable"
    code, out, _ = typed(encoding, "check", "missing–.yaml", *job)
    assert code == 2
    assert "card.yaml: ok: " in out
    code, out, err = typed(encoding, "plan", *job, "--set", "negative=–☀")
    assert "conflict out/" in out
    assert typed(encoding, "preview", *job)[0] == 0
    assert typed(encoding, "run", "ü.yaml", "ö☀.yaml", "--local")[0] == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_machines_read_is_whole(encoding: str, typed: Typed, here: Path) -> None:
    job = ("card.yaml", "--set", "output.dir=out/ä☀")
    assert json.loads(typed(encoding, "run", *job, "--local", "--json")[1])["film"] == "out/ä☀/video.mp4"
    told = json.loads(typed(encoding, "inspect", "out/ä☀/video.mp4", "--json")[1])
    assert PROMPT in told["spec"]
    assert json.loads(typed(encoding, "check", "ä–☀.yaml", "--json")[1])["error"] == "ä–☀.yaml: no such file"
    for line in typed(encoding, "logs", "out/ä☀", "--json")[1].splitlines():
        json.loads(line)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_spec_that_is_printed_can_be_rendered_again(encoding: str, typed: Typed, here: Path) -> None:
    """``render inspect film > job.yaml``: a job file is UTF-8, whatever the terminal writes."""
    typed(encoding, "run", "card.yaml", "--local")
    _, out, _ = typed(encoding, "inspect", "out/card/video.mp4")
    (here / "again.yaml").write_bytes(out.encode(encoding))
    assert load(here / "again.yaml").spec == load(here / "card.yaml").spec
    assert all(mode.template.isascii() for mode in MODES.values())


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_in_ascii(command: str, typed: Typed) -> None:
    code, out, err = typed("ascii", *command.split(), "--help")
    assert (code, err) == (0, "")
    assert "\\u" not in out


def test_characters_that_an_encoding_lacks() -> None:
    assert "5–7 × “a” … ━━╸ │".encode("ascii", READABLE) == b'5-7 x "a" ... --- |'
    assert "ä☀\U0001f600\udcff".encode("ascii", READABLE) == rb"\xe4\u2600\U0001f600\xff"
    assert "\udcc3".encode("utf-8", READABLE) == rb"\xc3"
    assert [speaks_unicode(io.TextIOWrapper(io.BytesIO(), name)) for name in ("utf-8", "UTF-16", "ascii")] == [1, 1, 0]
    assert not speaks_unicode(None)


def test_names_cannot_break_lines_or_move_the_cursor() -> None:
    assert shown("a\nb\x1b[2J\udcff ä–") == "a\\nb\\x1b[2J\\xff ä–"
    assert str(RenderError("a\x1b[2Jb\nc")) == "a\\x1b[2Jb\nc"


@pytest.mark.parametrize("name", [b"\xff.yaml", b"a\nb.yaml", b"\x1b[31m.yaml", "–☀.yaml".encode()])
def test_job_files_with_strange_names(name: bytes, typed: Typed, here: Path) -> None:
    path = os.fsdecode(name)
    for wrong in (False, True):
        code, out, err = typed("utf-8", "check", path)
        assert (code, err.count("\n"), out) == (2, 1, "")
        assert err.startswith(f"render: {shown(path)}:"), wrong
        (here / path).write_text("- 1\n")
    (here / path).write_text(CARD)
    code, out, err = typed("utf-8", "run", path, "--local")
    assert (code, "card: 12 frames" in out) == (0, True), err
    assert err.startswith(f"{shown(path)}: ")


@pytest.mark.slow
@pytest.mark.parametrize(
    "terminal",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "ascii:strict", "LANG": "C", "LC_ALL": "C"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=lambda names: " ".join(f"{name}={value}" for name, value in names.items()),
)
def test_a_process_of_its_own(terminal: dict[str, str], here: Path) -> None:
    """``render logs`` holds dashes; a finished film must not end in exit code 1 for them."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **terminal}
    for arguments in (["run", "card.yaml", "--local"], ["logs", "out/card"], ["inspect", "out/card/video.mp4"]):
        done = subprocess.run(
            [sys.executable, "-m", "render", *arguments], env=environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
