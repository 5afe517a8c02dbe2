"""``render schema``: the JSON Schema of job specs, for editors that complete and check YAML."""

import argparse

from render.spec import json_schema

__all__ = ["EXAMPLES", "add", "run"]

EXAMPLES = "example: render schema > job.schema.json"


def add(parser: argparse.ArgumentParser) -> None:
    """Nothing to choose."""
    parser.set_defaults(only_prints=True)


def run(_options: argparse.Namespace) -> int:
    """Print it."""
    print(json_schema())
    return 0
