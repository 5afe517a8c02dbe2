"""Places that people name: what nobody can mean is refused with the cure, and nothing is written there."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from render.cli import main
from render.cli.places import given_folder, given_job
from render.spec import STDIN
from render.spec.location import folder_mistake
from render.store import obstacle
from tests.conftest import CARD

ROOT = Path(__file__).parents[2]
Render = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Outside of pytest's own folder, which every session that begins closes to others, also beside this one."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a job, a file, a link to nowhere, one to a file and one to itself."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card.yaml").write_text(CARD)
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("unplugged/films")
    (tmp_path / "to-file").symlink_to("file")
    (tmp_path / "circle").symlink_to("circle")
    return tmp_path


@pytest.fixture
def render(capfd: pytest.CaptureFixture[str]) -> Render:
    """``render("check", …)``: exit code, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(arguments)
        return (code, *capfd.readouterr())

    return call


ODD = {
    "$HOME/films": "$HOME/films: variables are not filled in here; write the folder itself, ~ is your home",
    "${SCRATCH}/films": "variables are not filled in here",
    "/data/$USER/x": "variables are not filled in here",
    "%USERPROFILE%/films": "variables are not filled in here",
    "$(pwd)/x": "variables are not filled in here",
    "`pwd`/x": "variables are not filled in here",
    "out/$1": "variables are not filled in here",
    "out/{{name}}": "out/{{name}}: {{name}} is to be filled in; write the folder itself",
    "out/<name>": "<name> is to be filled in",
    '"out"': "the quotes are part of the name; write out",
    "'out'/x": "the quotes are part of the name; write out",
    "films/“evening”": "the quotes are part of the name; write evening",
    "file:/tmp/x": "an address; write the path itself, /tmp/x",
    r"C:\films\evening": "a path of Windows; write one of this machine, with /",
    "D:/films": "a path of Windows",
    "C:": "a path of Windows",
    r"out\evening": "a path of Windows",
    r"\\server\share": "a path of Windows",
    "out/evening ": "'evening ' begins or ends with a space; leave the space out",
    " out/evening": "' out' begins or ends with a space",
    "out/ä" + 126 * "ä" + "/x": None,
    "out/" + 128 * "ä": "a name of 256 bytes; file systems take 255: choose a shorter one",
    "x" * 256: "a name of 256 bytes",
    "/".join(["films"] * 680): "a path of 4,",
    "dangling/x": "dangling is a link to unplugged/films, which is not there: make that folder",
    "dangling": "dangling is a link to unplugged/films, which is not there: make that folder",
    "to-file": "to-file is a link to a file, so no folder can be made there",
    "circle/x": "circle is a link to circle, which is not there",
    "/proc/x": "in /proc there are only files of the system, and none can be made",
    "/sys/x/y": "in /sys there are only files of the system",
    "file": "file is a file, so no folder can be made there",
    "file/x": "file is a file, so no folder can be made there",
    "~nobody-of-this-name/x": "this machine knows no home ~nobody-of-this-name",
    "out/\u0001": "holds a character that no folder's name should have",
    "out/a\nb": "holds a character that no folder's name should have",
    "out/a\0b": "holds a character that no folder's name should have",
}


@pytest.mark.parametrize("command", ["check", "plan", "run", "preview"])
@pytest.mark.parametrize("folder", ODD, ids=lambda folder: ascii(folder[:24]))
def test_run_directories(folder: str, command: str, render: Render, here: Path) -> None:
    """In a spec: with the line, and before anything is made."""
    before = sorted(here.iterdir())
    dump = json.dumps(folder)
    (here / "card.yaml").write_text(CARD.replace("{preset: ultrafast}", f"{{preset: ultrafast, dir: {dump}}}"))
    words = ODD[folder]
    if words is None:
        assert command != "check" or render(command, "card.yaml")[0] == 0
        return
    code, out, err = render(command, "card.yaml", *(["--local"] if command == "run" else []))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("render: card.yaml:11: output.dir: ")
    assert words in err
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize(
    "folder", [odd for odd in ODD if ODD[odd] and odd.isprintable()], ids=lambda odd: ascii(odd[:24])
)
def test_the_same_on_the_command_line(folder: str, render: Render, here: Path) -> None:
    before = sorted(here.iterdir())
    words = str(ODD[folder]).removeprefix(f"{folder}: ")
    code, _, err = render("check", "card.yaml", "--set", f"output.dir={json.dumps(folder)}")
    assert (code, words in err, err.startswith("render: --set output.dir=")) == (2, True, True)
    for command in (
        ["export", "demo", folder],
        ["bench", f"--out={folder}"],
        ["preview", "card.yaml", f"--to={folder}/a.png"],
    ):
        code, out, err = render(*command)
        assert (code, out, err.count("\n"), words in err) == (2, "", 1, True), (command, err)
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize("folder", ["Träume ☀", "a b", "#1", "it's", "5$", "100%", "a'b'c", "{a}", "a<b", "x 'y' z"])
def test_odd_names_that_are_right(folder: str, render: Render, here: Path) -> None:
    assert render("check", "card.yaml", "--set", f"output.dir=out/{folder}")[0] == 0
    assert folder_mistake(folder) is None


@pytest.mark.parametrize("folder", ["s3://bucket/x", "https://host/x", "file:///tmp/x"])
def test_an_address_is_no_folder_of_the_command_line(folder: str, render: Render, here: Path) -> None:
    before = sorted(here.iterdir())
    for command in (["export", "demo", folder], ["preview", "card.yaml", f"--to={folder}/a.png"]):
        code, out, err = render(*command)
        assert (code, out, err.count("\n"), "an address" in err) == (2, "", 1, True), (command, err)
    assert sorted(here.iterdir()) == before


def test_a_file_address_is_answered_with_its_path(render: Render, here: Path) -> None:
    code, _, err = render("check", "card.yaml", "--set", "output.dir=file:///tmp/x")
    assert folder_mistake("'out/x'") == "'out/x': the quotes are part of the name; write out/x"
    assert (code, "file:///tmp/x: write the path itself, /tmp/x" in err) == (2, True)


def test_home_is_home_however_it_is_quoted(render: Render, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell fills in ``--to=~/a.png`` or a spec's ``~``."""
    monkeypatch.setenv("HOME", str(here / "home"))
    assert render("preview", "card.yaml", "--to=~/sheets/a.png")[0] == 0
    assert render("run", "card.yaml", "--local", "--set", "output.dir=~/films")[0] == 0
    assert sorted(path.name for path in (here / "home").iterdir()) == ["films", "sheets"]
    assert render("status", "~/films")[0] == 0
    (here / "home/b.yaml").write_text(CARD)
    assert render("check", "~/b.yaml")[0] == 0


@pytest.mark.parametrize(
    "model", ["~nobody-of-this-name/sd", "$HOME/models/sd", "%USERPROFILE%/sd", r"C:\models\sd", "models/sd "]
)
def test_models(model: str, render: Render) -> None:
    code, _, err = render("check", "card.yaml", "--set", f"model={json.dumps(model)}")
    assert (code, err.count("\n")) == (2, 1)
    assert any(
        words in err for words in ("knows no home", "variables are not", "a path of Windows", "ends with a space")
    )
    code, _, err = render("check", "card.yaml", "--set", "model=demo", "--set", f"engine.tiny_vae={json.dumps(model)}")
    assert (code, "no such folder" in err) == (2, model.startswith("~"))


def test_a_folder_without_a_name(here: Path) -> None:
    assert given_folder(".") == here


@pytest.fixture
def somebody(here: Path, render: Render) -> Iterator[None]:
    """The rest of the test runs as a user whom permissions bind."""
    render("check", "card.yaml", "--set", "output.dir=file")  # imports all while Python's folder can be read
    if os.geteuid() != 0:
        yield
        return
    for folder in (here, *here.parents):
        if not folder.stat().st_mode & 0o007:  # pytest's own folders; /tmp keeps what it has
            folder.chmod(0o777)
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_folders_of_others(here: Path, somebody: None, render: Render) -> None:
    """What permissions forbid is said before anything is begun."""
    (here / "mine").mkdir(mode=0o777)
    (here / "mine/closed").mkdir(mode=0o000)
    (here / "mine/theirs").mkdir(mode=0o555)
    assert obstacle(Path("mine/films")) is None
    code, _, err = render("check", "card.yaml", "--set", "output.dir=mine/theirs/films")
    assert (code, f"{here}/mine/theirs is not writable; choose another output.dir" in err) == (2, True)
    for name in ("mine/closed", "mine/closed/a.yaml", "card.yaml/x.yaml", "x" * 300, "circle", "dangling"):
        code, _, err = render("check", name)
        assert (code, err.count("\n"), "Traceback" in err) == (2, 1, False), err


@pytest.mark.parametrize("name", ["job.yaml", "video.mp4", "report.html"])
def test_a_run_writes_over_nothing_but_its_own(name: str, here: Path, render: Render) -> None:
    """``output.dir: .`` beside a file that is called job.yaml, as every example calls it."""
    (here / name).write_text(CARD + "# notes of mine\n")
    job = "job.yaml" if name == "job.yaml" else "card.yaml"
    for command in (["check"], ["run", "--local"]):
        code, _, err = render(command[0], job, "--set", "output.dir=.", *command[1:])
        assert (code, f".: no run was here, and its {name} would be written over; choose" in err) == (2, True), err
    assert "# notes of mine" in (here / name).read_text()


def test_a_run_goes_on_where_one_was(here: Path, render: Render) -> None:
    """Killed before there was a plan, after a preview, or by the spec that it keeps."""
    assert render("preview", "card.yaml")[0] == 0
    assert render("run", "card.yaml", "--local")[0] == 0
    assert render("run", "out/card/job.yaml", "--local")[0] == 0
    (here / "out/card/plan.json").unlink()
    assert render("run", "card.yaml", "--local")[0] == 0


def test_one_job_named_twice(render: Render, here: Path) -> None:
    (here / "films").mkdir()
    (here / "link").symlink_to("films")
    code, _, err = render("run", "card.yaml", "./card.yaml", "--local")
    assert (code, "card.yaml renders into the same directory" in err) == (2, True)
    (here / "b.yaml").write_text(CARD)
    for name, folder in (("card.yaml", "films/x"), ("b.yaml", "link/x")):
        (here / name).write_text(CARD.replace("{preset: ultrafast}", f"{{dir: {folder}}}"))
    assert render("run", "card.yaml", "b.yaml", "--local")[0] == 2


@pytest.mark.parametrize("command", ["check", "plan", "run", "preview"])
def test_a_spec_on_standard_input(command: str, render: Render, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pipe(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    options = ["--local"] if command == "run" else []
    pipe(CARD)
    code, out, err = render(command, "-", *options)
    assert code == 0, err
    assert "card" in out
    pipe(CARD + "stps: 3\n")
    code, _, err = render(command, "-", *options)
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("render: <stdin>:12: stps: unknown key"), err
    pipe(CARD.replace("name: card\n", ""))
    assert render(command, "-", *options)[2].startswith("render: <stdin>:1: name: is missing"), (
        "there is no file to name it after"
    )
    for nothing in ("", None):
        pipe("") if nothing is not None else monkeypatch.setattr(sys, "stdin", None)
        code, _, err = render(command, "-", *options)
        assert (code, err.startswith("render: <stdin>: a job spec is a mapping of keys")) == (2, True)
    pipe(CARD)
    if command in ("check", "run"):
        assert "standard input can be read once" in render(command, "-", "-", *options)[2]
    code, _, err = render(command, "-", *options, "--json", "--set", "steps=0")
    assert (code, "--set steps=0: steps: 0: write 1 or more" in err) == (2, True)


def test_a_file_that_is_called_like_standard_input(here: Path) -> None:
    assert (given_job("-"), given_job("./-")) == (STDIN, here / "-")


@pytest.mark.slow
def test_a_working_folder_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    for arguments in (
        "check a.yaml",
        "run a.yaml --local",
        "status out/x --json",
        "preview a.yaml",
        "inspect video.mp4",
    ):
        gone.mkdir()
        script = f"rmdir {gone}; exec {sys.executable} -m render {arguments}"
        done = subprocess.run(
            ["sh", "-c", script], cwd=gone, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
        )
        assert done.returncode == 5, done.stderr
        assert done.stderr.splitlines()[-1].startswith("render: the folder in which this was started is gone")
        assert "Traceback" not in done.stderr
