"""What breaks one case and not the benchmark: an entry of the report, and everything else goes on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from render.bench.case import Case
from render.bench.schema import Failed
from render.engine.memory import release
from render.errors import RenderError

__all__ = ["Failures"]

FAULTS = (RenderError, RuntimeError, ValueError, TypeError, OSError, ImportError, ArithmeticError, LookupError)
"""An assertion is a mistake of ours and ends the benchmark."""


class Failures:
    """The entries so far, each once."""

    def __init__(self) -> None:
        self.entries: list[Failed] = []

    @contextmanager
    def kept(self, name: str, case: Case | None = None) -> Iterator[list[str]]:
        """What breaks inside is an entry and goes no further. Yields the list that the reason will be in."""
        reasons: list[str] = []
        try:
            yield reasons
        except FAULTS as error:
            reasons.append(_reason(error))
            entry: Failed = {"name": name, "reason": reasons[0], "case": asdict(case) if case else None}
            if entry not in self.entries:
                self.entries.append(entry)
            release()


def _reason(error: BaseException) -> str:
    """The first lines of what broke; of a refused spec without the place in the benchmark's own job."""
    lines: list[str] = str(error).splitlines()[:2] or [type(error).__name__]
    text = "; ".join(re.sub(r"^(bench(:\d+)?|--set \S+(=\[.*?\])?): ", "", line) for line in lines)
    return text if isinstance(error, RenderError) else f"{type(error).__name__}: {text}"
