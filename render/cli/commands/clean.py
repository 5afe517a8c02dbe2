"""The command line: arguments in, calls of the stages, words and exit codes out. No logic of its own."""

from __future__ import annotations

import argparse
import json

__all__ = ["_clean"]


def _clean(options: argparse.Namespace) -> int:
    from render.store import RunDir

    removed = RunDir(options.dir).clean(keep_film=not options.film_too)
    print(json.dumps({"removed": removed}) if options.json else f"{removed} files deleted in {options.dir}")
    return 0
