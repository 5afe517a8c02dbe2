"""Times that can be compared: candidates take turns, so that what slows the machine down slows all of them. Pure.

A ratio is taken within each round, where both ran under the same load, and its median is what counts, with the least
and the largest of the rounds beside it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Ratio", "Timing", "paired", "ratio"]


@dataclass(frozen=True)
class Timing:
    """Seconds a picture, one for every round."""

    rounds_s: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """The median of the rounds."""
        return median(self.rounds_s)


@dataclass(frozen=True)
class Ratio:
    """How many times as fast one candidate is as another: median, least and largest of the rounds."""

    median: float
    least: float
    most: float


def paired(
    candidates: Mapping[str, Callable[[], int]],
    rounds: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    on_run: Callable[[str], None] | None = None,
) -> dict[str, Timing]:
    """Call every candidate once a round; each returns the number of pictures it made. Every other round goes backwards,
    so that a machine that grows slower favours neither end. What a candidate raises goes through."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds):
        for name in list(candidates) if number % 2 == 0 else list(reversed(list(candidates))):
            if on_run is not None:
                on_run(name)
            began = clock()
            pictures = candidates[name]()
            times[name].append((clock() - began) / pictures)
    return {name: Timing(tuple(values)) for name, values in times.items()}


def ratio(slow_s: Sequence[float], fast_s: Sequence[float]) -> Ratio:
    """How many times as fast ``fast_s`` is as ``slow_s``, round by round."""
    ratios = [slow / fast for slow, fast in zip(slow_s, fast_s, strict=True)]
    return Ratio(median(ratios), min(ratios), max(ratios))
