"""A chunk that kills every worker over Ray: three attempts, then the job names it; mended, it alone is rendered."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from render.errors import FarmError
from render.farm.base import Farm
from render.farm.worker import Worker
from render.store import RunDir
from tests.farm.ray.test_farm import events, indices, render_job

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster() -> Iterator[Callable[[], Farm]]:
    """Ray with two CPUs here."""
    from render.farm.ray.connection import connected
    from render.farm.ray.farm import RayFarm

    with connected(None):
        yield RayFarm


def test_a_chunk_that_kills_its_workers_is_given_up_until_its_cause_is_mended(
    tmp_path: Path, cluster: Callable[[], Farm], monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly = tmp_path / "the cause"
    deadly.touch()
    monkeypatch.setattr("render.farm.ray.farm._OnNode", dies_over(deadly, frame=16))
    with pytest.raises(FarmError) as caught:
        render_job(tmp_path / "job", cluster, "farm.workers=2", "farm.chunk=4", model="testcard:60ms")
    told, named, _ = str(caught.value).splitlines()
    assert told == "1 of 12 chunks failed for good; all others are done:"
    assert named.startswith("  frames 16-19: 3 attempts; the last, on worker ")
    assert named.endswith(": its process died: killed, out of memory, or crashed")
    assert caught.value.exit_code == 9
    rundir = RunDir(tmp_path / "job" / "run")
    failed = events(rundir, "failed")
    assert [event["chunk"] for event in failed] == ["000016-000020"] * 3
    assert len({event["worker"] for event in failed}) == 3, "a replacement is another worker"
    before = {chunk: record.ended for chunk, record in rundir.records().items()}
    assert len(before) == 11
    assert not rundir.fetch("video.mp4").exists()
    deadly.unlink()
    render_job(tmp_path / "job", cluster, "farm.workers=2", "farm.chunk=4", model="testcard:60ms")
    after = rundir.records()
    assert {chunk: record.ended for chunk, record in after.items() if chunk in before} == before
    assert [event["chunk"] for event in events(rundir, "done")[11:]] == ["000016-000020"]
    assert indices(rundir) == list(range(48))


def dies_over(deadly: Path, frame: int) -> type:
    """A worker whose process is killed over the chunk of a frame for as long as a file exists.

    Not at once: what it rendered before is still being encoded.
    """

    class Doomed(Worker):  # made in here, so that Ray sends the class itself to its processes
        def _render(self, chunk: Any) -> Any:
            if chunk.start == frame and deadly.exists():
                time.sleep(1)
                os.kill(os.getpid(), signal.SIGKILL)
            return super()._render(chunk)

    return Doomed
