"""What is wrong with a job spec -> sentences that name the line, the field and the cure.

Turns what pydantic found into plain words. Knows paths and lines, not what the values mean.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from render.errors import SpecError
from render.spec.document import Document
from render.spec.yaml_reader import KeyPath

__all__ = ["Mistake", "did_you_mean", "explained", "spec_error"]

MAX_MISTAKES = 20  # in one message: whoever reads it mends the first ones and asks again
MAX_CHARS = 600  # of one mistake: the longest lists of known names have 400

Mistake = tuple[KeyPath, str]
KeysAt = Callable[[KeyPath], list[str]]

NOT_BUILT = ("txt2img", "img2img", "inpaint", "animate")
"""Modes that are designed and not there yet: refused by name, never ignored."""


def spec_error(source: Document, mistakes: Iterable[Mistake]) -> SpecError:
    """One message of one line a mistake, in the order of the file, each with its line and its field."""
    in_order = sorted(mistakes, key=lambda mistake: source.line(mistake[0]))
    lines = [
        _one_line(f"{source.where(path)}: {_dotted(path)}{': ' if path else ''}{message}")
        for path, message in in_order[:MAX_MISTAKES]
    ]
    more = [f"… and {len(in_order) - MAX_MISTAKES} more mistakes"] if len(in_order) > MAX_MISTAKES else []
    return SpecError("\n".join(lines + more))


def _one_line(text: str) -> str:
    """What a terminal shows as it is: keys and values come from outside, and may hold escape sequences."""
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[: MAX_CHARS + 1])
    return shown if len(text) <= MAX_CHARS else f"{shown[:MAX_CHARS]}…"


def _dotted(path: KeyPath) -> str:
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def explained(details: Iterable[ErrorDetails], data: Any, keys_at: KeysAt, modes: Iterable[str]) -> list[Mistake]:
    """What pydantic found, for people: one mistake a path. ``keys_at`` lists the keys that a section knows.

    Of a union's branches the last one speaks, of a list and its items the items.
    """
    found: dict[KeyPath, str] = {}
    auto: set[KeyPath] = set()
    for detail in details:
        path, found[path] = _explain(detail, data, keys_at, list(modes))
        if detail["type"] == "literal_error" and len(detail["loc"]) > len(path):
            auto.add(path)  # the branch of a union with the word auto
    inside = {path[:end] for path in found for end in range(len(path))}
    return [
        (path, f"{message}, or auto" if path in auto else message)
        for path, message in found.items()
        if path not in inside
    ]


def _explain(detail: ErrorDetails, data: Any, keys_at: KeysAt, modes: list[str]) -> Mistake:
    """One pydantic error as a path into the user's file and a sentence. Union branches are not part of the path."""
    path = _user_path(detail["loc"], data)
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            known = keys_at(path[:-1])
            return path, f"unknown key{did_you_mean(str(path[-1]), known)}; known here: {', '.join(known)}"
        case "missing":
            return path, "is missing"
        case "value_error":
            return path, str(context["error"])
        case "literal_error" if path == ("mode",) and detail["input"] in NOT_BUILT:
            return path, f"{detail['input']!r} is not built yet; this version has: {', '.join(modes)}"
        case "literal_error":
            known = modes if path == ("mode",) else _literals(detail)
            return (
                path,
                f"{detail['input']!r}{did_you_mean(str(detail['input']), known)}; write one of: {', '.join(known)}",
            )
        case kind if kind in _EXPECTED:
            return path, f"{_short(detail['input'])}: write {_EXPECTED[kind].format(**context)}"
        case "string_pattern_mismatch":
            return (
                path,
                f"{detail['input']!r}: at most 100 letters, digits, '.', '_' and '-', the first a letter or digit",
            )
        case _:
            return path, f"{_short(detail['input'])}: {detail['msg'][0].lower()}{detail['msg'][1:]}"


_EXPECTED = {
    "bool_type": "true or false",
    "float_type": "a number",
    "greater_than_equal": "{ge} or more",
    "int_type": "a whole number",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "model_type": "a mapping of keys",
    "string_too_long": "at most {max_length} characters",
    "string_type": "text; put it in quotes if it looks like a number",
    "too_long": "at most {max_length} of them",
    "too_short": "at least one of them",
    "tuple_type": "a list",
}


def _user_path(location: tuple[int | str, ...], data: Any) -> KeyPath:
    """The part of a pydantic location that exists in the user's data, plus a last key that is missing there."""
    path: list[int | str] = []
    for key in location:
        if isinstance(data, Mapping) and isinstance(key, str):
            path.append(key)
            if key not in data:
                break
            data = data[key]
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            path.append(key)
            data = data[key]
        else:
            break
    return tuple(path)


def _literals(detail: ErrorDetails) -> list[str]:
    return [part.strip(" '") for part in str(detail["ctx"]["expected"]).replace(" or ", ", ").split(",")]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'steps'?`` where one of the ``known`` words is near, else nothing."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
