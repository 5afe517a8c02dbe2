"""``render submit`` to a head as the images start it: followed, stopped in the middle by Ray, submitted again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from render.engine.testcard import read_index
from render.store import RunDir
from render.video.reader import decode

pytest.importorskip("aiohttp", reason="the job API's client needs ray[default]")
pytestmark = [pytest.mark.ray, pytest.mark.slow]

JOB = """
version: 1
name: card
mode: dream
model: testcard:150ms
size: 128x72
frames: 96
keyframes:
  - {at: 0, prompt: a}
farm: {chunk: 8}
output: {preset: ultrafast}
"""
ROOT = Path(__file__).parents[2]
OPTIONS = (  # ports that no other cluster of this machine takes, and a CPU to render on
    *(f"--{name}-port=0" for name in ("node-manager", "object-manager", "runtime-env-agent", "metrics-export")),
    *("--dashboard-agent-grpc-port=0", "--dashboard-agent-listen-port={agent}", "--temp-dir={folder}"),
    *("--min-worker-port=0", "--max-worker-port=0", "--num-cpus=1", "--object-store-memory=100000000"),
)
CHUNKS = 12
LIMIT_S = 90  # on a machine with other work; seconds on one without


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which ``render`` finds a token-guarded head with ports and a folder of its own."""
    folder = tmp_path_factory.mktemp("head")
    token = folder / "token"
    token.write_text(os.urandom(16).hex())
    temp = Path(f"/tmp/render-head-{os.getpid()}")  # short: it holds sockets
    ports = [str(free_port()) for _ in range(3)]
    variables = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # everything on loopback
        "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{ports[1]}",
        "RENDER_PORT": ports[0],
        "RENDER_DASHBOARD_PORT": ports[1],
        "RENDER_RAY_OPTIONS": " ".join(OPTIONS).format(agent=ports[2], folder=temp),
    }
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")} | variables
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [ROOT / "docker" / "entrypoint.sh", "head"], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        until(lambda: healthy(environment, ports[2]), lambda: (folder / "log").read_text())
        yield environment
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        shutil.rmtree(temp, ignore_errors=True)


def healthy(environment: dict[str, str], port: str) -> bool:
    command = [ROOT / "docker" / "entrypoint.sh", "health", port]
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def until(done: Callable[[], bool], why: Callable[[], str]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not done():
        assert time.monotonic() < deadline, why()
        time.sleep(0.3)


def render(environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "render", "submit", *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ray_job(environment: dict[str, str], *words: str) -> str:
    """The commands that the help of ``render submit`` names, as it names them."""
    address = ("--address", environment["RAY_API_SERVER_ADDRESS"])
    command = [Path(sys.executable).parent / "ray", "job", words[0], *address, *words[1:]]
    asked = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert asked.returncode == 0, asked.stderr
    return asked.stdout + asked.stderr


def test_submit_follow_stop_and_submit_again(head: dict[str, str], tmp_path: Path) -> None:
    spec, out = tmp_path / "card.yaml", tmp_path / "run"
    spec.write_text(JOB)
    words = (str(spec), "--set", f"output.dir={out}", "--follow")

    def records() -> int:
        return len(list(out.glob("segments/*.json")))

    first = render(head, *words)
    until(lambda: records() > 0, lambda: str(first.poll()))
    first.send_signal(signal.SIGINT)
    _, err = first.communicate(timeout=LIMIT_S)
    assert (first.returncode, "the job goes on without being followed" in err) == (130, True)
    done = records()
    until(lambda: records() > done, lambda: "the job stopped when it was no longer followed")

    stopped = err.split()[2]
    assert f"`ray job logs --address {head['RAY_API_SERVER_ADDRESS']} --follow {stopped}` follows it again" in err
    ray_job(head, "stop", stopped)
    assert "stopped" in ray_job(head, "status", stopped)
    done = records()
    assert 1 < done < CHUNKS
    assert not (out / "video.mp4").exists()

    again = render(head, *words)
    said, err = again.communicate(timeout=LIMIT_S)
    assert again.returncode == 0, said + err
    assert "96/96 frames" in said
    assert [read_index(frame) for frame in decode(out / "video.mp4")] == list(range(96))
    missing = [entry.details["missing"] for entry in RunDir(out).events() if entry.event == "planned"]
    assert missing == [CHUNKS, CHUNKS - done]
    finished = err.split()[2]
    assert "succeeded" in ray_job(head, "status", finished)
    assert all(name in ray_job(head, "list") for name in (stopped, finished))
    assert "96/96 frames" in ray_job(head, "logs", "--follow", finished)
    assert Path(head["RAY_AUTH_TOKEN_PATH"]).read_text() not in said + err
