"""The grammar of the command line: commands, their options and their help. Knows no command's code.

A command is a name here; ``cli/`` holds what it does.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from render.errors import SpecError
from render.spec.location import parse_location

__all__ = ["AFTERWARDS", "_Adder", "_Parser"]


AFTERWARDS = {
    "run": "; what is done stays done, the same command goes on",
    "bench": "; report.json holds the tables that were finished, the same command begins anew",
}
"""What is to be said of a command that was interrupted, beyond that it was."""


class _Parser(argparse.ArgumentParser):
    """argparse whose mistakes look and count like those of a job spec."""

    def error(self, message: str) -> NoReturn:
        raise SpecError(f"{message}; `{self.prog} --help` shows what is possible")


class _Adder:
    """Adds commands that share their arguments."""

    def __init__(self, commands: Any) -> None:
        self._commands = commands

    def __call__(self, name: str, purpose: str, example: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = self._commands.add_parser(
            name, help=purpose, description=purpose, epilog=f"example: {example}"
        )
        parser.set_defaults(command=name, trust=False)
        parser.add_argument(
            "--json",
            action="store_true",
            help="print for machines: one JSON object a job, or what failed: error, exit_code",
        )
        return parser

    def job(self, name: str, purpose: str, example: str, *, many: bool = False) -> argparse.ArgumentParser:
        parser = self(name, purpose, example)
        what = "job specs, or directories of them" if many else "a job spec"
        parser.add_argument("jobs", type=Path, nargs="+" if many else 1, metavar="JOB.yaml", help=what)
        self.overrides(parser)
        self.trust(parser)
        return parser

    def overrides(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--set",
            dest="overrides",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="override a value of the spec",
        )

    @staticmethod
    def trust(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--trust",
            action="store_true",
            help="load pickled weights and code of the model's own: they can do anything",
        )

    def run_dir(self, name: str, purpose: str, example: str) -> argparse.ArgumentParser:
        parser = self(name, purpose, example)
        parser.add_argument("dir", type=parse_location, metavar="RUN_DIR", help="a folder, or s3://bucket/prefix")
        return parser
