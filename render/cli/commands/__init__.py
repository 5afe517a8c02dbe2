"""The commands of ``render``, a file each: its arguments, the calls it makes, its words.

They take no decision about rendering: ``farm``, ``bench``, ``report`` and ``store`` do the work.
Read the table here and ``check.py`` for the shape, then ``run.py``; a new command is a new file and a row.
"""

import argparse
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from render import __version__
from render.cli.parser import Parser, add_json

__all__ = ["COMMANDS", "EXAMPLES", "Command", "parse"]

COMMANDS: Mapping[str, str] = {
    "new": "print a job spec to start from",
    "check": "say whether job specs are right",
    "plan": "show frames, chunks, time and disk before rendering",
    "run": "render jobs, or go on with them",
    "submit": "render jobs on a Ray cluster that runs elsewhere",
    "preview": "a quick contact sheet: few frames, few steps",
    "status": "how far a job is, from its run directory alone",
    "logs": "what happened in a job, from its run directory alone",
    "clean": "delete segments and records of a run directory",
    "export": "write a model as ONNX graphs, in Optimum's layout",
    "inspect": "print the job spec a film was made from",
    "bench": "measure what a picture costs and what approximations lose",
    "schema": "print the JSON Schema of job specs",
}
"""Name -> what it is for, in the order of the help. The file of that name is a ``Command``, imported when asked for."""

EXAMPLES = """\
examples:
  render new dream > job.yaml        start from a template
  render check job.yaml              is it right?
  render plan job.yaml               frames, chunks, time, disk
  render preview job.yaml            a contact sheet in seconds
  render run job.yaml                render it; the same command goes on after a crash
  render run job.yaml --set steps=8 --set output.dir=out/quick
  render run job.yaml --frames 0-99,200-300x2
  render run jobs/                   a night's work: every job of a directory, on one farm
  render status out/my-dream --watch
  render logs out/my-dream --troubles
  render inspect out/my-dream/video.mp4
  render export demo out/demo-onnx   ONNX graphs, to use as a model
  render submit job.yaml --address http://HEAD:8265 --follow
  render bench --quick               what a picture costs on this machine

exit codes: 0 done, 1 a mistake in the program, 2 bad spec or command line, 3 run directory, 4 locked, 5 disk,
6 model, 7 engine, 8 video, 9 farm, 10 benchmark slower than before, 129 hung up, 130 interrupted (Ctrl-C),
143 terminated
"""


class Command(Protocol):
    """What the file of a command offers. It imports torch, ray and av only where it runs: its help needs none."""

    EXAMPLES: str

    def add(self, parser: argparse.ArgumentParser) -> None:
        """Add its arguments, and set ``only_prints`` or ``interrupted`` where their defaults are not right."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it and return the exit code. Raises RenderError."""


class CommandParser(Parser):
    """The parser of one command, which imports the command's file when it is the one asked for."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        command = cast("Command", import_module(f"{__name__}.{self.get_default('command')}"))
        self.epilog = command.EXAMPLES
        add_json(self)
        command.add(self)
        self.set_defaults(run=command.run)
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of one command. Raises SpecError for a mistake.

    Beside its own: ``run`` is what to call with them; ``only_prints``: nobody needs it when nobody reads it;
    ``interrupted``: what is to be said where it was, beyond that it was.
    """
    parser = Parser(
        prog="render",
        description="Batch rendering of Stable Diffusion video: job files in, films out.",
        epilog=EXAMPLES,
    )
    parser.add_argument("--version", action="version", version=f"render {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=CommandParser)
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.set_defaults(command=name, trust=False, only_prints=False, interrupted="")
    return parser.parse_args(arguments)
