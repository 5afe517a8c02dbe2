"""Where the chaos happens: a Ray cluster of several nodes on this machine, a job, and the driver as a process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from render.store import RunDir

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

STORE_BYTES = 80 << 20  # the least that Ray takes for a node's object store

JOB = """
version: 1
name: chaos
mode: dream
model: testcard:{cost_ms}ms
size: 64x64
fps: 24
frames: {frames}
keyframes:
  - {{at: 0, prompt: test card}}
farm: {{chunk: {chunk}, deadline: {deadline_s}s, workers: {workers}}}
output: {{dir: run, preset: ultrafast}}
"""


@dataclass(frozen=True)
class Job:
    """The job to disturb: ``chunks`` of ``chunk`` frames; a chunk takes a worker about ``chunk_s``."""

    chunks: int = 60
    chunk: int = 4
    chunk_s: float = 0.6
    deadline_s: int = 8
    nodes: int = 3

    @property
    def frames(self) -> int:
        """Frames of the film. The last chunk is a shorter one."""
        return self.chunks * self.chunk - 1

    def text(self) -> str:
        """The job file."""
        cost_ms = round(1000 * self.chunk_s / self.chunk)
        fields = {"chunk": self.chunk, "deadline_s": self.deadline_s, "workers": self.nodes}
        return JOB.format(cost_ms=cost_ms, frames=self.frames, **fields)


@dataclass(frozen=True)
class WorkerProcess:
    """A worker as the log of the current run tells of it."""

    name: str
    pid: int
    chunks_done: int


class Stage:
    """The cluster, the run directory and the driver. The head node has no CPUs: workers live on the other nodes."""

    def __init__(self, folder: Path, job: Job) -> None:
        from ray.cluster_utils import Cluster

        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.job = folder, job
        self.spec = folder / "job.yaml"
        self.spec.write_text(job.text())
        self.rundir = RunDir(folder / "run")
        self.segments = folder / "run" / "segments"
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE_BYTES})
        self.nodes: list[Any] = []
        for _ in range(job.nodes):
            self.add_node()
        self.codes: list[int] = []
        self.frozen: list[int] = []
        self._driver: subprocess.Popen[bytes] | None = None
        self._said = (folder / "driver.log").open("ab")

    def still_frozen(self) -> list[int]:
        """Frozen workers that nobody has ended: each would keep its device from the next job."""
        return [pid for pid in self.frozen if psutil.pid_exists(pid)]

    def close(self) -> None:
        """End every process that was started here, frozen ones too."""
        for pid in self.frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._driver is not None and self._driver.poll() is None:
            self._driver.kill()
            self._driver.wait()
        self._said.close()
        self.cluster.shutdown()

    # Nodes

    def add_node(self) -> None:
        """One more node with one CPU; it is there a few seconds later."""
        self.nodes.append(self.cluster.add_node(wait=False, num_cpus=1, object_store_memory=STORE_BYTES))

    def kill_raylet(self, place: int) -> list[int]:
        """SIGKILL a node's raylet and whatever it started, as where the power fails. Returns the process ids."""
        node = self.nodes.pop(place)
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        victims = [raylet.pid, *(child.pid for child in raylet.children(recursive=True))]
        for victim in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        return victims

    # The driver

    def start_driver(self) -> None:
        """``render run`` on the cluster, in a process of its own."""
        command = [sys.executable, "-m", "render", "run", str(self.spec), "--address", self.cluster.address]
        self._driver = subprocess.Popen(command, cwd=self.folder, stdout=self._said, stderr=self._said)

    def driver_ended(self) -> bool:
        """Whether the driver's process is gone; its exit code is then noted."""
        assert self._driver is not None
        if self._driver.poll() is None:
            return False
        self.codes.append(self._driver.returncode)
        return True

    def kill_driver(self) -> int:
        """SIGKILL the driver."""
        assert self._driver is not None
        self._driver.kill()
        self._driver.wait()
        return self._driver.pid

    def render_undisturbed(self) -> Path:
        """The same film made by one worker in one process, cards at no cost."""
        place = self.folder / "calm"
        settings = ("--set", "model=testcard", "--set", f"output.dir={place}")
        command = [sys.executable, "-m", "render", "run", str(self.spec), "--local", *settings]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
        return place / "video.mp4"

    # What the log tells

    def events(self) -> list[dict[str, Any]]:
        """All events so far."""
        return [entry.to_dict() for entry in self.rundir.events()]

    def this_run(self) -> list[dict[str, Any]]:
        """The events of the driver that works now."""
        events = self.events()
        starts = [place for place, event in enumerate(events) if event["event"] == "run-started"]
        return events[starts[-1] :] if len(starts) > len(self.codes) else []

    def workers(self) -> list[WorkerProcess]:
        """The workers that live now."""
        found: dict[str, WorkerProcess] = {}
        for event in self.this_run():
            name = event.get("worker", "")
            if event["event"] == "worker-ready":
                found[name] = WorkerProcess(name, event["pid"], 0)
            elif event["event"] == "worker-lost":
                found.pop(name, None)
            elif event["event"] == "done" and name in found:
                before = found[name]
                found[name] = WorkerProcess(name, before.pid, before.chunks_done + 1)
        return [worker for worker in found.values() if psutil.pid_exists(worker.pid)]

    def num_committed(self) -> int:
        """Chunks with a done record."""
        return len(list(self.segments.glob("*.json")))

    def wait_until(self, condition: Any, timeout_s: float, what: str) -> None:
        """Poll a condition. AssertionError when it does not come true in time."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"after {timeout_s:.0f} s: {what}"
            time.sleep(0.1)
