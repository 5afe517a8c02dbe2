"""The command line: arguments in, calls of the stages, words and exit codes out. No logic of its own.

Heavy modules are imported inside the commands that need them: ``render --help`` and ``render check`` know neither
torch nor ray, and answer at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from render.cli.commands import COMMANDS, TELLING, parse
from render.cli.output import error_json, report_error
from render.cli.parser import AFTERWARDS
from render.cli.streams import silence, unbreakable
from render.errors import RenderError
from render.farm import signals
from render.models import trust

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    signals.interrupting()
    with unbreakable("stderr"):
        try:
            options = parse(arguments)
            with _heard(options.command):
                return _command(options)
        except RenderError as error:
            return report_error(error)
        except BrokenPipeError:  # `render schema | head`
            silence(sys.stdout)
            return 0


def _command(options: argparse.Namespace) -> int:
    try:
        if options.trust:
            trust.grant()
        code = COMMANDS[options.command](options)
    except RenderError as error:
        if options.json:
            print(json.dumps(error_json(error)))
        code = report_error(error)
    except KeyboardInterrupt as stopped:
        word, code = signals.ending()
        what = f"; {stopped}" if str(stopped) else AFTERWARDS.get(options.command, "")
        print(f"render: {word}{what}", file=sys.stderr)
    sys.stdout.flush()  # here, where a closed pipe is caught
    return code


def _heard(command: str) -> AbstractContextManager[None]:
    """Who only tells may end with its listener; work goes on without one, and its exit code stands."""
    return nullcontext() if command in TELLING and sys.stdout else unbreakable("stdout")
