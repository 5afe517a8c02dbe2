"""What a running job tells a monitor: names, units and meaning as data; the farm carries them to Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["METRICS", "Metric", "Sample"]


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
