"""What is wrong with a job spec -> one message: a line a mistake, in the order of the file, with line and field.

Knows paths and lines, not what the values mean.
"""

import difflib
from collections.abc import Iterable

from render.errors import SpecError
from render.spec.document import Document
from render.spec.shown import one_line
from render.spec.yaml_reader import KeyPath

__all__ = ["Mistake", "did_you_mean", "dotted", "spec_error"]

MAX_MISTAKES = 20  # in one message: whoever reads it mends the first ones and asks again

Mistake = tuple[KeyPath, str]


def spec_error(source: Document, mistakes: Iterable[Mistake]) -> SpecError:
    """One message of one line a mistake, in the order of the file, each with its line and its field."""
    in_order = sorted(mistakes, key=lambda mistake: source.line(mistake[0]))
    lines = [
        one_line(f"{source.where(path)}: {dotted(path)}{': ' if path else ''}{message}")
        for path, message in in_order[:MAX_MISTAKES]
    ]
    more = [f"… and {len(in_order) - MAX_MISTAKES} more mistakes"] if len(in_order) > MAX_MISTAKES else []
    return SpecError("\n".join(lines + more))


def dotted(path: KeyPath) -> str:
    """``("keyframes", 1, "prompt")`` as people write it: ``keyframes[1].prompt``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'steps'?`` where one of the ``known`` words is near, else nothing."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
