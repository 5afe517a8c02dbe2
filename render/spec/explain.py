"""What pydantic found in a job spec -> sentences that say what to write instead.

Knows the forms that values are mistaken in and the words of other tools, not what the values mean.
"""

import re
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

from pydantic_core import ErrorDetails

from render.spec.forms import fresh_seed, number_meant, switch_meant, text_meant
from render.spec.keys import Keys
from render.spec.mistakes import Mistake
from render.spec.other_tools import key_called, no_such_mode, no_such_word, word_called
from render.spec.sampler_names import schedule_called
from render.spec.samplers import SAMPLERS
from render.spec.shown import shown
from render.spec.yaml_reader import KeyPath
from render.video.codecs import CODECS

__all__ = ["empty", "explained"]

_TABLES = {"sampler": SAMPLERS, "codec": CODECS}
_FIRST = {"sampler": "dpm++2m", "codec": "h264"}
RANDOM = r"|-\d+|rand(om)?|any|auto|none|null"  # what people write for any seed, here and elsewhere


def explained(
    details: Iterable[ErrorDetails], data: Any, keys: Keys, modes: Iterable[str], rests: Mapping[KeyPath, str]
) -> list[Mistake]:
    """What pydantic found, for people: one mistake a path. ``rests``: keys that may be part of a text, and the cure.

    Of a union's branches the last one speaks, of a list and its items the items.
    """
    found: dict[KeyPath, str] = {}
    auto: set[KeyPath] = set()
    unknown: dict[KeyPath, str] = {}
    for detail in details:
        path = _user_path(detail["loc"], data)
        if detail["type"] == "extra_forbidden":
            unknown[path] = detail["input"]
            continue
        found[path] = _explain(path, detail, list(modes))
        if detail["type"] == "literal_error" and len(detail["loc"]) > len(path):
            auto.add(path)  # the branch of a union with the word auto
    found = {path: _or_auto(message) if path in auto else message for path, message in found.items()}
    found |= keys.unknown(unknown, rests) | _doubles(unknown, data)
    inside = {path[:end] for path in found for end in range(len(path))}
    return [(path, message) for path, message in found.items() if path not in inside]


def _doubles(unknown: Mapping[KeyPath, Any], data: Any) -> dict[KeyPath, str]:
    """What is said of unknown keys that say something about a key that stands beside them."""
    found = {}
    for path, value in unknown.items():
        key, section = str(path[-1]), reduce(lambda inner, step: inner[step], path[:-1], data)
        ours = key_called(key)
        if not path[:-1] and (cure := schedule_called(key, value, section.get("sampler", "dpm++2m"))):
            found[path] = f"unknown key; {cure}"
        elif ours and ours != "keyframes" and ours in section:
            found[path] = f"unknown key; {ours} stands there already, keep one of the two values there"
    return found


def empty(path: KeyPath) -> str:
    """What is said of a key behind which nothing stands."""
    if path[-1] == "seed":
        return f"is empty; {fresh_seed()}"
    nothing = {"prompt": '; an empty text is ""', "negative": '; an empty text is ""'}.get(str(path[-1]), "")
    return f"is empty; write a value, or leave the key out{nothing}"


def _or_auto(message: str) -> str:
    return f"{message}, or auto" if ": write " in message else message


def _explain(path: KeyPath, detail: ErrorDetails, modes: list[str]) -> str:
    """One pydantic error as a sentence about the value at ``path``."""
    value, context, field = detail["input"], detail.get("ctx", {}), str(path[-1]) if path else ""
    if field == "seed" and re.fullmatch(RANDOM, str(value).strip().lower()):
        return f"{shown(value)}: {fresh_seed()}"
    match detail["type"]:
        case "missing":
            return f"is missing{_EXAMPLES.get(field, '')}"
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return no_such_mode(value, modes) if path == ("mode",) else no_such_word(field, value, _literals(detail))
        case "string_too_short":
            return f"is empty{_EXAMPLES.get(field, '')}"
        case "string_pattern_mismatch" if field != "name":
            return f"is empty{_EXAMPLES.get(field, '')}"
        case "string_pattern_mismatch":
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", str(value)[:100]).strip(".-_")
            said = f"{shown(value)}: at most 100 letters, digits, '.', '_' and '-', the first a letter or digit"
            return f"{said}; for example {name}" if name else said
        case "string_type" if field in _TABLES:
            word = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            cure = (
                word_called(field, word, _TABLES[field]) or f"write the name of a {field}, for example {_FIRST[field]}"
            )
            return f"{shown(value)}: {cure}"
        case kind if kind in _EXPECTED:
            form = _FORMS.get((kind, "" if path and isinstance(path[-1], int) else field), "")
            form += "; 1 is none" if field == "guidance" and kind == "greater_than_equal" else ""
            return f"{shown(value)}: write {_meant(kind, value) or _EXPECTED[kind].format(**context) + form}"
        case _:
            return f"{shown(value)}: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _meant(kind: str, value: object) -> str | None:
    """The same value in its right form, where it has one."""
    match kind:
        case "int_type" | "int_parsing" | "int_from_float":
            return number_meant(value, whole=True)
        case "float_type":
            return number_meant(value, whole=False)
        case "bool_type":
            return switch_meant(value)
        case "string_type":
            return text_meant(value)
    return None


_EXPECTED = {
    "bool_type": "true or false",
    "finite_number": "a number",
    "float_type": "a number",
    "greater_than_equal": "{ge} or more",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "model_type": "a mapping of keys",
    "string_too_long": "at most {max_length} characters",
    "string_type": "text in quotes",
    "too_long": "at most {max_length} of them",
    "too_short": "at least one of them",
    "tuple_type": "a list",
}

_FORMS = {
    ("tuple_type", "keyframes"): ': - {at: 0, prompt: "a red sun"}',
    ("tuple_type", "guidance_interval"): ", for example [0.1, 0.8]",
    ("model_type", "engine"): ", for example {batch: 8}",
    ("model_type", "farm"): ", for example {workers: 4}",
    ("model_type", "output"): ", for example {video: mp4}",
    ("model_type", ""): ', for example {at: 0, prompt: "a red sun"}',
}
"""Kind of mistake, field (empty: an item of a list) -> how such a value is written."""

_EXAMPLES = {
    "version": "; write version: 1",
    "mode": "; write mode: dream",
    "model": "; write model: demo, a hub id or a folder",
    "name": "; write the name of the job, which is also that of its folder",
    "keyframes": '; write keyframes, and below it - {at: 0, prompt: "a red sun", seed: 1}',
    "at": "; write where it stands, at: 0 for the first frame",
    "dir": "; write a folder, or leave the key out for out/<name>",
    "tiny_vae": "; write a hub id or a folder, or leave the key out",
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
