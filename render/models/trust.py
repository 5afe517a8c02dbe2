"""What of a model could run code of its own when it is loaded: pickled weights, and Python that the model brings.

Neither is loaded unless the person at the command line says ``--trust``: a job spec is untrusted text and cannot grant
it. The grant is an argument of everything that finds or loads a model, False where it is left out.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from render.errors import ModelError
from render.models.families import FAMILIES

__all__ = ["MAX_JSON_BYTES", "PICKLE_SUFFIXES", "check"]

PICKLE_SUFFIXES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")
LIBRARIES = ("diffusers", "transformers")
"""What a model's index may name, beside diffusers' own folders of pipelines."""
CODE_KEYS = ("auto_map", "custom_pipelines", "custom_pipeline")
MAX_JSON_BYTES = 32 << 20  # of one file; a tokenizer of 50,000 words has 2 MB


def check(model: str, folder: Path, *, trust: bool) -> None:
    """Raise ModelError for a folder in diffusers' layout that brings code, unless ``trust`` grants that.

    Weight indices that name files elsewhere are refused in any case. Pickled weights: `complete.py`.
    """
    for path in sorted(folder.glob("*/*.index*.json")):
        _check_index(path)
    for code in () if trust else _own_code(folder):
        raise ModelError(
            f"{model!r}: {code}: that is code of the model's own, which could do anything here; choose another model, "
            "or say --trust if you trust its author"
        )


def _own_code(folder: Path) -> Iterator[str]:
    """Where the folder asks for code that neither library brings."""
    index = _json(folder / "model_index.json")
    known = (None, *LIBRARIES, *(family.library for family in FAMILIES.values() if family.pipeline))
    for name, value in index.items() if isinstance(index, dict) else ():
        if isinstance(value, list) and value and value[0] not in known:
            yield f"model_index.json: its {name} is made by {value[0]!r}"
    for path in [folder / "model_index.json", *sorted(folder.glob("*/*.json"))]:
        content = _json(path)
        for key in CODE_KEYS if isinstance(content, dict) else ():
            if content.get(key):
                yield f"{path.relative_to(folder)}: it has a {key}"


def _check_index(path: Path) -> None:
    """Raise ModelError for an index of weights in several files that leads out of its folder."""
    content = _json(path)
    table = content.get("weight_map") if isinstance(content, dict) else None
    files: Sequence[Any] = list(table.values()) if isinstance(table, dict) else []
    for name in files:
        if not isinstance(name, str) or os.path.basename(name) != name or name in ("", ".", ".."):
            raise ModelError(f"{path}: names a file outside its folder ({str(name)[:80]!r}); the model is broken")


def _json(path: Path) -> Any:
    """What a JSON file holds; None where it cannot be read: whoever needs it says so."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ModelError(f"{path}: larger than {MAX_JSON_BYTES >> 20} MiB; that is no model's configuration")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
