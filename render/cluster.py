"""A farm over Ray: start workers, carry messages, shut down. The only file with ray.

Ray is asked for processes and for carrying bytes, nothing else: no restarts, no retries, no results fetched in order.
A worker is the plain class of ``worker.py``, wrapped here.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

from render import modelfiles
from render.errors import FarmError, RenderError
from render.farm import ChunkDone, ChunkFailed, Message, WorkerLost, WorkerReady
from render.plan import Chunk, Plan
from render.resolve import Machine, ModelInfo, Saturation
from render.spec import JobSpec
from render.worker import Worker

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a render farm tells no one what it does
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # stdout is ours: Ray prints a paragraph for every dead worker
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's coming default; unset, it warns at every start

import ray
from ray.exceptions import GetTimeoutError, ObjectLostError, RayActorError, RayError, RayTaskError

__all__ = ["RayFarm", "connected"]

OBJECT_STORE_BYTES = 1 << 30  # segments are small; Ray's own default takes a third of the memory
PLACEMENT_TIMEOUT_S = 300.0  # an autoscaler may have to start a machine; beyond that nobody is coming


class RayFarm:
    """Workers as Ray actors, one process each, spread over the nodes."""

    def __init__(self) -> None:
        """Inside ``connected``. The cluster stays when the farm is closed: the next job uses it too."""
        self._started = 0
        self._spare: tuple[str, Any] | None = None
        self._actors: dict[str, Any] = {}
        self._calls: dict[ray.ObjectRef[Any], tuple[str, Chunk | None]] = {}

    def describe(self, spec: JobSpec) -> tuple[Machine, ModelInfo]:
        """What the first worker says; its process is kept and becomes the first worker."""
        gpu = _gpus(spec.model, spec.engine.device) > 0
        name, actor = self._launch(gpu=gpu, workers=1 if spec.farm.workers == "auto" else spec.farm.workers)
        try:
            ray.get(actor.__ray_ready__.remote(), timeout=PLACEMENT_TIMEOUT_S)
            described: tuple[Machine, ModelInfo] = ray.get(actor.describe.remote(spec))  # may fetch a model for an hour
        except GetTimeoutError:
            raise FarmError(
                f"no worker could be placed within {PLACEMENT_TIMEOUT_S:.0f} s; is the cluster busy? `ray status` tells"
            ) from None
        except RayTaskError as error:
            raise _own(error) or FarmError(f"the first worker failed: {_last_line(error)}") from None
        except RayError as error:
            raise FarmError(f"the first worker could not start: {_last_line(error)}") from None
        self._spare = (name, actor)
        return described

    def measure(self, plan_json: str) -> Saturation:
        """The curve of the device that ``describe`` asked before."""
        assert self._spare is not None, "describe comes first"
        try:
            curve: Saturation = ray.get(self._spare[1].measure.remote(plan_json))
        except RayTaskError as error:
            raise _own(error) or FarmError(f"the first worker failed: {_last_line(error)}") from None
        except RayError as error:
            raise FarmError(f"the first worker died while it measured: {_last_line(error)}") from None
        return curve

    def size(self, plan: Plan) -> int:
        """One worker a GPU, else one a node with CPUs; as many as asked for, but never more than GPUs."""
        asked, nodes = plan.spec.farm.workers, len(_node_cpus())
        gpus = _gpus(plan.spec.model, plan.settings.device)
        if asked == "auto":
            return gpus or max(nodes, 1)
        return min(asked, gpus) if gpus else asked

    def start_worker(self, plan_json: str) -> str:
        """Begin to load the plan in a new process, or in the one that described the machine."""
        plan = Plan.from_json(plan_json)
        if self._spare is None:
            gpu = _gpus(plan.spec.model, plan.settings.device) > 0
            self._spare = self._launch(gpu=gpu, workers=self.size(plan))
        (name, actor), self._spare = self._spare, None
        self._actors[name] = actor
        self._calls[actor.open.remote(plan_json)] = (name, None)
        return name

    def send(self, worker: str, chunk: Chunk) -> None:
        """Queue a chunk on the actor; it renders its queue in order."""
        self._calls[self._actors[worker].render.remote(chunk)] = (worker, chunk)

    def stop_worker(self, worker: str) -> None:
        """Kill the actor's process."""
        self._forget(worker)

    def wait(self, timeout_s: float) -> list[Message]:
        """Results in the order in which they are there."""
        calls = list(self._calls)
        if not calls:
            return []
        ready, _ = ray.wait(calls, num_returns=1, timeout=timeout_s, fetch_local=True)
        if ready:
            ready, _ = ray.wait(calls, num_returns=len(calls), timeout=0, fetch_local=True)
        return [message for call in ready if (message := self._message(call)) is not None]

    def close(self) -> None:
        """Kill the actors."""
        if self._spare is not None:
            ray.kill(self._spare[1])
        for worker in list(self._actors):
            self._forget(worker)

    def _launch(self, *, gpu: bool, workers: int) -> tuple[str, Any]:
        name = f"w{self._started}"
        self._started += 1
        actor = (
            ray.remote(Worker)
            .options(
                num_cpus=_cpus_per_gpu() if gpu else _cpus_per_worker(workers),
                num_gpus=1 if gpu else 0,
                max_restarts=0,
                max_concurrency=2,  # of two chunks one is rendered, the other one's last pictures are encoded
                max_task_retries=0,
                scheduling_strategy="SPREAD",
            )
            .remote(name)
        )
        return name, actor

    def _message(self, call: ray.ObjectRef[Any]) -> Message | None:
        if call not in self._calls:  # the worker was lost a moment ago, and this call with it
            return None
        worker, chunk = self._calls.pop(call)
        try:
            result = ray.get(call)
        except RayTaskError as error:
            own = _own(error)
            cause, details = (str(own), "") if own else (_last_line(error), str(error))
            if chunk is not None:
                return ChunkFailed(worker, chunk, cause, details)
            self._forget(worker)
            return WorkerLost(worker, cause, error=own, details=details)
        except ObjectLostError:
            assert chunk is not None
            return ChunkFailed(worker, chunk, "its result was lost with the node that held it")
        except RayError as error:
            self._forget(worker)
            preempted = isinstance(error, RayActorError) and bool(error.preempted)
            cause = "its process died: killed, out of memory, or crashed"
            return WorkerLost(
                worker, "taken away by the cluster" if preempted else cause, preempted, details=str(error)
            )
        return WorkerReady(worker, result) if chunk is None else ChunkDone(worker, result)

    def _forget(self, worker: str) -> None:
        if (actor := self._actors.pop(worker, None)) is not None:  # it may have died while it was being retired
            ray.kill(actor)
        self._calls = {call: held for call, held in self._calls.items() if held[0] != worker}


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
    ray_constants.ENABLE_RAY_CLUSTER = clusters and address is not None
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


def _cpus_per_worker(workers: int) -> float:
    """An equal share of the smallest node, so that every worker finds a place. A share, not a number of threads."""
    nodes = _node_cpus() or [1.0]
    share = min(nodes) / math.ceil(workers / len(nodes))
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
