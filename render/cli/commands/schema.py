"""The command line: arguments in, calls of the stages, words and exit codes out. No logic of its own."""

from __future__ import annotations

import argparse

__all__ = ["_schema"]


def _schema(_options: argparse.Namespace) -> int:
    from render.spec import json_schema

    print(json_schema())
    return 0
