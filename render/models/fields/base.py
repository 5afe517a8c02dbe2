"""What a field of a configuration can be to us, which values it may have, and what is said of one that it may not.

Configurations come from outside: a value that is not what diffusers would write is refused, whatever becomes of it.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, cast

__all__ = [
    "ANYTHING",
    "COMMON",
    "COUNTS",
    "FLAG",
    "NULL",
    "SIZE",
    "SIZES",
    "TEXTS",
    "Config",
    "Field",
    "Values",
    "Verdict",
    "counts",
    "honoured",
    "mistake",
    "no_effect",
    "number",
    "numbers",
    "one_of",
    "refused",
    "whole",
]

Config = Mapping[str, Any]
"""The object in a configuration's file."""

Verdict = Literal["honoured", "refused", "no effect"]

LONGEST = 100_000  # numbers in a list: trained betas, one for every step of a training
DEEPEST = 4  # lists in lists: layers of transformers by block
MAX_COUNT = 1_000_000
MAX_SIZE = 1 << 20  # widths, layers, words of a vocabulary


@dataclass(frozen=True)
class Values:
    """Values that a field may have: in words, and as a test."""

    words: str
    fit: Callable[[object], bool]

    @property
    def or_null(self) -> Self:
        """These, or null."""
        return replace(self, words=f"{self.words}, or null", fit=lambda value: value is None or self.fit(value))


@dataclass(frozen=True)
class Field:
    """A field by its name in diffusers.

    *Honoured*: any of ``values`` makes the picture that diffusers' own pipeline makes. *Refused*: only ``values`` are
    taken, the ones with which it does nothing; ``reason`` says why, and what to do. *No effect*: whatever it says,
    pictures stay; ``reason`` says why. ``families``: of whose models this is said; of all where it is empty.
    """

    name: str
    verdict: Verdict
    reason: str
    values: Values
    families: tuple[str, ...] = ()

    def of(self, *families: str) -> Self:
        """The same, said of these families only."""
        return replace(self, families=families)


def mistake(config: Config, fields: Iterable[Field], family: str, *, strict: bool) -> str | None:
    """What is wrong with the first field that cannot be taken, None where all can.

    ``strict``: names that are not in the table are refused too, unless they are null or begin with ``_``, as diffusers'
    notes to itself do.
    """
    known = {field.name: field for field in fields if not field.families or family in field.families}
    for name, value in config.items():
        field = known.get(name)
        if field is None:
            if strict and value is not None and not name.startswith("_"):
                return (
                    f"{_short(name)} is {_short(value)}, a field that is not known here and may change pictures; "
                    "delete it where the model does not need it"
                )
        elif not field.values.fit(value):
            why = field.reason if field.verdict == "refused" else f"it is to be {field.values.words}"
            return f"{name} is {_short(value)}: {why}"
    return None


def honoured(values: Values, *names: str, reason: str = "diffusers builds the model of it") -> tuple[Field, ...]:
    """Fields that are honoured, with the values that they may have."""
    return tuple(Field(name, "honoured", reason, values) for name in names)


def refused(name: str, values: Values, reason: str) -> Field:
    """A field that is refused unless it is one of ``values``."""
    return Field(name, "refused", reason, values)


def no_effect(reason: str, *names: str) -> tuple[Field, ...]:
    """Fields that change no picture."""
    return tuple(Field(name, "no effect", reason, ANYTHING) for name in names)


def number(low: float, high: float) -> Values:
    """A number within bounds, ends included."""
    return Values(f"a number from {low:g} to {high:g}", lambda value: _is_number(value, low, high))


def whole(low: int, high: int) -> Values:
    """A whole number within bounds, ends included."""
    return Values(f"a whole number from {low} to {high}", lambda value: _is_number(value, low, high, int))


def counts(low: int, high: int, largest: int = MAX_SIZE) -> Values:
    """A list of ``low`` to ``high`` whole numbers from 1 on: a width for every block, which size all that follows."""
    return Values(
        f"a list of {low} to {high} whole numbers from 1 to {largest}",
        lambda value: _is_list(value) and low <= len(value) <= high and all(_is_size(each, largest) for each in value),  # type: ignore[arg-type, attr-defined]
    )


def one_of(*choices: str | float | bool | None) -> Values:
    """One of a few values; True is not 1."""
    words = " or ".join(json.dumps(choice) for choice in choices)
    return Values(words, lambda value: any(type(value) is type(choice) and value == choice for choice in choices))


def numbers(low: float, high: float) -> Values:
    """A list of numbers within bounds."""
    return Values(
        f"a list of numbers from {low:g} to {high:g}",
        lambda value: _is_list(value) and all(_is_number(each, low, high) for each in cast("list[object]", value)),
    )


def _is_number(value: object, low: float, high: float, kind: type | tuple[type, ...] = (int, float)) -> bool:
    fits = isinstance(value, kind) and not isinstance(value, bool)
    return fits and not math.isnan(value) and low <= value <= high  # type: ignore[arg-type, operator]


def _is_size(value: object, largest: int = MAX_SIZE) -> bool:
    return _is_number(value, 1, largest, int)


def _are_sizes(value: Any, depth: int = 0) -> bool:
    if _is_list(value):
        return depth < DEEPEST and len(value) > 0 and all(_are_sizes(each, depth + 1) for each in value)
    return _is_size(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) <= LONGEST


def _are_counts(value: Any, depth: int = 0) -> bool:
    if _is_list(value):
        return depth < DEEPEST and all(_are_counts(each, depth + 1) for each in value)
    return value is None or _is_number(value, 0, MAX_COUNT)


def _are_texts(value: Any) -> bool:
    return isinstance(value, str) or (_is_list(value) and all(each is None or isinstance(each, str) for each in value))


ANYTHING = Values("anything", lambda _: True)
FLAG = one_of(True, False)
NULL = one_of(None)
COUNTS = Values(f"a number of 0 to {MAX_COUNT}, or a list of such numbers", _are_counts)
SIZE = whole(1, MAX_SIZE)
SIZES = Values(f"a whole number from 1 to {MAX_SIZE}, or a list of such numbers", _are_sizes)
TEXTS = Values("a name, or a list of names", _are_texts)

COMMON: tuple[Field, ...] = (
    refused("quantization_config", NULL, "quantised weights are not built; use those in 16 or 32 bits"),
    *no_effect("code of a model's own is refused where it is not trusted", "auto_map"),
    *no_effect("it is about training", "gradient_checkpointing"),
    *no_effect("weights are cast to the job's dtype", "torch_dtype", "dtype"),
)
"""Fields that any model's configuration may have."""


def _short(value: object) -> str:
    """A value as the file has it, not longer than a line bears."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"
