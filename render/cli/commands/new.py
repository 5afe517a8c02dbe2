"""``render new``: a job spec to start from, a template for every mode."""

import argparse
import json

from render.errors import SpecError
from render.spec import MODES, no_such_mode

__all__ = ["EXAMPLES", "add", "run"]

EXAMPLES = "example: render new dream > job.yaml"


def add(parser: argparse.ArgumentParser) -> None:
    """What kind of job."""
    parser.add_argument("mode", help=f"what kind of job: {', '.join(MODES)}")
    parser.set_defaults(only_prints=True)


def run(options: argparse.Namespace) -> int:
    """Print the mode's template. Raises SpecError for a mode that there is not."""
    if options.mode not in MODES:
        raise SpecError(f"mode {no_such_mode(options.mode, list(MODES))}")
    template = MODES[options.mode].template
    print(json.dumps({"yaml": template}) if options.json else template.rstrip())
    return 0
