"""The metrics of running jobs in Ray, which every node serves to Prometheus on its metrics port."""

from collections.abc import Sequence

from ray.util.metrics import Counter, Gauge

from render.farm.progress import METRICS, Sample

__all__ = ["RayMetrics"]

Tags = tuple[str, str]  # job and dir: two jobs may have one name, no two of a command one directory


class RayMetrics:
    """Ray's counters and gauges by name. Ray's counters want differences."""

    def __init__(self) -> None:
        self._known: dict[str, Counter | Gauge] = {}
        self._sums: dict[tuple[Tags, str], float] = {}
        self._told: dict[Tags, set[str]] = {}  # gauges of the jobs that were in the last samples

    def publish(self, samples: Sequence[Sample]) -> None:
        """The values of all jobs that render now. The gauges of a job that no longer does become 0."""
        now = {(sample.job, sample.dir) for sample in samples}
        for tags in self._told.keys() - now:
            for name in self._told.pop(tags):
                self._set(tags, name, 0.0)
        for sample in samples:
            tags = (sample.job, sample.dir)
            for name, value in sample.values.items():
                self._set(tags, name, value)
            gauges = {name for name in sample.values if METRICS[name].kind == "gauge"}
            self._told[tags] = self._told.get(tags, set()) | gauges

    def _set(self, tags: Tags, name: str, value: float) -> None:
        metric, labels = METRICS[name], {"job": tags[0], "dir": tags[1]}
        if name not in self._known:
            kind = Counter if metric.kind == "counter" else Gauge
            self._known[name] = kind(name, description=metric.description, tag_keys=tuple(labels))
        if metric.kind == "gauge":
            self._known[name].set(value, tags=labels)
            return
        before = self._sums.get((tags, name), 0.0)
        self._sums[tags, name] = value
        grown = value - before if value >= before else value  # a job's second round counts from 0 again
        if grown > 0:
            self._known[name].inc(grown, tags=labels)
