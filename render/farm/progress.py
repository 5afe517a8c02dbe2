"""How far a job is, and who wants to know."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["METRICS", "Metric", "Progress", "Sample", "Silent", "Watcher"]


@dataclass(frozen=True)
class Progress:
    """Where a job stands. ``rendered`` frames are of this run, ``frames_done`` of all runs so far.

    ``workers`` render the job now, ``opening`` load its model.
    """

    frames_done: int
    frames_total: int
    rendered: int
    elapsed_s: float
    workers: int
    retries: int
    opening: int = 0

    @property
    def frames_per_s(self) -> float:
        """Speed since the first worker was ready; 0 before the first chunk."""
        return self.rendered / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds to go, None before the first chunk."""
        speed = self.frames_per_s
        return (self.frames_total - self.frames_done) / speed if speed else None


class Watcher(Protocol):
    """Hears what happens to a job, from any thread. The command line shows it; tests collect it."""

    def progress(self, progress: Progress) -> None:
        """Called every second or so and after every chunk."""
        ...

    def notice(self, text: str) -> None:
        """Something a person wants to know: a retry, a lost worker."""
        ...


class Silent:
    """A watcher that shows nothing."""

    def progress(self, progress: Progress) -> None:
        """Nothing."""

    def notice(self, text: str) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Metric:
    """One time series a job. A counter only grows; its sample holds the sum so far."""

    kind: Literal["counter", "gauge"]
    description: str


METRICS: Mapping[str, Metric] = {
    "render_frames": Metric("counter", "Frames rendered in this run"),
    "render_retries": Metric("counter", "Attempts at chunks that failed"),
    "render_frames_left": Metric("gauge", "Frames that are not rendered yet"),
    "render_queue_depth": Metric("gauge", "Chunks that no worker holds yet"),
    "render_workers": Metric("gauge", "Workers that render the job now"),
    "render_seconds_per_image": Metric("gauge", "Seconds of one worker for an image, over the last chunks"),
    "render_idle_share": Metric("gauge", "Share of the farm's workers that have nothing to do"),
}
"""Name -> meaning. In Prometheus with Ray's prefix ``ray_`` and, for counters, ``_total``; labelled by job and dir."""


@dataclass(frozen=True)
class Sample:
    """The values of all metrics of one job at one moment, by name. ``dir`` tells jobs of one name apart."""

    job: str
    values: Mapping[str, float]
    dir: str = ""
