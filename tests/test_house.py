"""The shape of the code that a reader meets: sizes of files and functions, imports, and a page for every wing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "render").rglob("*.py"))
WINGS = ("cli", "bench", "farm", "report", "engine", "store", "plan", "spec", "models", "video")
MAX_LINES = 280
MAX_IMPORTS = 14
TABLE = "render/cli/commands/__init__.py"  # the one file that names every command


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _functions(tree: ast.Module) -> Iterator[int]:
    """The lines of every function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or 0) - node.lineno + 1


def _imports(tree: ast.Module) -> set[str]:
    """The modules of ours that a file imports, wherever it does."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "render":
            found.add(str(node.module))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "render"}
    return found


TREES = {path: ast.parse(path.read_text()) for path in FILES}
SIZES = {path: path.read_text().count("\n") for path in FILES}


def test_there_are_ten_wings() -> None:
    folders = {path.name for path in (ROOT / "render").iterdir() if (path / "__init__.py").exists()}
    assert folders == set(WINGS)
    assert {path.name for path in (ROOT / "render").glob("*.py")} == {"__init__.py", "__main__.py", "errors.py"}


def test_files_fit_the_eye() -> None:
    sizes = [size for path, size in SIZES.items() if path.name != "__init__.py" or size > 1]
    assert {_name(path): size for path, size in SIZES.items() if size > MAX_LINES} == {}
    assert median(sizes) < 95
    assert quantiles(sizes, n=10)[-1] < 210


def test_functions_fit_the_eye() -> None:
    lengths = [lines for tree in TREES.values() for lines in _functions(tree)]
    assert quantiles(lengths, n=10)[-1] <= 17


def test_no_file_knows_everything() -> None:
    many = {_name(path): len(_imports(tree)) for path, tree in TREES.items() if len(_imports(tree)) > MAX_IMPORTS}
    assert many.keys() <= {TABLE}


def test_no_file_takes_the_private_names_of_another() -> None:
    taken = {
        (_name(path), alias.name)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "render"
        for alias in node.names
        if re.match(r"_[^_]", alias.name)
    }
    assert taken == set()


@pytest.mark.parametrize("wing", WINGS)
def test_every_wing_says_what_it_is_and_what_it_does_not_know(wing: str) -> None:
    folders = [
        path.parent
        for path in FILES
        if path.name == "__init__.py" and path.relative_to(ROOT / "render").parts[0] == wing
    ]
    for folder in folders:
        words = ast.get_docstring(TREES[folder / "__init__.py"]) or ""
        assert len(words.splitlines()) >= 3, (
            f"{_name(folder)}: three lines: what it is, what it does not know, where to begin"
        )


def test_the_pages_name_every_wing_and_every_file() -> None:
    readme, house = (ROOT / "README.md").read_text(), (ROOT / "render/README.md").read_text()
    for wing in WINGS:
        assert re.search(rf"^  {wing}/ ", readme, re.MULTILINE), wing
        section = house.partition(f"## `{wing}/`")[2].partition("\n## ")[0]
        names = {path.stem for path in (ROOT / "render" / wing).rglob("*.py")} - {"__init__"}
        assert {name for name in names if f"`{name}`" not in section} == set(), wing


def test_every_folder_has_a_page() -> None:
    for folder in ("", "render", "jobs", "benchmarks", "tests", "docker"):
        assert (ROOT / folder / "README.md").exists(), folder
