"""What a command that failed says: words on stderr, an object for ``--json``, an exit code."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from render.errors import RenderError, reason, redacted

__all__ = ["code_of", "complain", "failed"]


def complain(error: Exception, job: str = "") -> int:
    """Say what went wrong, with the traceback of a mistake in the program; the exit code."""
    if not isinstance(error, RenderError):
        print(redacted("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    for line in reason(error).splitlines():
        print(f"render: {job}{line}", file=sys.stderr)
    return code_of(error)


def code_of(error: Exception) -> int:
    """1 for a mistake in the program."""
    return error.exit_code if isinstance(error, RenderError) else RenderError.exit_code


def failed(error: Exception) -> dict[str, Any]:
    """The same for machines."""
    return {"error": reason(error), "exit_code": code_of(error)}
