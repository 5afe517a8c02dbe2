"""The command line: arguments in, calls of the stages, words and exit codes out. No logic of its own."""

from __future__ import annotations

import argparse
import json

from render.errors import SpecError

__all__ = ["_new"]


def _new(options: argparse.Namespace) -> int:
    from render.spec import TEMPLATES

    if options.mode not in TEMPLATES:
        raise SpecError(f"mode {options.mode!r} is not built yet; this version has: {', '.join(TEMPLATES)}")
    print(json.dumps({"yaml": TEMPLATES[options.mode]}) if options.json else TEMPLATES[options.mode].rstrip())
    return 0
