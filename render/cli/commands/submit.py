"""``render submit``: jobs handed to a cluster that runs elsewhere, and followed while they run there."""

import argparse
import json
import sys
from dataclasses import asdict

from render.cli.jobs import files_in
from render.cli.parser import add_jobs, variable
from render.errors import SpecError
from render.farm.ray.package import check_portable
from render.farm.ray.submission import JobServer
from render.farm.signals import Interrupted, interruptible
from render.plan import parse_frames
from render.spec import STDIN, load

__all__ = ["EXAMPLES", "add", "run"]

EXAMPLES = """\
examples:
  render submit job.yaml --address http://HEAD:8265 --follow     Ctrl-C stops following, not the job
  render submit a.yaml b.yaml --set farm.workers=8               one submission, one farm

Ray's own commands answer for what was submitted:
  ray job list --address http://HEAD:8265                what the cluster knows
  ray job status --address http://HEAD:8265 ID
  ray job logs --address http://HEAD:8265 --follow ID
  ray job stop --address http://HEAD:8265 ID             ends the chunks in work; submitted again, the job goes on

The cluster needs render on every node and `ray[default]` on its head. It keeps nothing of this machine but the spec
files: output.dir must be an absolute path there, or a store. RAY_AUTH_MODE, RAY_AUTH_TOKEN and RAY_AUTH_TOKEN_PATH mean
what they mean to Ray. Exit codes with --follow: 0 the job is done, 9 it failed or was stopped, 130 no longer followed.
"""
DEFAULT_ADDRESS = "http://127.0.0.1:8265"  # Ray's own


def add(parser: argparse.ArgumentParser) -> None:
    """Which jobs, and which cluster."""
    add_jobs(parser, stdin=False)
    parser.add_argument("--frames", metavar="RANGES", help="as for `render run`")
    parser.add_argument("--allow-gaps", action="store_true", help="as for `render run`")
    parser.add_argument(
        "--address", metavar="URL", help="its dashboard (default: $RAY_API_SERVER_ADDRESS, else http://127.0.0.1:8265)"
    )
    parser.add_argument("--follow", action="store_true", help="show what the job says, until it ends")


def run(options: argparse.Namespace) -> int:
    """Check the jobs, hand them over as one submission, and follow it where asked to. Raises SpecError, FarmError."""
    files = files_in(options.jobs)
    if STDIN in files:
        raise SpecError("-: a cluster gets files; save the spec and name the file")
    jobs = [load(path, options.overrides) for path in files]  # the first mistake ends it: nothing is sent
    check_portable(jobs)
    for job in jobs if options.frames else []:
        parse_frames(options.frames, job.spec.num_frames)
    cluster = JobServer(options.address or variable("RAY_API_SERVER_ADDRESS") or DEFAULT_ADDRESS)
    flags = [f"--{flag.replace('_', '-')}" for flag in ("trust", "allow_gaps") if getattr(options, flag)]
    name = cluster.submit(files, jobs, options.overrides, options.frames, flags)
    if options.follow:
        print(f"render: submitted {name}", file=sys.stderr, flush=True)
        return _follow(options, cluster, name)
    if options.json:
        print(json.dumps({"id": name, "address": cluster.address}))
    else:
        print(f"submitted {name}\n  {cluster.follow_command(name)}   what it says, until it ends")
        print(f"  ray job stop --address {cluster.address} {name}            the same `render submit` goes on later")
    return 0


def _follow(options: argparse.Namespace, cluster: JobServer, job: str) -> int:
    """The job's log as it grows, on stderr where stdout is for JSON. Ctrl-C leaves the job alone."""
    stream = sys.stderr if options.json else sys.stdout
    try:
        with interruptible():
            state = cluster.follow(job, lambda text: print(text, end="", file=stream, flush=True))
    except Interrupted as error:
        again = cluster.follow_command(job)
        text = f"the job goes on without being followed; `{again}` follows it again"
        raise Interrupted(error.signal, text) from None
    if options.json:
        print(json.dumps(asdict(state)))
    state.check()
    return 0
