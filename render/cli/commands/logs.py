"""The command line: arguments in, calls of the stages, words and exit codes out. No logic of its own."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import textwrap
import time

from render.cli.commands.status import WATCH_EVERY_S
from render.errors import RunDirError

__all__ = ["_logs"]


def _logs(options: argparse.Namespace) -> int:
    from render.report import line_of, problems
    from render.store import RunDir

    with contextlib.closing(RunDir(options.dir)) as rundir:
        if rundir.read_plan() is None and not rundir.events():  # a model that cannot be had is told before any plan
            raise RunDirError(f"{rundir}: neither plan nor log in it, so no job has been started here")
        told = 0
        while True:
            running = options.follow and rundir.locked()  # asked first: what is logged after it is read next time
            events = rundir.events()
            for event in problems(events[told:]) if options.troubles else events[told:]:
                if options.worker in (None, event.get("worker")):
                    print(json.dumps(event) if options.json else line_of(event))
                    if options.details and not options.json and event.get("details"):
                        print(textwrap.indent(str(event["details"]).rstrip(), "    "))
            told = len(events)
            sys.stdout.flush()
            if not running:
                return 0
            time.sleep(WATCH_EVERY_S)
