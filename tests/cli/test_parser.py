"""Arguments: none of any command may be empty, and no variable of the environment that is read."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

import pytest

from render.cli import main
from render.cli.commands import COMMANDS
from render.cli.parser import Parser, variable
from render.errors import SpecError

JOB = "version: 1\nname: card\nmode: dream\nmodel: testcard\nframes: 4\nkeyframes:\n  - {at: 0, prompt: 'a'}\n"


def _actions(command: str) -> list[argparse.Action]:
    """What a command's own parser takes, as its file adds it."""
    parser = Parser(prog=f"render {command}")
    import_module(f"render.cli.commands.{command}").add(parser)
    return [action for action in parser._actions if action.nargs != 0]


def _values(command: str) -> list[tuple[str, str]]:
    """(command, argument) of all that take a value."""
    return [(command, (action.option_strings or [action.dest])[0]) for action in _actions(command)]


ARGUMENTS = [each for command in COMMANDS for each in _values(command)]


def _filled(command: str, but: str, value: str) -> list[str]:
    """A command line with a value for every positional, and ``value`` for one argument."""
    places = [action.dest for action in _actions(command) if not action.option_strings]
    words = [value if place == but else "x" for place in places]
    return words if but in places else [*words, but, value]


def test_every_command_was_looked_at() -> None:
    found = {name for _, name in ARGUMENTS}
    assert {
        "--set",
        "--frames",
        "--address",
        "--to",
        "--out",
        "--compare",
        "--worker",
        "--dtype",
        "jobs",
        "dir",
    } <= found
    assert len(ARGUMENTS) > 35


@pytest.mark.parametrize("value", ["", "  ", "\t\n"], ids=["empty", "blanks", "line end"])
@pytest.mark.parametrize(("command", "name"), ARGUMENTS, ids=lambda part: part)
def test_no_argument_is_empty(command: str, name: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, *_filled(command, name, value)]) == 2
    told = capsys.readouterr().err
    assert "is empty, as it is where a variable of the shell is not set" in told, told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "words", [["--frames="], ["--set", ""], ["--set="], ["--set", "steps="], ["--set", "=3"]], ids=str
)
def test_other_spellings_of_nothing(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    assert main(["run", str(tmp_path / "job.yaml"), "--local", f"--set=output.dir={tmp_path / 'out'}", *words]) == 2
    assert words[0].rstrip("=") in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "name", "more"),
    [("run", "RAY_ADDRESS", []), ("submit", "RAY_API_SERVER_ADDRESS", ["--set=output.dir=/films"])],
)
@pytest.mark.parametrize("value", ["", " "])
def test_no_variable_is_empty(
    command: str, name: str, more: list[str], value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    with pytest.raises(SpecError, match=rf"^\${name} is empty.*`unset {name}`"):
        variable(name)
    assert main([command, "job.yaml", *more]) == 2
    assert not (tmp_path / "out").exists()


def test_a_variable_that_nobody_asks_for_may_be_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "")
    (tmp_path / "job.yaml").write_text(JOB)
    out = f"--set=output.dir={tmp_path / 'out'}"
    assert main(["run", str(tmp_path / "job.yaml"), "--local", out, "--set=size=64x64", "--frames", "0"]) == 0


def test_a_variable_is_read_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert variable("RAY_ADDRESS") == "auto"
    monkeypatch.delenv("RAY_ADDRESS")
    assert variable("RAY_ADDRESS") is None


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (["job.yaml"], "; `render run job.yaml` renders a job; `render --help`"),
        (["chek", "job.yaml"], "; did you mean 'check'?; "),
        (["run", "job.yaml", "--steps", "20"], "--steps 20; write --set steps=20; `render run --help` shows"),
        (["run", "job.yaml", "--workers=3"], "; write --set farm.workers=3; "),
        (["check", "job.yaml", "--cfg_scale", "3"], "; write --set guidance=3; "),
        (["plan", "job.yaml", "--batch-size"], "; write --set engine.batch=VALUE; "),
        (["run", "job.yaml", "--output", "x"], "--output x; `render run --help`"),
        (["run", "job.yaml", "--foo"], "--foo; `render run --help`"),
        (["status", "out", "--steps", "3"], "--steps 3; `render status --help`"),
        (["export", "demo", "x", "--dtype", "float16"], "; write fp16; "),
        (["export", "demo", "x", "--dtype", "int4"], "'fp16'); `render export --help`"),
        (["new", "drem"], "mode 'drem'; did you mean 'dream'?; write one of: dream"),
        (["new", "walk"], "mode 'walk': write dream"),
        (["new", "text2img"], "mode 'text2img' is not built yet; this version has: dream"),
        (["bench", "--sampler", "k_euler_a"], "--sampler k_euler_a: unknown sampler 'k_euler_a'; write euler-a\n"),
        (["bench", "--backends", "torch"], "--backends torch: unknown backend 'torch'; write eager\n"),
        (["bench", "--dtypes", "float16"], "--dtypes float16: unknown dtype 'float16'; write fp16\n"),
        (["bench", "--size", "512"], "write width x height in pixels, 512x512\n"),
    ],
    ids=" ".join,
)
def test_a_wrong_word_is_answered_with_the_right_one(
    words: list[str], cure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    told = capsys.readouterr().err
    assert cure in told, told
    assert told.count("\n") == 1
