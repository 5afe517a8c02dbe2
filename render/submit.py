"""``render submit``: jobs for a cluster that runs elsewhere; arguments in, words and an exit code out."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from render.errors import SpecError

if TYPE_CHECKING:
    from render.submission import Cluster, Submitted

__all__ = ["submit"]

DEFAULT_ADDRESS = "http://127.0.0.1:8265"  # Ray's own


def submit(options: argparse.Namespace) -> int:
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


def _cluster(options: argparse.Namespace) -> Cluster:
    from render.submission import Cluster

    return Cluster(options.address or os.environ.get("RAY_API_SERVER_ADDRESS") or DEFAULT_ADDRESS)


def _send(options: argparse.Namespace) -> int:
    from render.joblist import files_in
    from render.parcel import check_portable
    from render.plan import parse_frames
    from render.spec import load

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


def _log(options: argparse.Namespace, cluster: Cluster, job: str) -> int:
    if options.follow:
        return _follow(options, cluster, job)
    log = cluster.logs(job)
    print(json.dumps({"id": job, "log": log}) if options.json else log.rstrip("\n"))
    return 0


def _follow(options: argparse.Namespace, cluster: Cluster, job: str) -> int:
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


def _stop(options: argparse.Namespace, cluster: Cluster, job: str) -> int:
    print(f"render: {job} ends the chunks it is at, and stops (Ctrl-C stops waiting)", file=sys.stderr, flush=True)
    try:
        state = cluster.stop(job)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the job stops all the same; `render submit --status {job}` tells when") from None
    return _tell(options, state)


def _tell(options: argparse.Namespace, state: Submitted) -> int:
    from render.show import describe_submitted

    print(json.dumps(asdict(state)) if options.json else describe_submitted(state))
    return 0


def _list(options: argparse.Namespace, states: list[Submitted]) -> int:
    if options.json:
        print(json.dumps({"jobs": [asdict(state) for state in states]}))
        return 0
    for state in states:
        print(f"{state.state:9}  {state.id}  {state.dirs}")
    return 0
