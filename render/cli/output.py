"""What a command that failed says: words on stderr, an object for ``--json``, an exit code. Prints no secrets."""

import sys
import traceback
from typing import Any

from render.errors import RenderError, message_of, redacted

__all__ = ["error_json", "exit_code", "report_error"]


def report_error(error: Exception, job: str = "") -> int:
    """Say what went wrong, with the traceback of a mistake in the program; the exit code."""
    if not isinstance(error, RenderError):
        print(redacted("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    for line in message_of(error).splitlines():
        print(f"render: {job}{line}", file=sys.stderr)
    return exit_code(error)


def exit_code(error: Exception) -> int:
    """1 for a mistake in the program."""
    return error.exit_code if isinstance(error, RenderError) else RenderError.exit_code


def error_json(error: Exception) -> dict[str, Any]:
    """The same for machines."""
    return {"error": message_of(error), "exit_code": exit_code(error)}
