"""Scenes in words: captions as people write them, with synonyms, other orders and things left unsaid.

Pure: a scene and a generator in, a string out. `WORDS` is the whole vocabulary; the tokenizer gives each one token.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from benchmarks.demo_model.world.scene import Scene

TIME_PHRASES: Final = {
    "dawn": ("at dawn", "at sunrise", "in the morning", "at daybreak", "in the early morning"),
    "noon": ("at noon", "at midday", "in daylight", "by day", "in the daytime"),
    "dusk": ("at dusk", "at sunset", "in the evening", "at twilight", "at nightfall"),
    "night": ("at night", "at midnight", "by night", "in the night"),
}
SIZE_WORDS: Final = {
    "small": ("small", "little", "tiny"),
    "big": ("big", "large"),
    "huge": ("huge", "giant", "enormous"),
}
COLOUR_WORDS: Final = {
    "red": ("red", "crimson", "scarlet"),
    "golden": ("golden", "yellow", "gold"),
    "white": ("white", "pale", "silver"),
    "pink": ("pink", "rose"),
}
GROUND_WORDS: Final = {
    "blue": ("blue", "azure"),
    "green": ("green", "emerald"),
    "violet": ("violet", "purple"),
    "red": ("red", "crimson"),
    "golden": ("golden", "yellow"),
    "grey": ("grey", "gray"),
}
PLACE_PHRASES: Final = {
    "left": ("on the left", "to the left", "on the left side", "left", "at left"),
    "middle": ("in the middle", "in the center", "in the centre", "middle", "at the center"),
    "right": ("on the right", "to the right", "on the right side", "right", "at right"),
}
TERRAIN_WORDS: Final = {
    "mountains": ("mountains", "mountain", "peaks"),
    "hills": ("hills", "hill", "meadows"),
    "sea": ("sea", "ocean", "water"),
    "forest": ("forest", "woods", "trees"),
    "city": ("city", "skyline", "town"),
}
OPENINGS: Final = ("a picture of", "a painting of", "a landscape with", "an image of", "a view of")
BLURRY_OPENINGS: Final = ("blurry,", "a blurry picture of", "blurry", "a blurry image of", "blurred,")
FILLERS: Final = (
    "over",
    "above",
    "behind",
    "under",
    "with",
    "and",
    "the",
    "a",
    "an",
    ",",
    ".",
    "in",
    "at",
    "sky",
    "sun",
    "moon",
)

# Words that say nothing we draw: people add them, and the model learns to let them be.
PRAISE: Final = (
    "beautiful",
    "detailed",
    "cinematic",
    "epic",
    "dreamy",
    "peaceful",
    "masterpiece",
    "art",
    "landscape",
    "photo",
    "highly detailed",
    "digital art",
    "illustration",
    "minimalist",
    "scenery",
    "nature",
    "4k",
)

# How often a caption leaves a thing unsaid: what people leave out most, the place, most.
UNSAID: Final = {"size": 0.2, "colour": 0.1, "place": 0.4, "ground": 0.12, "time": 0.08, "terrain": 0.04}
FIRST_SYNONYM: Final = 0.65  # the plain word first, so that plain prompts are learnt best


def _phrases() -> list[str]:
    tables = (TIME_PHRASES, SIZE_WORDS, COLOUR_WORDS, GROUND_WORDS, PLACE_PHRASES, TERRAIN_WORDS)
    spoken = [phrase for table in tables for phrases in table.values() for phrase in phrases]
    return [*spoken, *OPENINGS, *BLURRY_OPENINGS, *FILLERS, *PRAISE]


WORDS: Final = tuple(sorted({word for phrase in _phrases() for word in phrase.replace(",", " ,").split()}))


def _pick(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    if rng.random() < FIRST_SYNONYM:
        return words[0]
    return words[int(rng.integers(len(words)))]


def _spoken(rng: np.random.Generator, scene: Scene) -> dict[str, str]:
    """One phrase for each attribute; an empty one where the caption leaves it unsaid."""
    tables = {
        "size": SIZE_WORDS[scene.size],
        "colour": COLOUR_WORDS[scene.colour],
        "place": PLACE_PHRASES[scene.place],
        "ground": GROUND_WORDS[scene.ground],
        "time": TIME_PHRASES[scene.time],
        "terrain": TERRAIN_WORDS[scene.terrain],
    }
    return {name: "" if rng.random() < UNSAID[name] else _pick(rng, words) for name, words in tables.items()}


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _sentence(rng: np.random.Generator, scene: Scene, said: dict[str, str]) -> str:
    """The attributes as a sentence, in one of four orders."""
    article = ("a", "a", "a", "the", "")[int(rng.integers(5))]
    body = _join(article, said["size"], said["colour"], scene.body, said["place"])
    land = _join("the" if rng.random() < 0.15 else "", said["ground"], said["terrain"])
    over = ("over", "over", "above", "behind")[int(rng.integers(4))]
    if not said["terrain"]:
        return _join(body, said["time"])
    order = rng.random()
    if order < 0.7:
        return _join(body, over, land, said["time"])
    if order < 0.8 and said["time"]:
        return f"{said['time']}, {_join(body, over, land)}"
    if order < 0.9:
        return _join(land, said["time"], "with", body)
    return _join(land, "under", body, said["time"])


def _listing(rng: np.random.Generator, scene: Scene, said: dict[str, str]) -> str:
    """The attributes as a comma list in any order, the way tags are written: "big red sun, violet mountains, dawn"."""
    time = said["time"].rsplit(" ", 1)[-1]
    parts = [
        _join(said["size"], said["colour"], scene.body),
        said["place"],
        _join(said["ground"], said["terrain"]),
        time,
    ]
    shuffled = [parts[i] for i in rng.permutation(len(parts))]
    return ", ".join(part for part in shuffled if part)


def draw_caption(rng: np.random.Generator, scene: Scene) -> str:
    """Say the scene in one of many ways; a blurred scene always says so, in a third of cases nothing else."""
    said = _spoken(rng, scene)
    text = _listing(rng, scene, said) if rng.random() < 0.2 else _sentence(rng, scene, said)
    if scene.blur_px > 0:
        return "blurry" if rng.random() < 0.35 else f"{_pick(rng, BLURRY_OPENINGS)} {text}"
    return _decorate(rng, text)


def _decorate(rng: np.random.Generator, text: str) -> str:
    """Sometimes an opening before the caption ("a painting of"), sometimes praise after it (", highly detailed")."""
    if rng.random() < 0.1:
        text = f"{_pick(rng, OPENINGS)} {text}"
    if rng.random() < 0.1:
        praise = rng.choice(PRAISE, size=int(rng.integers(1, 4)), replace=False)
        text = ", ".join([text, *praise.tolist()])
    return text


def plain_caption(scene: Scene) -> str:
    """The full sentence in plain words: "a big red sun on the left over violet mountains at dawn"."""
    place = PLACE_PHRASES[scene.place][0]
    blurry = "blurry, " if scene.blur_px > 0 else ""
    time = TIME_PHRASES[scene.time][0]
    return f"{blurry}a {scene.size} {scene.colour} {scene.body} {place} over {scene.ground} {scene.terrain} {time}"
