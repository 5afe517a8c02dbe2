"""Jobs handed to a Ray cluster that runs elsewhere, through Ray's job API: submitted and followed.

A submitted job is ``render run`` on the cluster's head. Nothing is kept here: the cluster knows its submissions, the
run directory how far they are. All else that can be asked of a submission, ``ray job`` answers.
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from render import __version__
from render.errors import FarmError
from render.farm.ray.dashboard import check_answers, client_of, dashboard_errors, url_of
from render.farm.ray.package import entrypoint, pack, submission_id
from render.spec import JobFile
from render.store import temporary_folder

__all__ = ["DRAIN_S", "JobServer", "Submission"]

DRAIN_S = 600  # between SIGTERM and SIGKILL of `ray job stop`; Ray's own 3 s would cut the chunks in work off
POLL_S = 1.0
MAX_LOST = 10  # connections lost in a row while following, a few seconds each: the head is restarting, or gone


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
            return f"`render run` ended with exit code {self.exit_code}; its log, above, says why"
        return next((line.strip() for line in self.message.splitlines() if line.strip()), "Ray does not say why")


class _NewText:
    """Of a text that comes again and again, longer every time, writes only what is new."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self.written = 0

    def write(self, text: str) -> None:
        if len(text) > self.written:
            self._write(text[self.written :])
            self.written = len(text)


class JobServer:
    """The job server of a Ray cluster: the dashboard on its head."""

    def __init__(self, address: str) -> None:
        """Raises SpecError for an address of another kind, FarmError where nobody answers or the token is refused."""
        self.address = url_of(address)
        check_answers(self.address)
        with dashboard_errors(self.address):
            self._client = client_of(self.address)

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
        with temporary_folder("submit") as folder, dashboard_errors(self.address):
            files = pack(paths, Path(folder))
            return str(
                self._client.submit_job(
                    entrypoint=entrypoint(files, overrides, frames, flags),
                    submission_id=submission_id(names),
                    runtime_env={"working_dir": folder, "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(DRAIN_S)}},
                    metadata={
                        "render": __version__,
                        "names": ", ".join(names),
                        "dirs": ", ".join(str(job.spec.output.dir) for job in jobs),
                    },
                )
            )

    def ask(self, job: str) -> Submission:
        """What the cluster says of one submission. Raises FarmError when it knows none of that name."""
        with dashboard_errors(self.address, job):
            return _submitted(self._client.get_job_info(job))

    def logs(self, job: str) -> str:
        """All that the job's driver has said until now."""
        with dashboard_errors(self.address, job):
            return str(self._client.get_job_logs(job))

    def follow(self, job: str, write: Callable[[str], None]) -> Submission:
        """Hand over what the driver says as it says it, until it has ended; returns how.

        A lost connection is renewed. Raises FarmError when that fails too often in a row.
        """
        self.ask(job)
        new, lost = _NewText(write), 0
        while True:
            before = new.written
            try:
                with dashboard_errors(self.address, job):
                    asyncio.run(self._tail(job, new))
                state = self.ask(job)
                if state.over:
                    new.write(self.logs(job))
                    return state
            except FarmError as error:
                lost = 1 if new.written > before else lost + 1
                if lost > MAX_LOST:
                    raise FarmError(f"{error}; the job may go on: `{self.follow_command(job)}`") from None
            time.sleep(POLL_S)

    def follow_command(self, job: str) -> str:
        """Ray's own command that follows a job."""
        return f"ray job logs --address {self.address} --follow {job}"

    async def _tail(self, job: str, new: _NewText) -> None:
        import aiohttp

        said = ""
        try:
            async for text in self._client.tail_job_logs(job):  # from the beginning, every time
                said += text
                new.write(said)
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from None


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
