"""``render submit``: jobs for a cluster that runs elsewhere; arguments in, words and an exit code out."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from render.cli.jobs import files_in
from render.cli.parser import add_overrides, add_trust
from render.errors import SpecError
from render.farm.ray.package import check_portable
from render.farm.ray.submission import JobServer, Submission
from render.plan import parse_frames
from render.report import duration
from render.spec import load

__all__ = ["EXAMPLES", "add", "describe_submission", "run"]

EXAMPLES = """\
examples:
  render submit job.yaml --address http://HEAD:8265 --follow
  render submit a.yaml b.yaml --set farm.workers=8     one submission, one farm
  render submit --list                                 what the cluster knows
  render submit --status ID
  render submit --logs ID --follow                     Ctrl-C stops following, not the job
  render submit --stop ID                              ends the chunks in work; submitted again, the job goes on

The cluster needs render on every node and `ray[default]` on its head. It keeps nothing of this machine but the spec
files: output.dir must be an absolute path there, or a store. RAY_AUTH_MODE, RAY_AUTH_TOKEN and RAY_AUTH_TOKEN_PATH mean
what they mean to Ray. Exit codes with --follow: 0 the job is done, 9 it failed or was stopped, 130 no longer followed.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Which jobs, which cluster, or which submission."""
    parser.add_argument("jobs", type=Path, nargs="*", metavar="JOB.yaml")
    add_overrides(parser)
    add_trust(parser)
    parser.add_argument("--frames", metavar="RANGES", help="as for `render run`")
    parser.add_argument("--allow-gaps", action="store_true", help="as for `render run`")
    parser.add_argument(
        "--address", metavar="URL", help="its dashboard (default: $RAY_API_SERVER_ADDRESS, else http://127.0.0.1:8265)"
    )
    parser.add_argument("--follow", action="store_true", help="show what the job says, until it ends")
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--status", metavar="ID", help="how a submitted job is")
    asked.add_argument("--logs", metavar="ID", help="what it has said")
    asked.add_argument("--stop", metavar="ID", help="let it end the chunks in work, and stop it")
    asked.add_argument("--list", action="store_true", help="every submission that the cluster remembers")


DEFAULT_ADDRESS = "http://127.0.0.1:8265"  # Ray's own


def run(options: argparse.Namespace) -> int:
    """One of: submit jobs, ask for a submission, read its log, stop it, list them all; 0, or an error of errors.py."""
    asked = options.status or options.logs or options.stop or options.list
    if options.jobs and asked:
        raise SpecError("jobs are submitted, or a submission is asked for: not both at once")
    if not options.jobs and not asked:
        raise SpecError("name the job specs to submit, or --status, --logs, --stop or --list")
    if options.follow and asked and not options.logs:
        raise SpecError("--follow goes with the jobs that are submitted, or with --logs ID")
    if not options.jobs and (options.overrides or options.frames or options.allow_gaps or options.trust):
        raise SpecError("--set, --frames, --allow-gaps and --trust go with the jobs that are submitted")
    if options.jobs:
        return _send(options)
    cluster = _cluster(options)
    if options.status:
        return _tell(options, cluster.ask(options.status))
    if options.logs:
        return _log(options, cluster, options.logs)
    if options.stop:
        return _stop(options, cluster, options.stop)
    return _list(options, cluster.jobs())


def _cluster(options: argparse.Namespace) -> JobServer:
    return JobServer(options.address or os.environ.get("RAY_API_SERVER_ADDRESS") or DEFAULT_ADDRESS)


def _send(options: argparse.Namespace) -> int:
    files = files_in(options.jobs)
    jobs = [load(path, options.overrides) for path in files]  # the first mistake ends it: nothing is sent
    check_portable(jobs)
    for job in jobs if options.frames else []:
        parse_frames(options.frames, job.spec.num_frames)
    cluster = _cluster(options)
    flags = [f"--{flag.replace('_', '-')}" for flag in ("trust", "allow_gaps") if getattr(options, flag)]
    name = cluster.submit(files, jobs, options.overrides, options.frames, flags)
    if options.follow:
        print(f"render: submitted {name}", file=sys.stderr, flush=True)
        return _follow(options, cluster, name)
    if options.json:
        print(json.dumps({"id": name, "address": cluster.address}))
    else:
        print(f"submitted {name}\n  render submit --logs {name} --follow   what it says, until it ends")
        print(f"  render submit --stop {name}            the same `render submit` goes on later")
    return 0


def _log(options: argparse.Namespace, cluster: JobServer, job: str) -> int:
    if options.follow:
        return _follow(options, cluster, job)
    log = cluster.logs(job)
    print(json.dumps({"id": job, "log": log}) if options.json else log.rstrip("\n"))
    return 0


def _follow(options: argparse.Namespace, cluster: JobServer, job: str) -> int:
    """The job's log as it grows, on stderr where stdout is for JSON. Ctrl-C leaves the job alone."""
    stream = sys.stderr if options.json else sys.stdout
    try:
        state = cluster.follow(job, lambda text: print(text, end="", file=stream, flush=True))
    except KeyboardInterrupt:
        again = f"render submit --logs {job} --follow"
        raise KeyboardInterrupt(f"the job goes on without being followed; `{again}` follows it again") from None
    if options.json:
        print(json.dumps(asdict(state)))
    state.check()
    return 0


def _stop(options: argparse.Namespace, cluster: JobServer, job: str) -> int:
    print(f"render: {job} ends the chunks it is at, and stops (Ctrl-C stops waiting)", file=sys.stderr, flush=True)
    try:
        state = cluster.stop(job)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the job stops all the same; `render submit --status {job}` tells when") from None
    return _tell(options, state)


def _tell(options: argparse.Namespace, state: Submission) -> int:
    print(json.dumps(asdict(state)) if options.json else describe_submission(state))
    return 0


def _list(options: argparse.Namespace, states: list[Submission]) -> int:
    if options.json:
        print(json.dumps({"jobs": [asdict(state) for state in states]}))
        return 0
    for state in states:
        print(f"{state.state:9}  {state.id}  {state.dirs}")
    return 0


def describe_submission(state: Submission) -> str:
    """How a job on another cluster is, and where its run directory lies."""
    rows = {"job": state.names, "id": state.id, "state": state.state, "into": state.dirs}
    if state.started:
        began = datetime.fromtimestamp(state.started).astimezone()
        lasted = (
            f"took {duration(state.ended - state.started)}"
            if state.ended
            else f"{duration(time.time() - state.started)} ago"
        )
        rows["began"] = f"{began:%Y-%m-%d %H:%M:%S}, {lasted}"
    if state.state == "failed":
        rows["cause"] = state.cause()
    if state.state == "stopped":
        rows["next"] = "submit the job again: it goes on where it stopped"
    return "\n".join(f"{key:8} {value}" for key, value in rows.items())
