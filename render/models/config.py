"""The JSON files of a model folder: read, and refused where they are not what diffusers writes. Knows no weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from render.errors import ModelError
from render.models import trust
from render.models.damage import damage
from render.models.families import FAMILIES, Family

__all__ = ["entry", "export_note", "family_of", "read_json"]

T = TypeVar("T")


def family_of(model: str, folder: Path) -> Family:
    """The family that the index of ``folder`` names. Raises ModelError for any other pipeline, naming ``model``."""
    named = read_json(folder / "model_index.json").get("_class_name")
    known = {family.pipeline: family for family in FAMILIES.values() if family.pipeline}
    known |= {pipeline: family for family in FAMILIES.values() for pipeline in family.alike}
    family = known.get(str(named).removeprefix("ORT"))  # as Optimum's own classes are called
    if family is None:
        raise ModelError(f"{model!r} is a {named}; known: {', '.join(known)}")
    return family


def export_note(folder: Path) -> Mapping[str, Any]:
    """What ``render export`` noted of the graph in ``folder``: its ``dtype`` and ``num_parameters``; other exports: {}.

    Raises ModelError for a config that cannot be read.
    """
    note = read_json(folder / "config.json").get("render_export")
    return note if isinstance(note, dict) else {}


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises ModelError where there is none."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(trust.MAX_JSON_BYTES))  # of a larger one the head, which is no JSON
    except FileNotFoundError:
        raise ModelError(f"{path.parent}: no {path.name} in it; a model folder is in diffusers' layout") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: {damage(path) or f'cannot be read: {error}'}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds no JSON object")
    return content


def entry(path: Path, key: str, kind: type[T]) -> T:
    """The value of ``key`` in a JSON file. Raises ModelError where it is not of ``kind``."""
    value = read_json(path).get(key)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ModelError(f"{path}: its {key} is {value!r}; the file is not what diffusers writes")
    return value
