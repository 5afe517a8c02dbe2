"""What of the demo model is shipped: its weights; not how they were made."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from setuptools.discovery import PEP420PackageFinder

from render.models.demo import WEIGHTS

ROOT = Path(__file__).parents[3]
SETUPTOOLS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
PACKAGES = PEP420PackageFinder.find(str(ROOT), **SETUPTOOLS["packages"]["find"])
OUTSIDE = re.compile(r"^\s*(?:from|import) +(?:benchmarks|tests)\b", re.MULTILINE)


def test_the_wheel_has_the_weights_and_not_their_training() -> None:
    assert {"render", "render.engine", "render.models.demo"} <= set(PACKAGES)
    assert {name.split(".")[0] for name in PACKAGES} == {"render"}
    demo = WEIGHTS.parent
    shipped = {path for pattern in SETUPTOOLS["package-data"]["render.models.demo"] for path in demo.glob(pattern)}
    assert {path for path in WEIGHTS.rglob("*") if path.is_file()} < shipped


def test_nothing_that_is_shipped_imports_what_is_not() -> None:
    sources = {path: path.read_text() for name in PACKAGES for path in (ROOT / name.replace(".", "/")).glob("*.py")}
    assert len(sources) > 100
    assert [path for path, text in sources.items() if OUTSIDE.search(text)] == []
    assert OUTSIDE.search(Path(__file__).with_name("test_reader.py").read_text()), "as it finds it where it is"
