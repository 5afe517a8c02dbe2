"""What ``import render`` promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import render

ROOT = Path(__file__).parent.parent


def test_all() -> None:
    assert render.__all__ == sorted(set(render.__all__), key=render.__all__.index)
    assert {"JobSpec", "Plan", "RenderError", "load", "run_job", "__version__"} <= set(render.__all__)


@pytest.mark.parametrize("name", [name for name in render.__all__ if name != "RayFarm"])
def test_every_name_is_there(name: str) -> None:
    found = getattr(render, name)
    assert name == "__version__" or found.__name__ == name


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="module 'render' has no attribute 'rendr'"):
        _ = render.rendr


def test_importing_is_light() -> None:
    code = "import sys, typing; before = set(sys.modules); import render; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    foreign = {name.partition(".")[0] for name in done.stdout.split()} - sys.stdlib_module_names
    assert foreign == {"render"}


def test_every_module_says_what_it_offers() -> None:
    for path in sorted((ROOT / "render").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert "__all__ = [" in text, path.name
        assert text.startswith('"""'), path.name
