"""Words that people read: one frame is no "1 frames", wherever a number stands before its noun."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from render.errors import count
from render.report import countdown, rate

ROOT = Path(__file__).parents[1]
NOUNS = "attempt|chunk|core|device|file|frame|image|job|keyframe|node|packet|picture|record|run|segment|step|worker"
PLURAL = re.compile(rf" ?({NOUNS})s\b(?! a second|/s)")
"""After a number in an f-string. What is per second is always plural."""

MORE_THAN_ONE = {
    "{wanted} workers": "asked for where there are devices for fewer, and for one at least",
    "{job.lost_opens} workers": "after several in a row",
    "{job.lost_asks} workers": "after several in a row",
    "{failed} workers": "after several in a row",
    "{job.failed_opens} workers": "after several in a row",
    "{rendering} chunks": "beside the word for one",
    "{self.reuse_steps} steps": "one is no reuse",
}


def _numbered(path: Path) -> Iterator[str]:
    """``{n} frames`` of a file's f-strings, where ``n`` is no constant of the program."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in zip(node.values, node.values[1:], strict=False):
            if isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant):
                found, name = PLURAL.match(str(text.value)), ast.unparse(value.value)
                if found and not name.strip("_").isupper():
                    yield f"{{{name}}} {found[1]}s"


def test_numbers_before_nouns_are_counted_by_the_helper() -> None:
    found = {(path.name, text) for path in (ROOT / "render").rglob("*.py") for text in _numbered(path)}
    assert {(name, text) for name, text in found if text not in MORE_THAN_ONE} == set()
    assert {text for _, text in found} == set(MORE_THAN_ONE), "none of these is there any more"


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (count(1, "frame"), "1 frame"),
        (count(0, "frame"), "0 frames"),
        (count(1200, "retry", "retries"), "1,200 retries"),
        (countdown(0.0), "1 s"),
        (countdown(0.4), "1 s"),
        (countdown(12.4), "12 s"),
        (countdown(59.4), "59 s"),
        (countdown(59.6), "1 min 00 s"),
        (countdown(3900.0), "1 h 05 min"),
        (rate(4.0), "4"),
    ],
)
def test_helpers(told: str, text: str) -> None:
    assert told == text
