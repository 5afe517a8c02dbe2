"""``render logs``: what happened in a job, from its run directory alone."""

import argparse
import contextlib
import json
import sys
import time

from render.cli.commands.status import WATCH_EVERY_S
from render.cli.parser import add_run_dir
from render.errors import RunDirError, shown
from render.report import line_of, problems
from render.store import RunDir

__all__ = ["EXAMPLES", "add", "run"]

EXAMPLES = "example: render logs out/my-dream -f"


def add(parser: argparse.ArgumentParser) -> None:
    """Which run directory, and which of its lines."""
    add_run_dir(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on while the job runs")
    parser.add_argument("--troubles", action="store_true", help="only failures, lost workers, damage, warnings")
    parser.add_argument("--worker", metavar="NAME", help="only what concerns this worker: w0")
    parser.add_argument("--details", action="store_true", help="stack traces too, where there are any")
    parser.set_defaults(only_prints=True)


def run(options: argparse.Namespace) -> int:
    """Print the log's lines, with ``--follow`` until the job ends. Raises RunDirError where no job was started."""
    with contextlib.closing(RunDir(options.dir)) as rundir:
        if rundir.read_plan() is None and not rundir.events():  # a model that cannot be had is logged before any plan
            raise RunDirError(f"{rundir}: neither plan nor log in it, so no job has been started here")
        printed = 0
        while True:
            running = options.follow and rundir.locked()  # asked first: what is logged after it is read next time
            entries = rundir.events()
            for entry in problems(entries[printed:]) if options.troubles else entries[printed:]:
                if options.worker in (None, entry.worker):
                    print(json.dumps(entry.to_dict()) if options.json else line_of(entry))
                    details = entry.details.get("details") if options.details and not options.json else None
                    for line in str(details or "").rstrip().splitlines():
                        print(f"    {shown(line)}")
            printed = len(entries)
            sys.stdout.flush()
            if not running:
                return 0
            time.sleep(WATCH_EVERY_S)
