"""The command line: arguments in, calls of the stages, words and exit codes out.

It knows neither torch nor Ray and takes no decision about rendering: it checks, calls and prints.
Read ``commands/__init__.py``, ``parser.py``, ``commands/run.py``, ``jobs.py``, then ``output.py`` and ``terminal.py``.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext

from render.cli.commands import parse
from render.cli.output import error_json, report_error
from render.cli.places import check_working_folder
from render.cli.streams import silence, take_every_character, unbreakable
from render.errors import RenderError
from render.farm.signals import Interrupted, interruptible

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. From then on stdout and stderr take every character."""
    take_every_character()
    with unbreakable("stderr"):
        try:
            options = parse(arguments)
            # What only prints may end with its reader; work goes on without one, and its exit code stands.
            with nullcontext() if options.only_prints and sys.stdout else unbreakable("stdout"):
                return _run(options)
        except RenderError as error:
            return report_error(error)
        except BrokenPipeError:  # `render schema | head`
            silence(sys.stdout)
            return 0


def _run(options: argparse.Namespace) -> int:
    try:
        check_working_folder()
        with interruptible():
            code: int = options.run(options)
    except RenderError as error:
        if options.json:
            print(json.dumps(error_json(error)))
        code = report_error(error)
    except Interrupted as stopped:
        what = f"; {stopped.text}" if stopped.text else options.interrupted
        print(f"render: {stopped.word}{what}", file=sys.stderr)
        code = stopped.exit_code
    sys.stdout.flush()  # here, where a closed pipe is caught
    return code
