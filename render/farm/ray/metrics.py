"""The metrics of running jobs in Ray, which every node serves to Prometheus on its metrics port."""

import re
from collections.abc import Sequence

from ray.util.metrics import Counter, Gauge

from render.farm.progress import METRICS, Sample

__all__ = ["RayMetrics"]

Tags = tuple[str, str]  # job and dir: two jobs may have one name, no two of a command one directory

_NOT_PLAIN = re.compile(r"[^ -~]|%")


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
        metric, labels = METRICS[name], {"job": _ascii(tags[0]), "dir": _ascii(tags[1])}
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


def _ascii(text: str) -> str:
    """``out/Träume`` -> ``out/Tr%C3%A4ume``, as in a URL: Ray takes ASCII only, and no two texts may become one."""
    return _NOT_PLAIN.sub(lambda found: "".join(f"%{byte:02X}" for byte in _utf8(found[0])), text)


def _utf8(character: str) -> bytes:
    """Its UTF-8, also of what stands for a byte of a file name that is not UTF-8."""
    return character.encode(errors="surrogatepass")
