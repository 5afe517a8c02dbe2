"""How far a job is, and who wants to know."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["METRICS", "Metric", "Progress", "Sample", "Silent", "Watcher"]


@dataclass(frozen=True)
class Progress:
    """Where a job stands. ``frames_done`` are of all runs so far; where ``frames_total`` is 0, neither is known yet.

    ``workers`` render the job now, at ``frames_per_s`` together by the chunks they have done; ``eta_s`` are the seconds
    to go, None before the first chunk. ``doing``: what goes on, in a few words, where that is more than rendering.
    ``ended``: it is over, well or not.
    """

    frames_done: int
    frames_total: int
    workers: int = 0
    retries: int = 0
    frames_per_s: float = 0.0
    eta_s: float | None = None
    doing: str = ""
    ended: bool = False


class Watcher(Protocol):
    """Hears what happens to a job, from any thread. The command line shows it; tests collect it."""

    def progress(self, progress: Progress) -> None:
        """Called every second or so, after every chunk, and when something else goes on."""
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
