"""A short chaos on a cluster of its own (``make chaos`` is the long one), and that its checks can fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.checks import attempts, charged_for_dead_nodes, rendered_twice
from tests.chaos.faults import Injected

ROOT = Path(__file__).parent.parent


@pytest.mark.ray
@pytest.mark.long
def test_a_job_survives_chaos(tmp_path: Path) -> None:
    """Every kind of fault once. In a process of its own: a process has one Ray cluster."""
    scale = ["--faults", "8", "--chunks", "60", "--chunk-s", "0.6", "--gap", "1", "3", "--limit", "400"]
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.chaos", "--seed", "1", *scale, "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=450, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def log(*lines: str) -> list[dict[str, Any]]:
    """Events, a second apart: ``sent w0 a``, ``failed w0 a killed``, ``run-started``."""
    names = ("event", "worker", "chunk", "cause")
    return [dict(zip(names, line.split(), strict=False)) | {"time": float(at)} for at, line in enumerate(lines)]


def test_a_chunk_that_was_rendered_twice_for_no_reason_is_found() -> None:
    events = log("run-started", "sent w0 a", "done w0 a", "run-started", "sent w0 a", "done w0 a")
    with pytest.raises(AssertionError, match="a was rendered by w0 and again by w0, and nothing called for it"):
        rendered_twice(attempts(events), [Injected(3.0, "corrupt segment", chunks=("b",))])
    harm = Injected(3.0, "corrupt segment", chunks=("a", "b"))
    assert rendered_twice(attempts(events), [harm]) == {"a": ["corrupt segment"]}


def test_attempts_are_told_apart() -> None:
    events = log("run-started", "sent w0 a", "sent w0 b", "failed w0 a killed", "sent w1 a", "done w1 a", "run-started")
    tried = attempts(events)
    assert [(attempt.worker, attempt.done, attempt.lost) for attempt in tried["a"]] == [
        ("w0", False, "killed"),
        ("w1", True, ""),
    ]
    assert [attempt.lost for attempt in tried["b"]] == ["the driver was killed"]


def test_a_chunk_that_is_blamed_for_a_dead_node_is_found() -> None:
    events = log("run-started", "worker-ready w0", "failed w0 a killed")
    events[1]["pid"] = 77
    assert charged_for_dead_nodes(events, [Injected(0.0, "kill node", workers=(7, 77))]) == ["a: killed"]
    assert charged_for_dead_nodes(events, [Injected(0.0, "kill worker", workers=(77,))]) == []
