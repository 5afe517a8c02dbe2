"""``render clean``: the disk back, once the film is made."""

import argparse
import json

from render.cli.parser import add_run_dir
from render.report import count
from render.store import RunDir

__all__ = ["EXAMPLES", "add", "run"]

EXAMPLES = "example: render clean out/my-dream"


def add(parser: argparse.ArgumentParser) -> None:
    """Which run directory, and how much of it."""
    add_run_dir(parser)
    parser.add_argument("--film-too", action="store_true", help="delete the film and the report as well")


def run(options: argparse.Namespace) -> int:
    """Delete, and say how many files. Raises RunDirError for a folder that is none of ours."""
    removed = RunDir(options.dir).clean(keep_film=not options.film_too)
    print(json.dumps({"removed": removed}) if options.json else f"{count(removed, 'file')} deleted in {options.dir}")
    return 0
