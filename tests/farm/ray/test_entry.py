"""A worker's process finds render where the driver has it, whatever else has that name there, or says what is wrong."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
STRANGER = "WHO = 'a stranger'\n"

# As Ray does it: the class from its source alone, the worker unpickled in there.
PROCESS = """
import json, runpy, sys
entry = runpy.run_path({entry!r})["Entry"]({home!r}, {folder!r}, {worker!r})
try:
    print(json.dumps([entry.hello(), sys.path, __import__("os").getcwd()]))
except ImportError as error:
    print(json.dumps(str(error)))
"""


class _Hello:
    """Unpickled to a maker of workers that say where their render lies."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, (self.code,)


def hello(tmp_path: Path, home: Path, *, code: str = "", folder: Path = ROOT) -> object:
    """What the process of a worker says, with ``tmp_path / "first"`` before all others on its path."""
    says = "type('W', (), {'hello': lambda self: __import__('render').__file__})"
    worker = pickle.dumps(_Hello(f"({code or 'None'}, {says})[1]"))
    text = PROCESS.format(
        entry=str(ROOT / "render/farm/ray/entry.py"), home=str(home), folder=str(folder), worker=worker
    )
    (tmp_path / "process.py").write_text(text)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "first")}
    done = subprocess.run(
        [sys.executable, tmp_path / "process.py"], env=environment, capture_output=True, text=True, check=True
    )
    found: object = json.loads(done.stdout)
    return found


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A folder that comes first on the path of the process, with a stranger's package ``render`` in it."""
    folder = tmp_path / "first"
    (folder / "render").mkdir(parents=True)
    (folder / "render" / "__init__.py").write_text(STRANGER)
    return folder


@pytest.mark.usefixtures("first")
def test_render_is_imported_from_where_the_driver_has_it(tmp_path: Path) -> None:
    found = hello(tmp_path, ROOT)
    assert isinstance(found, list), found
    assert found[0] == str(ROOT / "render" / "__init__.py")
    assert found[1][1] == str(tmp_path / "first"), "the folder itself stays out of the way"


def test_the_driver_works_in_a_folder_that_is_no_place_to_import_from(tmp_path: Path, first: Path) -> None:
    found = hello(tmp_path, ROOT, folder=first)
    assert isinstance(found, list), found
    assert (found[0], found[2]) == (str(ROOT / "render" / "__init__.py"), str(first))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("__import__('render.dream')", "No module named 'render.dream'"),
        ("__import__('render').load", "has no attribute 'load'"),
    ],
)
def test_a_stranger_of_the_same_name_is_named(tmp_path: Path, first: Path, code: str, words: str) -> None:
    """Where the driver's folder is not on the node."""
    told = hello(tmp_path, tmp_path / "nowhere", code=code)
    assert isinstance(told, str)
    assert words in told
    assert f"(render is {first / 'render' / '__init__.py'})" in told
    assert told.startswith(f"{sys.executable} on ")
    assert "PYTHONPATH" in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise SystemExit('usage: numpy FILE')", "SystemExit: usage: numpy FILE (in "),
        ("raise ValueError('two\\nlines')", "ValueError: two lines (in "),
        ("x = 1", "AttributeError: module 'numpy' has no attribute 'float32' (numpy is "),
        ("def f(:", "SyntaxError: "),
    ],
    ids=["a script", "an error", "another module", "not Python"],
)
def test_a_file_in_the_way_is_named(tmp_path: Path, first: Path, text: str, words: str) -> None:
    (first / "numpy.py").write_text(text)
    told = hello(tmp_path, ROOT, code="__import__('numpy').float32")
    assert isinstance(told, str)
    assert words in told
    assert "numpy.py" in told
    assert "\n" not in told
