"""``python -m render`` and the ``render`` command: where the process ends, with the exit code of ``cli.main``."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # `python -m` looks into the working directory first: a `numpy.py` there would be imported for numpy.
    sys.path.append(sys.path.pop(0))

import os
from typing import NoReturn

from render.cli import main
from render.farm.signals import CODES

__all__ = ["command"]


def command() -> NoReturn:
    """Run the command line and leave with its exit code."""
    code = main()
    if code in CODES:
        # Everything is closed and on disk. Ray's threads, cut off in the middle of a call, may crash an orderly exit
        # and turn its code into that of a segmentation fault.
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    command()
