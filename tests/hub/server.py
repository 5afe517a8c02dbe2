"""A model hub on loopback: what huggingface_hub's client asks of the real one, and the ways in which that one fails.

Serves folders as repositories of one commit each. ``HF_ENDPOINT`` leads the client here. A ``Fault`` makes a repository
gated, private, slow, busy, or break off in the middle of a file, with the status and the headers of the hub.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

__all__ = ["Fault", "Hub", "serving", "used"]

LFS = (".safetensors", ".bin", ".onnx")  # these have a sha256, other files the sum that git gives them
API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/(?P<what>revision|tree)/(?P<revision>[^/]+))?")
RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


@dataclass(frozen=True)
class Fault:
    """How a repository refuses: with ``status`` and the hub's ``code``, after ``slow_s``, or at byte ``broken_at``.

    As the hub does, a gated one is described to everybody and refuses its files alone.
    """

    status: int = 200
    code: str = ""
    message: str = ""
    slow_s: float = 0.0
    broken_at: int | None = None
    times: int | None = None  # so often, then no more
    with_token: bool = False  # also who brings a token is refused


@dataclass
class Hub:
    """Repositories by id, and what was asked for. ``branches``: names that lead to the one commit."""

    repositories: Mapping[str, Path]
    faults: Mapping[str, Fault] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    resumed: list[int] = field(default_factory=list)  # at which byte
    endpoint: str = ""
    branches: tuple[str, ...] = ("main",)

    def commit(self, repo: str) -> str:
        """The commit of a repository: a sum over its files."""
        total = hashlib.sha1(repo.encode(), usedforsecurity=False)
        for path in self.files(repo):
            total.update(f"{path} {self.entry(repo, path)['size']}".encode())
        return total.hexdigest()

    def files(self, repo: str) -> list[str]:
        """The names of its files."""
        folder = self.repositories[repo]
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    def entry(self, repo: str, name: str) -> dict[str, object]:
        """A file as the hub's tree lists it."""
        data = (self.repositories[repo] / name).read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        entry: dict[str, object] = {"type": "file", "oid": blob, "size": len(data), "path": name}
        if name.endswith(LFS):
            sum_ = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"oid": sum_, "size": len(data), "pointerSize": 134}
        return entry

    def fetched(self, repo: str) -> set[str]:
        """The files of a repository whose contents were asked for."""
        return {
            match["path"]
            for verb, url in self.asked
            if verb == "GET" and (match := RESOLVE.fullmatch(url))
            if match["repo"] == repo
        }


@contextmanager
def serving(repositories: Mapping[str, Path], faults: Mapping[str, Fault] | None = None) -> Iterator[Hub]:
    """A hub with these repositories, for as long as the block lasts."""
    hub = Hub(repositories, dict(faults or {}))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub, "left": {}}))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def used(hub: Hub, home: Path, patch: pytest.MonkeyPatch) -> None:
    """Have the hub's client in this process ask this hub, with a cache of its own."""
    from huggingface_hub import constants

    patch.setattr(constants, "ENDPOINT", hub.endpoint)
    patch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    )
    patch.setattr(constants, "HF_HUB_CACHE", str(home / "hf/hub"))


class _Handler(BaseHTTPRequestHandler):
    """One request. Kept alive as the hub does: a length with every answer."""

    protocol_version = "HTTP/1.1"
    hub: Hub
    left: dict[str, int]

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the base class
        """Nobody listens."""

    def _serve(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path))
        match = API.fullmatch(path) or RESOLVE.fullmatch(path)
        repo = match["repo"] if match else ""
        if repo not in self.hub.repositories:
            self._refuse(Fault(404, "RepoNotFound", "Repository not found"))
            return
        fault = self._fault(repo)
        time.sleep(fault.slow_s)
        assert match is not None
        known = "authorization" in {name.lower() for name in self.headers} and not fault.with_token
        if fault.status != 200 and not known and (match.re is RESOLVE or fault.code != "GatedRepo"):
            self._refuse(fault)
            return
        commit, revision = self.hub.commit(repo), match["revision"] or "main"
        if revision not in (commit, *self.hub.branches):
            self._refuse(Fault(404, "RevisionNotFound", f"Invalid rev id: {revision}"))
        elif match.re is RESOLVE:
            self._file(repo, commit, match["path"], fault)
        elif match["what"] == "tree":
            self._json([self.hub.entry(repo, name) for name in self.hub.files(repo)])
        else:
            siblings = [{"rfilename": name, "size": self._size(repo, name)} for name in self.hub.files(repo)]
            self._json({"id": repo, "modelId": repo, "sha": commit, "siblings": siblings, "private": False})

    def _size(self, repo: str, name: str) -> object:
        """Told to those who ask for it, as the hub does."""
        return self.hub.entry(repo, name)["size"] if "blobs" in self.path else None

    def _fault(self, repo: str) -> Fault:
        fault = self.hub.faults.get(repo, Fault())
        if fault.times is None or not self.path.endswith(LFS):
            return fault
        self.left[repo] = self.left.get(repo, fault.times) - (self.command == "GET")
        return fault if self.left[repo] >= 0 else Fault()

    def _file(self, repo: str, commit: str, name: str, fault: Fault) -> None:
        if name not in self.hub.files(repo):
            self._refuse(Fault(404, "EntryNotFound", "Entry not found"))
            return
        data, entry = (self.hub.repositories[repo] / name).read_bytes(), self.hub.entry(repo, name)
        lfs = entry.get("lfs")
        etag = lfs["oid"] if isinstance(lfs, dict) else entry["oid"]
        start = int(match[1]) if (match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))) else 0
        self.hub.resumed += [start] if start else []
        self.send_response(206 if start else 200)
        for header, value in (
            ("X-Repo-Commit", commit),
            ("ETag", f'"{etag}"'),
            ("X-Linked-Etag", f'"{etag}"'),
            ("X-Linked-Size", str(len(data))),
            ("Accept-Ranges", "bytes"),
            ("Content-Length", str(len(data) - start)),
        ):
            self.send_header(header, value)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "GET":
            broken = fault.broken_at is not None and name.endswith(LFS)
            end = max(start, min(fault.broken_at or 0, len(data))) if broken else len(data)
            self.wfile.write(data[start:end])
            self.close_connection = end < len(data)

    def _json(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _refuse(self, fault: Fault) -> None:
        body = json.dumps({"error": fault.message}).encode()
        self.send_response(fault.status)
        self.send_header("X-Error-Code", fault.code)
        self.send_header("X-Error-Message", fault.message)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
