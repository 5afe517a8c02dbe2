"""What a Ray cluster has, and what of it a worker asks for: living nodes, their GPUs and CPUs, shares of them."""

import math
from typing import Any

import ray

from render import models
from render.farm.base import Resources
from render.farm.ray.connection import await_head

__all__ = ["alive", "can_use_gpu", "cluster_resources", "needs", "node_cpus"]


def alive(node: str) -> bool:
    """Whether a node is still part of the cluster; one that is unknown counts as alive."""
    return not node or any(entry["NodeID"] == node and entry["Alive"] for entry in _entries())


def _entries() -> list[dict[str, Any]]:
    """The cluster's nodes, as Ray knows them."""
    await_head()
    entries: list[dict[str, Any]] = ray.nodes()
    return entries


def cluster_resources() -> dict[str, float]:
    """What all nodes have together."""
    await_head()
    resources: dict[str, float] = ray.cluster_resources()
    return resources


def node_cpus() -> list[float]:
    """CPUs of every living node that has any."""
    nodes = [node["Resources"].get("CPU", 0.0) for node in _entries() if node["Alive"]]
    return [cpus for cpus in nodes if cpus >= 1]


def can_use_gpu(model: str, device: str) -> bool:
    """Whether a job's workers take GPUs: no test card's, and none on the CPU. A cluster may have to start its first."""
    if device == "cpu" or models.testcard_cost_s(model) is not None:
        return False
    return device == "cuda" or cluster_resources().get("GPU", 0) >= 1


def needs(resources: Resources) -> dict[str, float]:
    """What Ray sets aside for a worker."""
    if resources.gpu:
        return {"GPU": 1 / resources.share, "CPU": _cpus_per_gpu() / resources.share}
    return {"GPU": 0, "CPU": _cpu_share(resources)}


def _cpu_share(resources: Resources) -> float:
    """An equal share of the smallest node, so that every worker finds a place. A share, not a number of threads."""
    share = min(node_cpus() or [1.0]) / resources.share
    return math.floor(share) if share >= 1 else share


def _cpus_per_gpu() -> float:
    """CPUs beside each GPU where those are fewest: GPU workers fit on the nodes with GPUs only. Four are plenty."""
    nodes = [node["Resources"] for node in _entries() if node["Alive"] and node["Resources"].get("GPU")]
    shares: list[float] = [4.0, *(node.get("CPU", 0.0) / node["GPU"] for node in nodes)]
    return min(shares)
