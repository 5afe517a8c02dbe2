"""What the documents say is true: every job file loads, every YAML, shell and Python block of the README runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from render.cli.commands.inspect import inspect
from render.spec import MODES, load, validate
from render.spec.document import parse

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", sorted((ROOT / "jobs").glob("*.yaml")), ids=lambda path: path.stem)
def test_job_files_load(path: Path) -> None:
    assert load(path).spec.name == path.stem


def test_the_picture_of_the_readme_is_its_job() -> None:
    film = inspect(ROOT / "jobs/evening.webp")
    job = load(ROOT / "jobs/evening.yaml", ["output.video=webp"]).spec
    assert (validate(parse(film.spec, name="evening.webp")), film.frames) == (job, job.num_frames)


@pytest.mark.parametrize("mode", MODES)
def test_templates_load(mode: str) -> None:
    assert validate(parse(MODES[mode].template, name=mode)).mode == mode


def test_texts_stand_in_quotes() -> None:
    """Who copies a line and adds a comma to its prompt has not broken it."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *ROOT.glob("jobs/*.yaml"), *ROOT.glob("docker/*")]
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in pages if path.is_file()}
    texts |= {f"render new {name}": mode.template for name, mode in MODES.items()}
    sign = re.compile(r"\b(?:prompt|negative): +(\S.*)")
    found = [(name, value) for name, text in texts.items() for value in sign.findall(text)]
    assert {"README.md", "jobs/evening.yaml", "render new dream", "docker/rayjob.yaml"} <= {name for name, _ in found}
    assert [each for each in found if not each[1].startswith(('"', "'"))] == []


def test_readme_job_loads() -> None:
    assert [validate(parse(block, name="README.md")).num_frames for block in blocks("yaml")] == [288]


@pytest.mark.slow
def test_readme_commands_run(tmp_path: Path) -> None:
    """The commands of the README in their order, on test cards so that they take seconds."""
    for name in ("job.yaml", "a.yaml", "b.yaml"):
        text = MODES["dream"].template.replace("model: demo ", "model: testcard ").replace("my-dream", name[:-5])
        (tmp_path / name).write_text(text.replace("duration: 8s", "duration: 12s"))
    (tmp_path / "tonight").mkdir()
    (tmp_path / "tonight" / "c.yaml").write_text((tmp_path / "b.yaml").read_text().replace("name: b", "name: c"))
    lines = [line for line in blocks("console")[1].splitlines() if line.startswith("$ ")]
    assert len(lines) == 12
    for line in lines:
        command = line.removeprefix("$ ").partition("#")[0].strip()
        command = command.replace("out/day-and-night", "out/job").replace(
            "render ", f"{shlex.quote(sys.executable)} -m render ", 1
        )
        if " run " in command:
            command += " --local"
        done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"


@pytest.mark.slow
def test_readme_python_runs(tmp_path: Path) -> None:
    [block] = blocks("python")
    (tmp_path / "jobs").symlink_to(ROOT / "jobs")
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "out/from-python/video.mp4"


def test_readme_tree_names_every_module() -> None:
    tree = next(block for block in blocks("text") if "errors.py" in block)
    modules = {path.name for path in (ROOT / "render").glob("*.py")} - {"__init__.py", "__main__.py"}
    assert {name for name in modules if not re.search(rf"\b{name}\b", tree)} == set()
    assert {name for name in re.findall(r"\b\w+\.py\b", tree) if name not in modules} == set()


def test_exit_codes_of_the_readme_are_those_of_the_errors() -> None:
    from render import errors

    told = {
        int(code)
        for code in re.findall(
            r"(?<![\w-])(\d{1,3}) "
            r"(?:done|a mistake|bad|run|locked|disk|model|engine|video|farm|regression|and 143 interrupted)",
            README,
        )
    }
    classes = [getattr(errors, name) for name in errors.__all__ if isinstance(getattr(errors, name), type)]
    assert told == {0} | {cls.exit_code for cls in classes}
