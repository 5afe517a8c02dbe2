"""What the commands' arguments share: the parser, and the arguments that mean the same in each of them."""

import argparse
import functools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from render.cli.places import given_job
from render.errors import SpecError

__all__ = [
    "Parser",
    "add_job",
    "add_jobs",
    "add_json",
    "add_overrides",
    "add_run_dir",
    "add_trust",
    "variable",
]

JOB_SUFFIXES = (".yaml", ".yml", ".json")
EMPTY = "is empty, as it is where a variable of the shell is not set; give it a value, or leave it out"


class Parser(argparse.ArgumentParser):
    """argparse whose mistakes look and count like those of a job spec, and whose examples stand as they are written.

    No argument of any command takes an empty value: ``--frames "$FRAMES"`` without FRAMES would mean the whole film.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, formatter_class=argparse.RawDescriptionHelpFormatter)

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """As argparse's own; a value may not be empty."""
        action = super().add_argument(*names, **options)
        if action.nargs != 0:
            action.type = _filled(action.type or str)
        return action

    def error(self, message: str) -> NoReturn:
        sets = any("--set" in action.option_strings for action in self._actions)
        raise SpecError(f"{message}{_cure(message, sets=sets)}; `{self.prog} --help` shows what is possible")


def _cure(message: str, *, sets: bool) -> str:
    """What to write instead, where a word is none of those that argparse knows, or an option is a key of the spec.

    ``sets``: the command takes ``--set``.
    """
    from render.spec import did_you_mean, setting, word_called  # with pydantic behind it: for mistakes only

    if match := re.search(r"argument (\S+): invalid choice: '(.*)' \(choose from (.*)\)", message):
        if match[1] == "COMMAND" and Path(match[2]).suffix in JOB_SUFFIXES:
            return f"; `render run {match[2]}` renders a job"
        known = re.findall(r"[\w-]+", match[3])
        called = word_called(match[1].strip("-"), match[2], known)
        return f"; {called}" if called else did_you_mean(match[2], known)
    match = re.match(r"unrecognized arguments: --([\w-]+)[= ]?(\S*)", message)
    if match and sets:
        key = setting(match[1])
        return f"; write --set {key}={match[2] or 'VALUE'}" if key else ""
    return ""


def _filled(convert: Any) -> Callable[[str], Any]:
    """The conversion of an argument, for values that are not empty."""

    @functools.wraps(convert, updated=())
    def converted(text: str) -> Any:
        if not text.strip():
            raise argparse.ArgumentTypeError(EMPTY)
        return convert(text)

    return converted


def variable(name: str) -> str | None:
    """A variable of the environment, None where it is not set. Raises SpecError where it is set to nothing."""
    value = os.environ.get(name)
    if value is not None and not value.strip():
        raise SpecError(f"${name} {EMPTY.replace('leave it out', f'unset it: `unset {name}`')}")
    return value


def add_json(parser: argparse.ArgumentParser) -> None:
    """``--json``, which every command has."""
    parser.add_argument(
        "--json",
        action="store_true",
        help="print for machines: one JSON object a job, or what failed: error, exit_code",
    )


def add_job(parser: argparse.ArgumentParser) -> None:
    """One job spec, and what can be said of it on the command line."""
    parser.add_argument("jobs", type=given_job, nargs=1, metavar="JOB.yaml", help="a job spec; - is standard input")
    add_overrides(parser)
    add_trust(parser)


def add_jobs(parser: argparse.ArgumentParser, *, stdin: bool = True) -> None:
    """The same for one or more. ``stdin``: ``-`` is one of them."""
    what = "job specs, directories of them, or - for standard input" if stdin else "job specs, or directories of them"
    parser.add_argument("jobs", type=given_job, nargs="+", metavar="JOB.yaml", help=what)
    add_overrides(parser)
    add_trust(parser)


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """``--set``, as often as wanted."""
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a value of the spec",
    )


def add_trust(parser: argparse.ArgumentParser) -> None:
    """``--trust``."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="load pickled weights and code of the model's own: they can do anything",
    )


def add_run_dir(parser: argparse.ArgumentParser) -> None:
    """The run directory of a job, on a disk or in a store."""
    from render.spec.location import parse_location  # with pydantic behind it: only where it is needed

    parser.add_argument("dir", type=parse_location, metavar="RUN_DIR", help="a folder, or s3://bucket/prefix")
