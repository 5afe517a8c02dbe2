"""No token, password or signature reaches a terminal or a file."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from render.errors import ModelError, StoreError, redacted

TOKEN = "hf_QwErTyUiOpAsDfGhJkLzXcVbNm012345"
JOB = "version: 1\nmode: dream\nmodel: {}\nframes: 4\nsize: 64x64\nkeyframes:\n  - {{at: 0, prompt: hills}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"401 for {TOKEN}.", "401 for …."),
        (f"{{'authorization': 'Bearer {TOKEN}'}}", "{'authorization': 'Bearer …'}"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic …"),
        ("via http://user:pass@proxy:3128/x", "via http://…@proxy:3128/x"),
        ("https://cdn/x?Expires=1&Signature=ab~c&Key-Pair-Id=K1", "https://cdn/x?Expires=1&Signature=…&Key-Pair-Id=…"),
        ("s3://b/k?X-Amz-Signature=0f&X-Amz-Date=2", "s3://b/k?X-Amz-Signature=…&X-Amz-Date=…"),
        ("key AKIAABCDEFGHIJKLMNOP", "key …"),
        (
            "no such folder: /data/hf_models/api_org_1 at http://host/a:b@c, basic colours only",
            "no such folder: /data/hf_models/api_org_1 at http://host/a:b@c, basic colours only",
        ),
    ],
)
def test_secrets_are_known_by_their_form(text: str, expected: str) -> None:
    assert redacted(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("output.dir=s3://key@bucket/x", "output.dir=s3://…@bucket/x"),
        ("output.dir=s3://key:a/b@c@bucket/x", "output.dir=s3://…@bucket/x"),
        ("output.dir=s3://bucket/x?X-Amz-Signature=0f&versionId=3", "output.dir=s3://bucket/x?…"),
        ("AWS4-HMAC-SHA256 Credential=AK/2026/s3, Signature=0f", "AWS4-HMAC-SHA256 Credential=…, Signature=…"),
        (f"steps=0 {TOKEN}", "steps=0 …"),
        ("keyframes[0].prompt=a secret garden at noon", "keyframes[0].prompt=a secret garden at noon"),
    ],
)
def test_what_may_be_a_secret_is_left_out_where_that_is_likely(text: str, expected: str) -> None:
    assert redacted(text, strict=True) == expected


def test_no_error_of_ours_carries_one() -> None:
    assert str(ModelError(f"no {TOKEN}")) == "no …"
    assert str(StoreError.of(OSError(13, "no"), "s3://key:secret@host/x")).startswith("s3://…@host/x")


class _Echo(BaseHTTPRequestHandler):
    """A hub that answers with everything it was sent, as a broken proxy does."""

    seen: list[str] = []  # noqa: RUF012 - the server makes a handler for every request

    def do_GET(self) -> None:
        self.seen.append(str(self.headers))
        told = " ".join(str(self.headers).split())
        self.send_response(500, told)
        self.send_header("X-Error-Message", told)
        self.end_headers()
        self.wfile.write(told.encode())

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    """The address of a hub on this machine."""
    server = HTTPServer(("127.0.0.1", 0), _Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_a_token_is_neither_printed_nor_stored(hub: str, tmp_path: Path) -> None:
    """A model that the hub refuses while it tells the token back, then a film, with every message of every stage."""
    environment = os.environ | {
        "HF_TOKEN": TOKEN,
        "HUGGING_FACE_HUB_TOKEN": TOKEN,
        "HF_ENDPOINT": hub,
        "HF_HOME": str(tmp_path / "hf"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "AWS_SECRET_ACCESS_KEY": TOKEN,
        "no_proxy": "127.0.0.1",
    }
    told = b""
    for name, model, code in (("refused", "some/model", 2), ("film", "testcard", 0)):
        job = tmp_path / f"{name}.yaml"
        job.write_text(JOB.format(model))
        out = f"output.dir={tmp_path / name}"
        for command in (["run", "--local"], ["plan", "--json"], ["status"]):
            where = [str(tmp_path / name)] if command == ["status"] else [str(job), "--set", out]
            if command == ["status"] and code:
                continue
            done = subprocess.run(
                [sys.executable, "-m", "render", *command, *where], env=environment, capture_output=True, check=False
            )
            assert done.returncode == code, done.stderr
            told += done.stdout + done.stderr
    assert any(TOKEN in headers for headers in _Echo.seen), "the client did not send its token: nothing was tried"
    assert b"cannot be fetched" in told
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"video.mp4", "report.html", "events.jsonl", "plan.json"} <= {path.name for path in written}
    assert TOKEN.encode() not in told
    assert [path for path in written if TOKEN.encode() in path.read_bytes()] == []
