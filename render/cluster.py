"""A farm over Ray: start workers, carry messages, shut down. The only file with ray.

Ray is asked for processes and for carrying bytes, nothing else: no restarts, no retries, no results fetched in order.
A worker is the plain class of ``worker.py``, wrapped here.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from render import modelfiles, trust
from render.errors import FarmError, RenderError
from render.farm import Answered, ChunkDone, ChunkFailed, Message, Refused, WorkerLost, WorkerReady
from render.metrics import METRICS, Sample
from render.plan import Chunk
from render.record import Segment
from render.roster import Kind
from render.spec import JobSpec
from render.worker import Hello, Worker

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a render farm tells no one what it does
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # stdout is ours: Ray prints a paragraph for every dead worker
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's coming default; unset, it warns at every start

import ray
from ray.exceptions import (
    ActorUnavailableError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
)
from ray.util.metrics import Counter, Gauge

__all__ = ["RayFarm", "connected"]

OBJECT_STORE_BYTES = 1 << 30  # segments are small; Ray's own default takes a third of the memory
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
ANSWER_TIMEOUT_S = 5.0
DOUBT_EVERY_S = 1.0  # how often a worker that cannot be reached is called again
DOUBT_S = 60.0  # a cluster calls a node dead after about 15 s of silence; beyond this the network is to blame
NODE_DIED = "its node has died"  # in Ray's words; of a worker that was still starting nobody knows the node


class _OnNode(Worker):
    """A worker that knows where in the cluster it is."""

    def hello(self) -> Hello:
        """With the node's id."""
        return replace(super().hello(), node=ray.get_runtime_context().get_node_id())


class RayFarm:
    """Workers as Ray actors, one process each, spread over the nodes."""

    def __init__(self) -> None:
        """Inside ``connected``. The cluster stays when the farm is closed: the next command may use it too."""
        self._started = 0
        self._actors: dict[str, Any] = {}
        self._nodes: dict[str, str] = {}
        self._metrics = _Metrics()
        self._calls: dict[ray.ObjectRef[Any], tuple[str, Chunk | None]] = {}
        self._doubted: dict[str, float] = {}  # workers that cannot be reached, since when
        self._next_calls = 0.0

    def kind(self, spec: JobSpec, device: str) -> Kind:
        """A share of a GPU where the job can use one, else of a node's CPUs: all of them, or as many workers want."""
        if _gpus(spec.model, device):
            return Kind(gpu=True, share=spec.farm.workers_per_gpu)
        asked = 1 if spec.farm.workers == "auto" else spec.farm.workers
        return Kind(gpu=False, share=math.ceil(asked / max(len(_node_cpus()), 1)))

    def capacity(self, kind: Kind) -> int:
        """Workers that the nodes alive now have devices for."""
        return kind.share * (int(ray.cluster_resources().get("GPU", 0)) if kind.gpu else len(_node_cpus()))

    def has_place(self, kind: Kind) -> bool:
        """Whether the nodes have free what a worker takes; another command may use the rest."""
        free = ray.available_resources()
        return all(free.get(name, 0.0) >= wanted for name, wanted in _needs(kind).items())

    def start(self, kind: Kind) -> str:
        """Begin to start a process; Ray finds a place for it, or waits for one."""
        name, needs = f"w{self._started}", _needs(kind)
        self._started += 1
        self._actors[name] = actor = (
            ray.remote(_OnNode)
            .options(
                num_cpus=needs["CPU"],
                num_gpus=needs["GPU"],
                max_restarts=0,
                max_concurrency=2,  # of two chunks one is rendered, the other one's last pictures are encoded
                max_task_retries=0,
                scheduling_strategy="SPREAD",
            )
            .remote(name, trusting=trust.granted())
        )
        self._call(name, actor.hello.remote())
        return name

    def describe(self, worker: str, spec: JobSpec) -> None:
        """Ask the actor; it may fetch a model for an hour."""
        self._call(worker, self._actors[worker].describe.remote(spec))

    def measure(self, worker: str, plan_json: str) -> None:
        """Ask the actor."""
        self._call(worker, self._actors[worker].measure.remote(plan_json))

    def open(self, worker: str, plan_json: str) -> None:
        """Ask the actor."""
        self._call(worker, self._actors[worker].open.remote(plan_json))

    def send(self, worker: str, chunk: Chunk) -> None:
        """Queue a chunk on the actor; it renders its queue in order."""
        self._call(worker, self._actors[worker].render.remote(chunk), chunk)

    def stop(self, worker: str) -> None:
        """Kill the actor's process."""
        if (actor := self._actors.pop(worker, None)) is not None:  # it may have died while it was being retired
            ray.kill(actor)
        self._doubted.pop(worker, None)
        self._forget_calls(worker)

    def wait(self, timeout_s: float) -> list[Message]:
        """Results in the order in which they are there."""
        self._call_doubted()
        calls = list(self._calls)
        if not calls:
            time.sleep(timeout_s)
            return []
        ready, _ = ray.wait(calls, num_returns=1, timeout=timeout_s, fetch_local=True)
        if ready:
            ready, _ = ray.wait(calls, num_returns=len(calls), timeout=0, fetch_local=True)
        return [message for call in ready if (message := self._message(call)) is not None]

    def publish(self, samples: Sequence[Sample]) -> None:
        """Into Ray's metrics, which every node serves to Prometheus on its metrics port."""
        for sample in samples:
            for name, value in sample.values.items():
                self._metrics.set(sample.job, name, value)

    def close(self) -> None:
        """Kill the actors."""
        for worker in list(self._actors):
            self.stop(worker)

    def _call(self, worker: str, call: ray.ObjectRef[Any], chunk: Chunk | None = None) -> None:
        self._calls[call] = (worker, chunk)

    def _message(self, call: ray.ObjectRef[Any]) -> Message | None:
        if call not in self._calls:  # the worker was lost a moment ago, and this call with it
            return None
        worker, chunk = self._calls.pop(call)
        try:
            result = ray.get(call)
        except RayTaskError as error:
            own = _own(error)
            cause, details = (str(own), "") if own else (_last_line(error), str(error))
            if worker not in self._nodes:  # it could not even say hello
                return self._lost(worker, cause, False, details)
            if chunk is None:
                return Refused(worker, cause, own, details)
            return ChunkFailed(worker, chunk, cause, details)
        except ActorUnavailableError as error:
            return self._doubt(worker, error)
        except RayError as error:
            return self._lost(worker, *_cause_of_death(error, self._nodes.get(worker, "")), str(error))
        if worker in self._doubted:
            return self._lost(worker, "the connection to it was lost", True)
        if isinstance(result, Hello):
            self._nodes[worker] = result.node
            return WorkerReady(worker, result)
        return ChunkDone(worker, result) if isinstance(result, Segment) else Answered(worker, result)

    def _doubt(self, worker: str, error: ActorUnavailableError) -> WorkerLost | None:
        """A worker cannot be reached. Its process died, or its node, or the network: the cluster learns which later.

        Nothing here waits for that: the worker is called again and again, until a call tells.
        """
        self._forget_calls(worker)
        since = self._doubted.setdefault(worker, time.monotonic())
        if time.monotonic() - since > DOUBT_S:
            return self._lost(worker, "it could not be reached any more", True, str(error))
        return None

    def _call_doubted(self) -> None:
        if (now := time.monotonic()) >= self._next_calls:
            self._next_calls = now + DOUBT_EVERY_S
            for worker in self._doubted.keys() - {worker for worker, _ in self._calls.values()}:
                self._call(worker, self._actors[worker].hello.remote())

    def _lost(self, worker: str, cause: str, nobodys_fault: bool, details: str = "") -> WorkerLost:
        self.stop(worker)
        return WorkerLost(worker, cause, nobodys_fault, details)

    def _forget_calls(self, worker: str) -> None:
        self._calls = {call: held for call, held in self._calls.items() if held[0] != worker}


class _Metrics:
    """Ray's counters and gauges by name. Ray's counters want differences."""

    def __init__(self) -> None:
        self._known: dict[str, Counter | Gauge] = {}
        self._sums: dict[tuple[str, str], float] = {}

    def set(self, job: str, name: str, value: float) -> None:
        """The value of a metric of a job now."""
        metric = METRICS[name]
        if name not in self._known:
            kind = Counter if metric.kind == "counter" else Gauge
            self._known[name] = kind(name, description=metric.description, tag_keys=("job",))
        if metric.kind == "gauge":
            self._known[name].set(value, tags={"job": job})
            return
        before = self._sums.get((job, name), 0.0)
        self._sums[job, name] = value
        grown = value - before if value >= before else value  # a job's second round counts from 0 again
        if grown > 0:
            self._known[name].inc(grown, tags={"job": job})


def _cause_of_death(error: RayError, node: str) -> tuple[str, bool]:
    """Why a worker is gone, in a few words, and whether that is nobody's fault: its node was taken away or died."""
    if isinstance(error, RayActorError) and error.preempted:
        return "taken away by the cluster", True
    if isinstance(error, ObjectLostError):
        return "its result was lost with the node that held it", True
    if not _alive(node) or NODE_DIED in str(error):
        return "its node died or left the cluster", True
    if isinstance(error, OutOfMemoryError):
        return "killed because its node ran out of memory", False
    return "its process died: killed, out of memory, or crashed", False


def _alive(node: str) -> bool:
    """Whether a node is still part of the cluster; one that is unknown counts as alive."""
    return not node or any(entry["NodeID"] == node and entry["Alive"] for entry in ray.nodes())


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Join the cluster at ``address``, or start one here that ends with the block. Raises FarmError if that fails."""
    if ray.is_initialized():
        yield
        return
    _connect(address)
    try:
        yield
    finally:
        ray.shutdown()


def _connect(address: str | None) -> None:
    from ray._private import ray_constants

    here: dict[str, Any] = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    clusters = ray_constants.ENABLE_RAY_CLUSTER
    # Where no other machine may join, as on a Mac, Ray listens on loopback alone; `_node_ip_address` does not do it.
    # A driver that joins such a Ray has to look for it there.
    ray_constants.ENABLE_RAY_CLUSTER = clusters and address is not None and not _on_loopback_alone(address)
    try:
        with _signals_kept():
            ray.init(
                address=address or "local", logging_level="ERROR", log_to_driver=False, **({} if address else here)
            )
    except (RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = f"the Ray cluster at {address} cannot be joined" if address else "Ray cannot start on this machine"
        raise FarmError(f"{where}: {_last_line(error)}; `--local` renders without Ray") from error
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters


def _on_loopback_alone(address: str) -> bool:
    """Whether a Ray to join listens on loopback only. Raises FarmError for none at all: Ray would try for minutes."""
    from ray._private import services

    if address == "auto":
        running = sorted(services.find_gcs_addresses())
        if len(running) != 1:
            return False  # Ray has words for none and for several
        address = running[0]
    host, _, port = address.rpartition(":")
    if not port.isdigit() or "/" in host:
        return False
    if not _answers(host, int(port)):
        raise FarmError(f"nobody answers at {address}; is the cluster running? `ray status --address {address}` tells")
    return host in LOOPBACK and not _answers(services.get_node_ip_address(), int(port))


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), ANSWER_TIMEOUT_S):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Put signals off until Ray stands, and give them back their handlers.

    An interrupt in the middle of ``ray.init`` leaves processes behind, and Ray installs a SIGTERM handler of its own,
    which ends the driver with a stack trace.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda number, _frame: arrived.append(number))
    try:
        yield
    except SystemExit:  # Ray's own handler, for a SIGTERM that came before ours was back
        ray.shutdown()
        arrived.append(signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if arrived:
        ray.shutdown()
        signal.raise_signal(arrived[0])


def _node_cpus() -> list[float]:
    """CPUs of every living node that has any."""
    nodes = [node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]]
    return [cpus for cpus in nodes if cpus >= 1]


def _gpus(model: str, device: str) -> int:
    """GPUs that a job can use: none for a test card or on the CPU. A cluster may still have to start its first."""
    if device == "cpu" or modelfiles.testcard_cost_s(model) is not None:
        return 0
    return max(int(ray.cluster_resources().get("GPU", 0)), device == "cuda")


def _needs(kind: Kind) -> dict[str, float]:
    """What Ray sets aside for a worker."""
    if kind.gpu:
        return {"GPU": 1 / kind.share, "CPU": _cpus_per_gpu() / kind.share}
    return {"GPU": 0, "CPU": _cpu_share(kind)}


def _cpu_share(kind: Kind) -> float:
    """An equal share of the smallest node, so that every worker finds a place. A share, not a number of threads."""
    share = min(_node_cpus() or [1.0]) / kind.share
    return math.floor(share) if share >= 1 else share


def _cpus_per_gpu() -> float:
    """CPUs beside each GPU where those are fewest: GPU workers fit on the nodes with GPUs only. Four are plenty."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU")]
    shares: list[float] = [4.0, *(node.get("CPU", 0.0) / node["GPU"] for node in nodes)]
    return min(shares)


def _own(error: RayTaskError) -> RenderError | None:
    """The error of ours that a worker raised, None for a mistake in the program."""
    cause = error.cause
    return cause if isinstance(cause, RenderError) else None


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
