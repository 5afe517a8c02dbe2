"""A farm over Ray: start workers, carry messages, shut down.

Ray is asked for processes and for carrying bytes, nothing else: no restarts, no retries, no results fetched in order.
A worker is the plain class of ``worker.py``, wrapped here.
"""

import contextlib
import functools
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import ray
from ray import cloudpickle
from ray.exceptions import ActorUnavailableError, RayError, RayTaskError

from render.errors import FarmError
from render.farm.base import (
    Answered,
    ChunkDone,
    ChunkFailed,
    Doing,
    Message,
    Refused,
    Resources,
    WorkerInfo,
    WorkerLost,
    WorkerReady,
)
from render.farm.progress import Sample
from render.farm.ray import entry
from render.farm.ray.connection import head_answers, last_line
from render.farm.ray.losses import cause_of_death, own_error, words_of
from render.farm.ray.metrics import RayMetrics
from render.farm.ray.package import relative_folders
from render.farm.ray.resources import can_use_gpu, cluster_resources, needs, node_cpus
from render.farm.worker import Worker
from render.plan import Chunk, Plan
from render.spec import JobSpec
from render.store import Segment

__all__ = ["RayFarm"]


CALL_EVERY_S = 1.0  # how often a worker that cannot be reached is called again, or one without a chunk how far it is
DOUBT_S = 60.0  # a cluster calls a node dead after about 15 s of silence; beyond this the network is to blame
HOME = str(Path(__file__).parents[3])  # the folder that this render lies in

cloudpickle.register_pickle_by_value(entry)

P = ParamSpec("P")
T = TypeVar("T")


class _OnNode(Worker):
    """A worker that knows where in the cluster it is."""

    def hello(self) -> WorkerInfo:
        """With the node's id."""
        return replace(super().hello(), node=ray.get_runtime_context().get_node_id())


def _needs_cluster(call: Callable[P, T]) -> Callable[P, T]:
    """RayError -> FarmError: no worker is to blame, the cluster itself is gone."""

    @functools.wraps(call)
    def wrapped(*args: P.args, **options: P.kwargs) -> T:
        try:
            return call(*args, **options)
        except (RayError, ConnectionError) as error:
            raise FarmError(
                f"the Ray cluster does not answer any more: {last_line(error)}; what is done stays done, the same "
                "command goes on once there is a cluster again"
            ) from error

    return wrapped


class RayFarm:
    """Workers as Ray actors, one process each, spread over the nodes."""

    prefix = "w"

    def __init__(self, *, trust: bool = False) -> None:
        """Inside ``connected``. The cluster stays when the farm is closed: the next command may use it too.

        ``trust``: workers may load what could run code.
        """
        self._trust = trust
        self._folder = os.getcwd()
        self._actors: dict[str, Any] = {}
        self._nodes: dict[str, str] = {}
        self._meters = RayMetrics()
        self._calls: dict[ray.ObjectRef[Any], tuple[str, Chunk | None]] = {}
        self._doubted: dict[str, float] = {}  # workers that cannot be reached, since when
        self._next_calls = 0.0
        self._asked: set[str] = set()  # workers that have been asked how far they are

    @_needs_cluster
    def resources(self, spec: JobSpec, device: str) -> Resources:
        """A share of a GPU where the job can use one, else of a node's CPUs: all of them, or as many workers want."""
        if can_use_gpu(spec.model, device):
            return Resources(gpu=True, share=spec.farm.workers_per_gpu)
        asked = 1 if spec.farm.workers == "auto" else spec.farm.workers
        return Resources(gpu=False, share=math.ceil(asked / max(len(node_cpus()), 1)))

    @_needs_cluster
    def capacity(self, resources: Resources) -> int:
        """Workers that the nodes alive now have devices for."""
        return resources.share * (int(cluster_resources().get("GPU", 0)) if resources.gpu else len(node_cpus()))

    @_needs_cluster
    def has_room(self, resources: Resources) -> bool:
        """Whether the nodes have free what a worker takes; another command may use the rest."""
        free = ray.available_resources()
        return all(free.get(name, 0.0) >= wanted for name, wanted in needs(resources).items())

    @_needs_cluster
    def start(self, name: str, resources: Resources) -> None:
        """Begin to start a process; Ray finds room for it, or waits for it."""
        wanted = needs(resources)
        worker = cloudpickle.dumps(functools.partial(_OnNode, name, trust=self._trust))
        self._actors[name] = actor = (
            ray.remote(entry.Entry)
            .options(
                num_cpus=wanted["CPU"],
                num_gpus=wanted["GPU"],
                max_restarts=0,
                max_concurrency=2,  # of two chunks one is rendered, the other one's last pictures are encoded
                max_task_retries=0,
                scheduling_strategy="SPREAD",
            )
            .remote(HOME, self._folder, worker)
        )
        self._call(name, actor.hello.remote())

    @_needs_cluster
    def plan(self, worker: str, spec: JobSpec, before: Plan | None) -> None:
        """Ask the actor; it may fetch a model for an hour."""
        folders = relative_folders(spec.model, spec.engine.tiny_vae)
        self._call(worker, self._actors[worker].plan.remote(folders, spec, before))

    @_needs_cluster
    def open(self, worker: str, plan_json: str) -> None:
        """Ask the actor."""
        spec = json.loads(plan_json)["spec"]
        folders = relative_folders(spec["model"], spec["engine"].get("tiny_vae"))
        self._call(worker, self._actors[worker].open.remote(folders, plan_json))

    @_needs_cluster
    def send(self, worker: str, chunk: Chunk) -> None:
        """Queue a chunk on the actor; it renders its queue in order."""
        self._call(worker, self._actors[worker].render.remote(chunk), chunk)

    @_needs_cluster
    def stop(self, worker: str) -> None:
        """Kill the actor's process."""
        if (actor := self._actors.pop(worker, None)) is not None:  # it may have died while it was being retired
            ray.kill(actor)
        self._doubted.pop(worker, None)
        self._forget_calls(worker)

    @_needs_cluster
    def wait(self, timeout_s: float) -> list[Message]:
        """Results in the order in which they are there."""
        self._call_around()
        calls = list(self._calls)
        if not calls:
            time.sleep(timeout_s)
            return []
        ready, _ = ray.wait(calls, num_returns=1, timeout=timeout_s, fetch_local=True)
        if ready:
            ready, _ = ray.wait(calls, num_returns=len(calls), timeout=0, fetch_local=True)
        return [message for call in ready if (message := self._message(call)) is not None]

    @_needs_cluster
    def publish(self, samples: Sequence[Sample]) -> None:
        """Into Ray's metrics, which every node serves to Prometheus on its metrics port."""
        self._meters.publish(samples)

    def close(self) -> None:
        """Kill the actors. Where the cluster is gone, they are gone with it."""
        with contextlib.suppress(Exception):  # metrics are no reason to fail at the end of all work
            self._meters.publish([])
        with contextlib.suppress(FarmError):
            for worker in list(self._actors) if head_answers() else ():
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
            cause, details = words_of(error)
            if worker not in self._nodes:  # it could not even say hello
                return self._lost(worker, cause, False, details)
            if chunk is None:
                return Refused(worker, cause, own_error(error), details)
            return ChunkFailed(worker, chunk, cause, details)
        except ActorUnavailableError as error:
            return self._doubt(worker, error)
        except RayError as error:
            return self._lost(worker, *cause_of_death(error, self._nodes.get(worker, "")), str(error))
        if worker in self._doubted:
            return self._lost(worker, "the connection to it was lost", True)
        if isinstance(result, str):
            self._asked.discard(worker)
            return Doing(worker, result)
        if isinstance(result, WorkerInfo):
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

    def _call_around(self) -> None:
        """Call the workers that could not be reached, and ask those that plan or open a plan how far they are.

        Two calls run side by side in a worker, so it answers beside that work; beside two chunks it could not.
        """
        if (now := time.monotonic()) < self._next_calls:
            return
        self._next_calls = now + CALL_EVERY_S
        held = list(self._calls.values())
        for worker in self._doubted.keys() - {worker for worker, _ in held}:
            self._call(worker, self._actors[worker].hello.remote())
        for worker in {worker for worker, chunk in held if chunk is None and worker in self._nodes} - self._asked:
            self._asked.add(worker)
            self._call(worker, self._actors[worker].doing.remote())

    def _lost(self, worker: str, cause: str, nobodys_fault: bool, details: str = "") -> WorkerLost:
        self.stop(worker)
        return WorkerLost(worker, cause, nobodys_fault, details)

    def _forget_calls(self, worker: str) -> None:
        self._calls = {call: held for call, held in self._calls.items() if held[0] != worker}
        self._asked.discard(worker)
