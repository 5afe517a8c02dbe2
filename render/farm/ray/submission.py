"""Jobs handed to a Ray cluster that runs elsewhere, through Ray's job API: submit, ask, follow, stop.

A submitted job is ``render run`` on the cluster's head. Nothing is kept here: the cluster knows its submissions, the
run directory how far they are. Beside ``farm.py`` the only file with ray.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from render import __version__
from render.errors import FarmError, SpecError
from render.farm.ray.package import entrypoint, pack, submission_id
from render.spec import JobFile

__all__ = ["DRAIN_S", "JobServer", "Submission"]

DRAIN_S = 600  # between SIGTERM and SIGKILL when a job is stopped; Ray's own 3 s would cut the chunks in work off
ANSWER_TIMEOUT_S = 15.0  # a dashboard that is there answers at once
POLL_S = 1.0
MAX_LOST = 10  # connections lost in a row while following, a few seconds each: the head is restarting, or gone
ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")  # Ray lets them win over the address it is given
METADATA = "render"

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True)
class Submission:
    """What the cluster says of a submission; times are seconds since 1970, ``exit_code`` that of the driver."""

    id: str
    state: str
    names: str
    dirs: str
    entrypoint: str
    message: str
    exit_code: int | None
    started: float | None
    ended: float | None

    @property
    def over(self) -> bool:
        """Whether the state will not change any more."""
        return self.state in ("succeeded", "failed", "stopped")

    def check(self) -> None:
        """Raises FarmError unless the job is on its way or succeeded."""
        if self.state == "stopped":
            raise FarmError(f"{self.id} was stopped; submit the job again, it goes on where it stopped")
        if self.state == "failed":
            raise FarmError(f"{self.id} failed: {self.cause()}")

    def cause(self) -> str:
        """Why a job failed, in one line."""
        if self.exit_code == 127:
            return "there is no `python` on the PATH of the cluster's head; start Ray with render's environment active"
        if re.search(r"No module named '?render\b", self.message):
            return "render is not installed on the cluster's head; install it on every node"
        if self.exit_code is not None:
            return f"`render run` ended with exit code {self.exit_code}; `render submit --logs {self.id}` tells why"
        return next((line.strip() for line in self.message.splitlines() if line.strip()), "Ray does not say why")


class JobServer:
    """The job server of a Ray cluster: the dashboard on its head."""

    def __init__(self, address: str) -> None:
        """Raises SpecError for an address of another kind, FarmError where nobody answers or the token is refused."""
        self.address = _url(address)
        _check_there(self.address)
        with _speaking(self.address):
            self._client = _client(self.address)

    def submit(
        self,
        paths: Sequence[Path],
        jobs: Sequence[JobFile],
        overrides: Sequence[str],
        frames: str | None = None,
        flags: Sequence[str] = (),
    ) -> str:
        """Submit the specs at ``paths``, read as ``jobs``, as one job on one farm; returns its submission id.

        ``flags`` are further ones of ``render run``.
        """
        names = [job.spec.name for job in jobs]
        with TemporaryDirectory(prefix="render-submit-") as folder, _speaking(self.address):
            files = pack(paths, Path(folder))
            return str(
                self._client.submit_job(
                    entrypoint=entrypoint(files, overrides, frames, flags),
                    submission_id=submission_id(names),
                    runtime_env={"working_dir": folder, "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(DRAIN_S)}},
                    metadata={
                        METADATA: __version__,
                        "names": ", ".join(names),
                        "dirs": ", ".join(str(job.spec.output.dir) for job in jobs),
                    },
                )
            )

    def ask(self, job: str) -> Submission:
        """What the cluster says of one submission. Raises FarmError when it knows none of that name."""
        with _speaking(self.address, job):
            return _submitted(self._client.get_job_info(job))

    def jobs(self) -> list[Submission]:
        """Every submission of ours that the cluster remembers, the newest first."""
        with _speaking(self.address):
            details = self._client.list_jobs()
        ours = [_submitted(one) for one in details if one.submission_id and METADATA in (one.metadata or {})]
        return sorted(ours, key=lambda one: one.started or 0.0, reverse=True)

    def logs(self, job: str) -> str:
        """All that the job's driver has said until now."""
        with _speaking(self.address, job):
            return str(self._client.get_job_logs(job))

    def follow(self, job: str, write: Callable[[str], None]) -> Submission:
        """Hand over what the driver says as it says it, until it has ended; returns how.

        A lost connection is renewed. Raises FarmError when that fails too often in a row.
        """
        self.ask(job)
        once, lost = _Once(write), 0
        while True:
            before = once.told
            try:
                with _speaking(self.address, job):
                    asyncio.run(self._tail(job, once))
                state = self.ask(job)
                if state.over:
                    once.again(self.logs(job))
                    return state
            except FarmError as error:
                lost = 1 if once.told > before else lost + 1
                if lost > MAX_LOST:
                    raise FarmError(f"{error}; the job may go on: `render submit --logs {job} --follow`") from None
            time.sleep(POLL_S)

    async def _tail(self, job: str, once: _Once) -> None:
        import aiohttp

        said = ""
        try:
            async for text in self._client.tail_job_logs(job):  # from the beginning, every time
                said += text
                once.again(said)
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from None

    def stop(self, job: str) -> Submission:
        """Ask the driver to drain and wait until it has: it ends the chunks in work, or is killed after ``DRAIN_S``."""
        with _speaking(self.address, job):
            self._client.stop_job(job)
        while not (state := self.ask(job)).over:
            time.sleep(POLL_S)
        return state


class _Once:
    """Writes of a text that is told again and again, longer every time, only what is new."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self.told = 0

    def again(self, text: str) -> None:
        if len(text) > self.told:
            self._write(text[self.told :])
            self.told = len(text)


@contextlib.contextmanager
def _speaking(address: str, job: str | None = None) -> Iterator[None]:
    """What can go wrong between here and the cluster, as an error of one line."""
    if job is not None and not _ID.fullmatch(job):
        raise SpecError(f"{job!r} is no submission id; `render submit --list` names them")
    try:
        from ray.exceptions import AuthenticationError
    except ImportError as error:
        raise FarmError(f"Ray is not installed here ({error}); `pip install 'render[cluster]'`") from None
    try:
        yield
    except AuthenticationError as error:
        refused = "refuses this token" if "invalid" in error.message else "asks for a token"
        raise FarmError(
            f"the cluster at {address} {refused}: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a file with the "
            "cluster's token (default: ~/.ray/auth_token)"
        ) from None
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        if job is not None and "does not exist" in str(error):
            raise FarmError(
                f"the cluster at {address} knows no job {job!r}; `render submit --list` names them"
            ) from None
        reason = lines[0][:300] if lines else type(error).__name__
        raise FarmError(f"the cluster at {address} does not do it: {reason}") from None


def _url(address: str) -> str:
    url = address.rstrip("/") if "://" in address else f"http://{address.rstrip('/')}"
    if not re.fullmatch(r"https?://[^\s/@]+(/[^\s@]*)?", url):
        raise SpecError(
            f"--address {address}: jobs are submitted to the dashboard; write http://HEAD:8265, without a password"
        )
    return url


def _check_there(url: str) -> None:
    """Raises FarmError where nobody answers in time: Ray's own client would wait for minutes."""
    try:
        urllib.request.urlopen(f"{url}/api/version", timeout=ANSWER_TIMEOUT_S).close()  # noqa: S310 - http(s), by _url
    except urllib.error.HTTPError as error:  # somebody is there; 401 and 403 are for the client to explain
        with error:
            if error.code in (401, 403):
                return
            raise FarmError(f"what answers at {url} is no Ray dashboard (HTTP status {error.code})") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise FarmError(
            f"no Ray dashboard answers at {url} ({getattr(reason, 'strerror', None) or reason}); is the cluster up, "
            "started with `ray start --head --dashboard-host=…`, and `ray[default]` installed on its head?"
        ) from None


def _client(url: str) -> Any:
    """Ray's client of the job server at ``url``, whatever the environment names."""
    from ray.job_submission import JobSubmissionClient

    for handler in logging.getLogger("ray").handlers:  # it tells of every upload and every connection that ends
        handler.setLevel(logging.ERROR)
    kept = {name: os.environ.pop(name) for name in ADDRESS_VARIABLES if name in os.environ}
    try:
        return JobSubmissionClient(url)
    except RuntimeError as error:
        if "ray[default]" in str(error):
            raise FarmError(
                "the client of Ray's job API is not installed here: `pip install 'render[cluster]'`"
            ) from None
        raise
    finally:
        os.environ.update(kept)


def _submitted(details: Any) -> Submission:
    metadata = details.metadata or {}
    return Submission(
        id=str(details.submission_id),
        state=str(details.status).lower(),
        names=metadata.get("names", ""),
        dirs=metadata.get("dirs", ""),
        entrypoint=details.entrypoint,
        message=details.message or "",
        exit_code=details.driver_exit_code,
        started=details.start_time / 1000 if details.start_time else None,
        ended=details.end_time / 1000 if details.end_time else None,
    )
