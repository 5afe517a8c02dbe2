"""What a candidate's pictures cost at least: their FLOPs, and the fused floor by the device's measured peak."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from render.bench.candidate import Candidate
from render.bench.failures import Failures
from render.bench.probes.flops import Work, picture_work

__all__ = ["Roofline", "Rooflines"]


@dataclass(frozen=True)
class Roofline:
    """Of one picture; None where unknown: for an approximation, whose work is another, and without a peak."""

    tflop_per_image: float | None = None
    floor_s: float | None = None
    peak_flops_per_s: float | None = None


class Rooflines:
    """The networks of a model are counted once for equal work."""

    def __init__(self, folder: Path, peaks: Mapping[str, Mapping[str, float]], failures: Failures) -> None:
        self._folder, self._peaks, self._failures = folder, peaks, failures
        self._works: dict[tuple[object, ...], tuple[Work, Work]] = {}

    def of(self, candidate: Candidate) -> Roofline:
        """The roofline of a candidate; what breaks on the way is written down."""
        case, plan = candidate.case, candidate.plan
        peak = self._peaks.get(case.dtype)
        if case.switches or not peak:
            return Roofline()
        size, batch = (plan.settings.width, plan.settings.height), plan.settings.batch
        key = (size, batch, plan.spec.steps, plan.spec.sampler, case.dtype)
        with self._failures.kept(f"FLOPs of {case}"):
            if key not in self._works:
                self._works[key] = picture_work(plan, self._folder)
            works = self._works[key]
            floor_s = sum(work.floor_s(peak["flops_per_s"], peak["bytes_per_s"]) for work in works)
            return Roofline(sum(work.flops for work in works) / 1e12, floor_s, peak["flops_per_s"])
        return Roofline()
