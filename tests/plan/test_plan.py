"""Plans: chunks without gap, a digest over what changes pixels and nothing else, and ``--frames``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.errors import SpecError
from render.models import ModelInfo
from render.plan import Chunk, Plan, select

Make = Callable[..., Plan]

MODEL = ModelInfo("sd", (128, 128), 4, 8, {"beta_end": 0.012, "trained_betas": None}, "f" * 64, "main")


@given(frames=st.integers(1, 500), chunk=st.integers(1, 100))
def test_chunks_tile_the_film(frames: int, chunk: int, plan_of: Make) -> None:
    chunks = plan_of(f"frames={frames}", f"farm.chunk={chunk}").chunks
    assert [index for one in chunks for index in one.frames] == list(range(frames))
    assert all(len(one.frames) == chunk for one in chunks[:-1])


@pytest.mark.parametrize(
    ("chunk", "name", "words"),
    [
        (Chunk(0, 8), "000000-000008", "frames 0-7"),
        (Chunk(8, 9), "000008-000009", "frame 8"),
        (Chunk(0, 9, 2), "000000-000009x2", "frames 0-8 by 2"),
        (Chunk(999_990, 1_000_000), "999990-1000000", "frames 999990-999999"),
    ],
    ids=["plain", "single", "step", "large"],
)
def test_names(chunk: Chunk, name: str, words: str) -> None:
    assert (chunk.name, str(chunk)) == (name, words)


@pytest.mark.parametrize(
    "assignment",
    [
        "steps=21",
        "seed=1",
        "guidance=3",
        "negative=x",
        "sampler=euler",
        "fps=25",
        "frames=13",
        "loop=true",
        "prompt_walk=slerp",
        "keyframes[0].prompt=b",
        "keyframes[0].ease=in",
        "size=64x64",
        "engine.dtype=bf16",
        "engine.batch=2",
        "engine.threads=7",
        "engine.bad_frame=fail",
        "farm.chunk=5",
        "output.crf=19",
        "output.codec=h265",
        "output.preset=fast",
        "output.video=mov",
    ],
)
def test_what_changes_pixels_changes_the_digest(assignment: str, plan_of: Make) -> None:
    plan, other = plan_of(), plan_of(assignment)
    assert plan.digest != other.digest
    assert plan.differences(other), "and says what it is"


@pytest.mark.parametrize(
    "assignment",
    [
        "name=other",
        "output.dir=elsewhere",
        "output.frames=png",
        "output.video=gif",
        "output.video=null",
        "output.crf=18",
        "farm.workers=4",
        "farm.attempts=1",
        "farm.deadline=1m",
        "model=testcard:50ms",
        "engine.batch=8",
    ],
)
def test_what_changes_no_pixel_leaves_the_digest(assignment: str, plan_of: Make) -> None:
    assert plan_of().digest == plan_of(assignment).digest


@pytest.mark.parametrize("change", [{"fingerprint": "e" * 64}, {"scheduler": {"beta_end": 0.02}}], ids=str)
def test_the_model_is_in_the_digest(change: dict[str, object], plan_of: Make) -> None:
    assert plan_of(model=MODEL).digest != plan_of(model=replace(MODEL, **change)).digest  # type: ignore[arg-type]
    assert plan_of(model=MODEL).digest == plan_of(model=replace(MODEL, revision=None)).digest


@pytest.mark.parametrize(
    "assignment",
    [
        "engine.threads=7",
        "engine.dtype=bf16",
        "engine.backend=eager",
        "engine.attention=sliced",
        "engine.memory=low",
        "engine.reuse_steps=2",
        "engine.interpolate_frames=2",
        "engine.tiny_vae=org/tiny",
    ],
)
def test_plans_that_load_something_else(assignment: str, plan_of: Make) -> None:
    usual = "engine.threads=2", "engine.backend=compile"
    assert plan_of(*usual, model=MODEL).model_key != plan_of(*usual, assignment, model=MODEL).model_key
    assert plan_of(model=MODEL).model_key != plan_of(model=replace(MODEL, fingerprint="e" * 64)).model_key


def test_plans_that_load_the_same(plan_of: Make) -> None:
    others = "steps=9", "guidance=1", "size=64x64", "engine.batch=3", "sampler=euler", "fps=30", "farm.chunk=5"
    assert plan_of(model=MODEL).model_key == plan_of(*others, model=MODEL).model_key
    plans = [plan_of(model=MODEL), plan_of("size=64x64", model=MODEL)]
    tensorrt = [replace(plan, settings=replace(plan.settings, backend="tensorrt")) for plan in plans]
    assert tensorrt[0].model_key != tensorrt[1].model_key, "its engines have other kernels for other shapes"


@pytest.mark.parametrize("assignment", ["steps=9", "output.video=null", "fps=23.976", "output.frames=png", "size=null"])
def test_json_gives_an_equal_plan_back(assignment: str, plan_of: Make) -> None:
    plan = plan_of(assignment, model=MODEL)
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert (again.digest, again.settings.reasons) == (plan.digest, plan.settings.reasons)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"steps": 20', '"steps": 21', "digest does not fit"),
        ('"plan_version": 2', '"plan_version": 3', "plan version 3"),
    ],
)
def test_a_plan_that_was_edited_by_hand_is_refused(old: str, new: str, words: str, plan_of: Make) -> None:
    with pytest.raises(ValueError, match=words):
        Plan.from_json(plan_of().to_json().replace(old, new))


@pytest.mark.parametrize(
    ("assignment", "brief"),
    [
        ("steps=21", ["steps: 20 -> 21"]),
        ("keyframes[0].prompt=b", ["keyframes[0].prompt: a -> b"]),
        ("output.crf=20", ["video.crf: 18 -> 20"]),
        ("keyframes=[{at: 0, prompt: a}, {at: 3}]", ["keyframes: 1 of them -> 2 of them"]),
        ("seed=1", ["seed: 0 -> 1"]),
    ],
)
def test_differences_are_brief(assignment: str, brief: list[str], plan_of: Make) -> None:
    assert plan_of().differences(plan_of(assignment)) == brief


def test_another_model_is_named(plan_of: Make) -> None:
    plan = plan_of()
    other = plan.rerun(plan_of("model=org/name").spec, MODEL)
    assert plan.differences(other)[0] == "model: testcard -> org/name"
    assert other.digest != plan.digest


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("0", [0]),
        ("0-3", [0, 1, 2, 3]),
        ("2-9x3", [2, 5, 8]),
        ("0,2,4-5", [0, 2, 4, 5]),
        (" 0-1 , 11 ", [0, 1, 11]),
        ("0-11", list(range(12))),
    ],
)
def test_select(text: str, frames: list[int], plan_of: Make) -> None:
    chunks = select(plan_of(), text)
    assert [index for chunk in chunks for index in chunk.frames] == frames
    assert all(len(chunk.frames) <= 4 for chunk in chunks)


@given(data=st.data())
def test_select_names_exactly_the_frames(data: st.DataObject, plan_of: Make) -> None:
    plan = plan_of("frames=300", f"farm.chunk={data.draw(st.integers(1, 20))}")
    parts, wanted, free = [], [], 0
    while free < 300 and len(parts) < 5:
        start = data.draw(st.integers(free, 299))
        last = data.draw(st.integers(start, 299))
        step = data.draw(st.integers(1, 10))
        parts.append(f"{start}-{last}x{step}")
        wanted += range(start, last + 1, step)
        free = last + 1
    chunks = select(plan, ",".join(parts))
    assert [index for chunk in chunks for index in chunk.frames] == wanted
    assert all(1 <= len(chunk.frames) <= plan.settings.chunk for chunk in chunks)
    assert len({chunk.name for chunk in chunks}) == len(chunks)


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "'' is not a range"),
        ("0-3,x", 5, "'x' is not a range"),
        ("0-", 1, "'0-' is not a range"),
        ("-3", 1, "'-3' is not a range"),
        ("5-2", 1, "5-2 descends; write 2-5"),
        ("0-3,3-5", 5, "frame 3 is at or before frame 3"),
        ("6,2", 3, "frame 2 is at or before frame 6"),
        ("0-12", 1, "frame 12 is beyond the film, which has frames 0-11"),
        ("0-9x0", 1, "the step must be at least 1"),
        ("0x2", 1, "'0x2' is not a range"),
    ],
)
def test_select_refuses_with_the_column(text: str, column: int, words: str, plan_of: Make) -> None:
    with pytest.raises(SpecError) as caught:
        select(plan_of(), text)
    assert str(caught.value).startswith(f"--frames {text}: column {column}: ")
    assert words in str(caught.value)


def test_times_and_frame_numbers_are_the_same_plan(plan_of: Make) -> None:
    one = plan_of("frames=48", "keyframes=[{at: 0, prompt: a}, {at: 24, prompt: b}]")
    other = plan_of("duration=2s", "frames=null", "keyframes=[{at: 0, prompt: a}, {at: 1s, prompt: b}]")
    assert one.digest == other.digest
