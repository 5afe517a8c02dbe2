"""The package's name: `render` on PyPI is a stranger's, so nothing here may ask for it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import render
from render.errors import pip_install

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FOLDERS = ("render", "tests", "docker", "jobs", "benchmarks", ".ci", ".github")
TEXT = frozenset({"", ".md", ".py", ".toml", ".txt", ".yaml", ".yml", ".sh", ".sbatch", ".html", ".cfg", ".json"})

# `render[s3]`, and `render` among what pip is to install; `latent-render`, `./render` and `/opt/render` are others.
STRANGER = re.compile(
    r"""(?<![\w./-])render\\?\[[a-z{]|\b(?:pip3?|uv pip|pipx|uv) (?:tool )?(?:install|download|wheel)\b"""
    r"""[^`\n|;&]*?[\s'"]render(?=[\s'"`;,=<>)]|$)""",
    re.MULTILINE,
)
EXTRA = re.compile(r"""(?:latent-render|(?<=['"\s])\.|(?<=pip_install\()['"])\\?\[([a-z0-9,-]+)\\?\]""")


def texts() -> dict[Path, str]:
    """Every file of the repository that people wrote, but this one."""
    files = [path for path in ROOT.iterdir() if path.is_file()]
    files += [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    read = {}
    for path in files:
        if path.suffix in TEXT and path != Path(__file__) and "__pycache__" not in path.parts:
            read[path] = path.read_text(encoding="utf-8", errors="replace")
    return read


def test_the_package_is_not_the_strangers() -> None:
    assert PROJECT["name"] == "latent-render"
    assert PROJECT["scripts"]["render"] == "render.__main__:command"
    assert PROJECT["version"] == render.__version__


def test_no_file_asks_for_the_strangers_package() -> None:
    read = texts()
    assert {"README.md", "Makefile", "Dockerfile", "run.py", "onprem.yaml"} <= {path.name for path in read}
    found = {path: [match[0] for match in STRANGER.finditer(text)] for path, text in read.items()}
    assert {path: words for path, words in found.items() if words} == {}


@pytest.mark.parametrize(
    ("text", "strange"),
    [
        ("pip install 'render[s3]'", True),
        ('pip install "render[onnx]" boto3', True),
        ("pip install render", True),
        ("`pip install -U render`", True),
        ("RUN pip3 install -c constraints.txt render boto3", True),
        ("uv pip install render==0.1.0", True),
        ("Google `'render[gcs]'`", True),
        (r"match=r\"'render\[optimum\]'\"", True),
        ("f\"'render[{extra}]'\"", True),
        ("pip install 'latent-render[s3]'", False),
        ("pip install '.[s3]'", False),
        ("pip install -e . && render run", False),
        ("`pip install .`; render starts", False),
        ("pip uninstall render", False),
        ("pip install --no-deps /opt/render", False),
    ],
)
def test_what_asks_for_it_is_known(text: str, strange: bool) -> None:
    assert bool(STRANGER.search(text)) == strange


def test_every_extra_that_is_named_exists() -> None:
    named = {
        (path.name, extra)
        for path, text in texts().items()
        for found in EXTRA.findall(text)
        for extra in found.split(",")
    }
    extras = set(PROJECT["optional-dependencies"])
    assert {"s3", "gcs", "onnx", "onnx-gpu", "cluster", "optimum", "xformers", "dev"} <= {extra for _, extra in named}
    assert {(file, extra) for file, extra in named if extra not in extras} == set()


def test_a_checkout_is_installed_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The bug: messages named a package that whoever runs a checkout did not install."""
    assert pip_install("[s3]") == f"`pip install '.[s3]'` in {ROOT}"
    assert pip_install("adlfs") == "`pip install adlfs`"
    monkeypatch.setattr("render.errors.HOME", tmp_path)
    assert pip_install("[onnx-gpu]") == "`pip install 'latent-render[onnx-gpu]'`"


@pytest.mark.parametrize(
    "text",
    [
        "[project]\nname = 'another'",
        "[tool.ruff]",
        "project = 1",
        "[[project]]\nname = 'latent-render'",
        "no toml",
        "\xff",
    ],
)
def test_a_pyproject_of_others_is_no_checkout(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text, encoding="latin-1")
    monkeypatch.setattr("render.errors.HOME", tmp_path)
    assert pip_install("[s3]") == "`pip install 'latent-render[s3]'`"


def test_no_message_spells_the_command_by_hand() -> None:
    spelled = [path.name for path in (ROOT / "render").rglob("*.py") if re.search(r"pip3? install", path.read_text())]
    assert spelled == ["errors.py"]
