"""Metrics reach Ray as what they are: counters grow by differences, gauges are set."""

from __future__ import annotations

from typing import ClassVar

import pytest

from render.farm.progress import METRICS, Sample
from render.farm.ray.farm import RayFarm


class Recorder:
    """Stands in for Ray's counters and gauges."""

    told: ClassVar[list[tuple[str, float, str]]] = []

    def __init__(self, name: str, *, description: str, tag_keys: tuple[str, ...]) -> None:
        assert (description, tag_keys) == (METRICS[name].description, ("job", "dir"))
        self.name = name

    def inc(self, value: float, tags: dict[str, str]) -> None:
        Recorder.told.append((f"{self.name}+", value, tags["job"] + tags["dir"]))

    def set(self, value: float, tags: dict[str, str]) -> None:
        Recorder.told.append((self.name, value, tags["job"] + tags["dir"]))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float, str]]:
    monkeypatch.setattr("render.farm.ray.metrics.Counter", Recorder)
    monkeypatch.setattr("render.farm.ray.metrics.Gauge", Recorder)
    monkeypatch.setattr(Recorder, "told", [])
    return Recorder.told


def test_counters_grow_and_gauges_are_set(told: list[tuple[str, float, str]]) -> None:
    farm = RayFarm()
    for frames in (0, 8, 8, 12, 4):  # a second round of the same job counts from 0 again
        farm.publish([Sample("a", {"render_frames": frames, "render_workers": 2})])
    assert [entry for entry in told if entry[0] == "render_frames+"] == [
        ("render_frames+", 8, "a"),
        ("render_frames+", 4, "a"),
        ("render_frames+", 4, "a"),
    ]
    assert [entry for entry in told if entry[0] == "render_workers"] == [("render_workers", 2, "a")] * 5


def test_jobs_of_one_name_are_told_apart(told: list[tuple[str, float, str]]) -> None:
    farm = RayFarm()
    farm.publish([Sample("a", {"render_frames": 30}, "/x"), Sample("a", {"render_frames": 2}, "/y")])
    farm.publish([Sample("a", {"render_frames": 40}, "/x"), Sample("a", {"render_frames": 5}, "/y")])
    assert told == [
        ("render_frames+", 30, "a/x"),
        ("render_frames+", 2, "a/y"),
        ("render_frames+", 10, "a/x"),
        ("render_frames+", 3, "a/y"),
    ]


@pytest.mark.parametrize("how", ["while others go on", "with the farm"])
def test_nothing_is_told_of_a_job_that_has_ended(how: str, told: list[tuple[str, float, str]]) -> None:
    farm = RayFarm()
    farm.publish([Sample("a", {"render_frames": 8, "render_frames_left": 4}), Sample("b", {"render_frames_left": 9})])
    del told[:]
    if how == "with the farm":
        farm.close()
        assert sorted(told) == [("render_frames_left", 0.0, "a"), ("render_frames_left", 0.0, "b")]
    else:
        farm.publish([Sample("b", {"render_frames_left": 8})])
        assert told == [("render_frames_left", 0.0, "a"), ("render_frames_left", 8, "b")]


@pytest.mark.parametrize(
    ("place", "tag"),
    [
        ("out/evening 100", "out/evening 100"),
        ("out/Träume ☀", "out/Tr%C3%A4ume %E2%98%80"),
        ("/home/jürgen/夢", "/home/j%C3%BCrgen/%E5%A4%A2"),
        ("100%", "100%25"),
        ("Tr%C3%A4ume", "Tr%25C3%25A4ume"),
        ("a\nb", "a%0Ab"),
        ("caf\udce9", "caf%ED%B3%A9"),
        (r"C:\films", r"C:\films"),
    ],
)
def test_tags_are_ascii_and_no_two_places_share_one(place: str, tag: str, told: list[tuple[str, float, str]]) -> None:
    """Ray's own `set` and `inc` raise UnicodeEncodeError over anything else."""
    RayFarm().publish([Sample(place, {"render_frames": 8, "render_workers": 2}, place)])
    assert {tags for _, _, tags in told} == {tag + tag}


def test_a_farm_is_closed_whatever_its_metrics_answer(
    monkeypatch: pytest.MonkeyPatch, told: list[tuple[str, float, str]]
) -> None:
    farm = RayFarm()
    farm.publish([Sample("a", {"render_workers": 2})])

    def refuse(*_arguments: object, **_options: object) -> None:
        raise ValueError("no such metric")

    monkeypatch.setattr(Recorder, "set", refuse)
    farm.close()
