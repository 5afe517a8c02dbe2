"""The picture maker: the same scene gives the same picture, and words and picture agree."""

import numpy as np
import pytest

from benchmarks.demo_model.world.captions import WORDS, draw_caption, plain_caption
from benchmarks.demo_model.world.pictures import draw_picture
from benchmarks.demo_model.world.reader import read_body
from benchmarks.demo_model.world.scene import (
    COLOURS,
    GROUNDS,
    PLACES,
    SIZES,
    TERRAINS,
    TIMES,
    Scene,
    draw_scene,
    is_held_out,
)

SCENE = Scene("dusk", "big", "golden", "left", "sea", "violet", detail=5)


@pytest.mark.parametrize("terrain", TERRAINS)
def test_a_scene_is_a_picture_and_always_the_same(terrain: str) -> None:
    scene = Scene("night", "huge", "white", "right", terrain, "blue", detail=11)
    picture = draw_picture(scene)
    assert picture.shape == (128, 128, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, draw_picture(scene))
    assert picture.std() > 10


def test_another_detail_is_another_picture_of_the_same_scene() -> None:
    other = Scene(**{**vars(SCENE), "detail": 6})
    assert not np.array_equal(draw_picture(SCENE), draw_picture(other))
    assert plain_caption(SCENE) == plain_caption(other) == "a big golden sun on the left over violet sea at dusk"


def test_a_blurred_scene_is_smoother_and_says_so() -> None:
    blurred = Scene(**{**vars(SCENE), "blur_px": 3.0})
    slopes = [np.abs(np.diff(draw_picture(scene).astype(int), axis=1)).mean() for scene in (SCENE, blurred)]
    assert slopes[1] < 0.85 * slopes[0]
    rng = np.random.default_rng(0)
    assert all(draw_caption(rng, blurred).startswith(("blur", "a blur")) for _ in range(50))


def test_captions_vary_but_stay_within_the_vocabulary() -> None:
    rng = np.random.default_rng(1)
    captions = {draw_caption(rng, SCENE) for _ in range(300)}
    assert len(captions) > 150
    spoken = {word for caption in captions for word in caption.replace(",", " ,").split()}
    assert spoken <= set(WORDS)
    assert {"dusk", "sunset", "golden", "yellow", "left", "sea", "ocean", "sun"} <= spoken
    assert not {"moon", "dawn", "right", "forest"} & spoken


def test_held_out_combinations_are_fixed_few_and_never_drawn_for_training() -> None:
    every = [Scene(t, "big", c, "left", land, g) for t in TIMES for c in COLOURS for land in TERRAINS for g in GROUNDS]
    share = np.mean([is_held_out(scene) for scene in every])
    assert 0.07 < share < 0.14
    rng = np.random.default_rng(2)
    assert not any(is_held_out(draw_scene(rng)) for _ in range(200))
    assert is_held_out(draw_scene(rng, held_out=True))


@pytest.mark.parametrize("colour", [COLOURS[0], *(pytest.param(each, marks=pytest.mark.slow) for each in COLOURS[1:])])
@pytest.mark.parametrize("place", PLACES)
def test_the_reader_finds_the_body(colour: str, place: str) -> None:
    for k, time in enumerate(TIMES):
        scene = Scene(time, SIZES[k % 3], colour, place, TERRAINS[k], GROUNDS[k], detail=k)
        assert read_body(draw_picture(scene)) == (colour, place), scene
