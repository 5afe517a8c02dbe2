"""Talking to a cluster's job server: every way in which it can fail is one line, and following survives bad lines."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from render import cli
from render.errors import FarmError, SpecError
from render.farm.ray import submission
from render.farm.ray.submission import JobServer, Submission
from render.spec import JobFile

pytest.importorskip("aiohttp", reason="the job API's client needs ray[default]")


class Dashboard(BaseHTTPRequestHandler):
    """A job server that answers ``version`` with the server's ``code``, and knows no job."""

    def do_GET(self) -> None:
        version = self.path == "/api/version"
        code = self.server.code if version else 404  # type: ignore[attr-defined]
        self.send_response(code)
        self.end_headers()
        body = {"version": "4", "ray_version": "2.60.0"} if version else "Job render-x does not exist"
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Silent."""


@pytest.fixture
def dashboard() -> Iterator[Callable[[int], str]]:
    servers = []

    def serve(code: int) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Dashboard)
        server.code = code  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (401, "asks for a token: set RAY_AUTH_MODE=token.*RAY_AUTH_TOKEN_PATH"),
        (403, "refuses this token"),
        (404, "is no Ray dashboard"),
        (500, "is no Ray dashboard"),
    ],
)
def test_who_answers_wrongly_is_told_in_one_line(dashboard: Callable[[int], str], code: int, message: str) -> None:
    with pytest.raises(FarmError, match=message) as caught:
        JobServer(dashboard(code))
    assert "\n" not in str(caught.value)


def test_nobody_there_names_the_missing_dashboard() -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(FarmError, match=r"no Ray dashboard answers .*refused.*ray\[default\]"):
            JobServer(f"127.0.0.1:{taken.getsockname()[1]}")


@pytest.mark.parametrize("address", ["ray://head:10001", "auto://x", "http://me:secret@head:8265", "http://", "a b"])
def test_addresses_of_another_kind(address: str) -> None:
    with pytest.raises(SpecError, match="http://HEAD:8265"):
        JobServer(address)


def test_a_job_that_is_not_known(dashboard: Callable[[int], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:9")  # Ray would go there
    cluster = JobServer(dashboard(200))
    with pytest.raises(FarmError, match="knows no job 'render-x'"):
        cluster.ask("render-x")


class Client:
    """A client whose job says ``text``; its connection is cut after every ``cut`` characters."""

    def __init__(self, text: str, cut: int, end: str = "SUCCEEDED") -> None:
        self.text, self.cut, self.end, self.until = text, cut, end, 0

    async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
        self.until += self.cut
        for place in range(0, min(self.until, len(self.text)), 3):
            yield self.text[place : min(place + 3, self.until)]
        if self.until < len(self.text):
            raise RuntimeError("WebSocket connection closed unexpectedly with close code 1006")

    def get_job_logs(self, job: str) -> str:
        return f"{self.text}the end"

    def get_job_info(self, job: str) -> Any:
        state = self.end if self.until >= len(self.text) else "RUNNING"
        return SimpleNamespace(
            submission_id=job, status=state, metadata={}, entrypoint="", message="", driver_exit_code=0,
            start_time=1000, end_time=None,
        )  # fmt: skip


@pytest.fixture
def cluster_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Client], JobServer]:
    def make(client: Client) -> JobServer:
        monkeypatch.setattr(submission, "check_answers", lambda url: None)
        monkeypatch.setattr(submission, "client_of", lambda url: client)
        monkeypatch.setattr(submission, "POLL_S", 0.0)
        return JobServer("head:8265")

    return make


def test_following_says_everything_once_over_cut_connections(cluster_of: Callable[[Client], JobServer]) -> None:
    text = "".join(f"line {index}\n" for index in range(30))
    heard: list[str] = []
    state = cluster_of(Client(text, cut=17)).follow("render-x", heard.append)
    assert "".join(heard) == f"{text}the end"
    assert state.state == "succeeded"


def test_following_gives_up_on_a_line_that_stays_cut(cluster_of: Callable[[Client], JobServer]) -> None:
    with pytest.raises(
        FarmError, match=r"1006.*the job may go on: `ray job logs --address http://head:8265 --follow render-x`"
    ):
        cluster_of(Client("never", cut=0)).follow("render-x", lambda text: None)


@pytest.mark.parametrize(
    ("state", "exit_code", "message", "cause"),
    [
        ("failed", 5, "", "exit code 5; its log, above, says why"),
        ("failed", 127, "sh: python: not found", "no `python` on the PATH"),
        ("failed", 1, "No module named render.__main__", "render is not installed"),
        ("failed", None, "\nruntime env could not be set up\n  more", "failed: runtime env could not be set up$"),
        ("stopped", None, "", "was stopped; submit the job again"),
    ],
)
def test_a_job_that_did_not_succeed_is_an_error(state: str, exit_code: int | None, message: str, cause: str) -> None:
    with pytest.raises(FarmError, match=cause):
        Submission("render-x", state, "x", "/x", "", message, exit_code, 1.0, 2.0).check()


def test_one_bad_spec_and_nothing_is_sent(
    job_of: Callable[..., JobFile], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job_of()
    bad = tmp_path / "bad.yaml"
    bad.write_text((tmp_path / "card.yaml").read_text().replace("mode: dream", "mode: drem"))
    where = ["--set", f"output.dir={tmp_path}", "--address", "http://127.0.0.1:9"]  # it would be an exit code of 9
    assert cli.main(["submit", str(tmp_path / "card.yaml"), str(bad), *where]) == 2
    assert "bad.yaml:3: mode" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["job.yaml", "--list"], ["--logs", "a"]], ids=" ".join)
def test_what_is_not_asked_of_submit(words: list[str]) -> None:
    assert cli.main(["submit", *words]) == 2
