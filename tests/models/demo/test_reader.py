"""The reader that judges the model: right on pictures whose scene is known."""

import numpy as np
import pytest

from benchmarks.demo_model.world.pictures import draw_picture
from benchmarks.demo_model.world.reader import Discriminant, Reader
from benchmarks.demo_model.world.scene import draw_scene


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(num_examples=120)


@pytest.mark.slow
def test_it_reads_what_the_picture_maker_drew(reader: Reader) -> None:
    rng = np.random.default_rng(9)
    scenes = [draw_scene(rng) for _ in range(24)]
    readings = [reader.read(draw_picture(scene)) for scene in scenes]
    wrong = [
        (name, reading, scene)
        for scene, reading in zip(scenes, readings, strict=True)
        for name in ("time", "terrain", "colour", "place")
        if getattr(reading, name) != getattr(scene, name)
    ]
    assert len(wrong) <= 2, wrong


def test_a_discriminant_weighs_features_by_their_spread() -> None:
    rng = np.random.default_rng(3)
    labels = ["a", "b"] * 100
    telling = np.array([0.0, 1.0] * 100) + rng.normal(0, 0.1, 200)
    noise = rng.normal(0, 50, 200)
    judge = Discriminant(("a", "b"), np.stack([telling, noise], 1), labels)
    assert judge.nearest(np.array([0.1, 90.0])) == "a"
    assert judge.nearest(np.array([0.9, -90.0])) == "b"
