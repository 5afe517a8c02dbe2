"""Metrics reach Ray as what they are: counters grow by differences, gauges are set."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from render.metrics import METRICS, Sample


class Recorder:
    """Stands in for Ray's counters and gauges."""

    told: ClassVar[list[tuple[str, float, str]]] = []

    def __init__(self, name: str, *, description: str, tag_keys: tuple[str, ...]) -> None:
        assert (description, tag_keys) == (METRICS[name].description, ("job",))
        self.name = name

    def inc(self, value: float, tags: dict[str, str]) -> None:
        Recorder.told.append((f"{self.name}+", value, tags["job"]))

    def set(self, value: float, tags: dict[str, str]) -> None:
        Recorder.told.append((self.name, value, tags["job"]))


def test_counters_grow_and_gauges_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    from render import cluster

    monkeypatch.setattr(cluster, "Counter", Recorder)
    monkeypatch.setattr(cluster, "Gauge", Recorder)
    monkeypatch.setattr(Recorder, "told", [])
    farm: Any = cluster.RayFarm()
    for frames in (0, 8, 8, 12, 4):  # a second round of the same job counts from 0 again
        farm.publish([Sample("a", 0, {"render_frames": frames, "render_workers": 2})])
    farm.publish([Sample("b", 1, {"render_frames": 3})])
    assert [entry for entry in Recorder.told if entry[0] == "render_frames+"] == [
        ("render_frames+", 8, "a"),
        ("render_frames+", 4, "a"),
        ("render_frames+", 4, "a"),
        ("render_frames+", 3, "b"),
    ]
    assert [entry for entry in Recorder.told if entry[0] == "render_workers"] == [("render_workers", 2, "a")] * 5
