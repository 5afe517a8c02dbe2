"""The state of a frame: keyframes hit once, half-open walks, loops without a seam."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.plan import Blend
from render.plan.modes import dream
from render.spec import Document, DreamSpec, validate

Make = Callable[..., DreamSpec]

EASES = ["linear", "in", "out", "in-out", "hold"]


@st.composite
def walks(draw: st.DrawFn) -> DreamSpec:
    """Jobs of up to eight keyframes anywhere, each pinning something or nothing, in a film with or without a loop."""
    frames = sorted(draw(st.sets(st.integers(1, 60), max_size=7)) | {0})
    total = frames[-1] + draw(st.integers(1, 20))
    keyframes = []
    for number, (frame, end) in enumerate(zip(frames, [*frames[1:], total], strict=True)):
        keyframe = {"at": frame, "ease": draw(st.sampled_from(EASES)), "hold": draw(st.integers(0, end - frame))}
        if number == 0 or draw(st.booleans()):
            keyframe["prompt"] = f"prompt {number}"
        values = {"seed": 100 + number, "guidance": 1.0 + number, "negative": f"negative {number}"}
        keyframe |= {name: value for name, value in values.items() if draw(st.booleans())}
        keyframes.append(keyframe)
    data = {"version": 1, "name": "walk", "mode": "dream", "model": "testcard", "frames": total, "keyframes": keyframes}
    spec = validate(Document("walk", data | {"loop": draw(st.booleans())}))
    assert isinstance(spec, DreamSpec)
    return spec


@given(walks())
def test_every_keyframe_is_hit_exactly_at_its_frame(spec: DreamSpec) -> None:
    timeline = dream.timeline(spec)
    for keyframe in spec.keyframes:
        state = timeline.state(keyframe.at.at(spec.fps))
        for name in ("prompt", "negative", "seed"):
            if (value := getattr(keyframe, name)) is not None:
                assert getattr(state, name) == Blend(value, value, 0.0)
        assert keyframe.guidance in (None, state.guidance)


@given(walks())
def test_weights_and_the_form_of_rest(spec: DreamSpec) -> None:
    timeline = dream.timeline(spec)
    for index in range(timeline.num_frames):
        state = timeline.state(index)
        assert state.index == index
        for blend in (state.prompt, state.negative, state.seed):
            assert 0.0 <= blend.weight < 1.0
            assert (blend.weight == 0.0) == (blend.start == blend.end), "a value at rest has one form only"


@given(walks())
def test_walks_go_forward(spec: DreamSpec) -> None:
    """Between two keyframes the weight never falls, and no two frames of an eased walk are the same."""
    timeline = dream.timeline(spec)
    states = [timeline.state(index).seed for index in range(timeline.num_frames)]
    for before, after in pairwise(states):
        if (before.start, before.end) == (after.start, after.end) and before.weight:
            assert after.weight > before.weight


@given(walks())
def test_all_texts_are_announced(spec: DreamSpec) -> None:
    timeline = dream.timeline(spec)
    used = set()
    for index in range(timeline.num_frames):
        state = timeline.state(index)
        used |= {state.prompt.start, state.prompt.end, state.negative.start, state.negative.end}
    texts = timeline.texts()
    assert used <= set(texts)
    assert len(set(texts)) == len(texts)


def test_linear_walks_are_half_open(spec_of: Make) -> None:
    timeline = dream.timeline(
        spec_of("frames=9", "keyframes=[{at: 0, prompt: a, seed: 1}, {at: 4, prompt: b, seed: 2}]")
    )
    weights = [timeline.state(index).seed.weight for index in range(9)]
    assert weights == [0.0, 0.25, 0.5, 0.75, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert timeline.state(8).prompt == Blend("b", "b", 0.0)


def test_a_loop_walks_back_to_where_it_began(spec_of: Make) -> None:
    keyframes = "keyframes=[{at: 0, prompt: a, seed: 1}, {at: 4, prompt: b, seed: 2}]"
    timeline = dream.timeline(spec_of("frames=8", "loop=true", keyframes))
    assert [timeline.state(index).seed for index in (4, 5, 6, 7)] == [
        Blend(2, 2, 0.0),
        Blend(2, 1, 0.25),
        Blend(2, 1, 0.5),
        Blend(2, 1, 0.75),
    ]


@pytest.mark.parametrize("total", [5, 24, 97])
def test_a_loop_has_no_seam(total: int, spec_of: Make) -> None:
    """From the last frame to the first is one step of the walk back, no more and no less."""
    spec = spec_of(f"frames={total}", "loop=true", "keyframes=[{at: 0, prompt: a, seed: 1}, {at: 2, seed: 2}]")
    last = dream.timeline(spec).state(total - 1).seed
    assert (last.start, last.end) == (2, 1)
    assert 1.0 - last.weight == pytest.approx(1 / (total - 2))


@pytest.mark.parametrize(
    ("ease", "middle", "quarter"),
    [("linear", 0.5, 0.25), ("in", 0.25, 0.0625), ("out", 0.75, 0.4375), ("in-out", 0.5, 0.15625), ("hold", 0.0, 0.0)],
)
def test_eases(ease: str, middle: float, quarter: float, spec_of: Make) -> None:
    keyframes = f"keyframes=[{{at: 0, prompt: a, seed: 1, ease: {ease}}}, {{at: 8, seed: 2}}]"
    timeline = dream.timeline(spec_of("frames=9", keyframes))
    assert [timeline.state(index).seed.weight for index in (4, 2)] == [middle, quarter]


def test_a_hold_rests_and_the_walk_still_arrives_in_time(spec_of: Make) -> None:
    keyframes = "keyframes=[{at: 0, prompt: a, seed: 1, hold: 4}, {at: 8, seed: 2}]"
    timeline = dream.timeline(spec_of("frames=9", keyframes))
    weights = [timeline.state(index).seed.weight for index in range(9)]
    assert weights == [0.0] * 5 + [0.25, 0.5, 0.75, 0.0]


def test_what_a_keyframe_leaves_out_walks_on(spec_of: Make) -> None:
    keyframes = "keyframes=[{at: 0, prompt: a, seed: 1}, {at: 4, prompt: b}, {at: 8, prompt: c, seed: 2}]"
    timeline = dream.timeline(spec_of("frames=9", keyframes))
    assert timeline.state(4).seed == Blend(1, 2, 0.5)
    assert timeline.state(4).prompt == Blend("b", "b", 0.0)


def test_the_jobs_own_values_are_pinned_first(spec_of: Make) -> None:
    spec = spec_of("seed=5", "guidance=3", "negative=n", "keyframes=[{at: 0, prompt: a}, {at: 4, guidance: 5}]")
    state = dream.timeline(spec).state(2)
    assert (state.seed, state.negative, state.guidance) == (Blend(5, 5, 0.0), Blend("n", "n", 0.0), 4.0)


@pytest.mark.parametrize(("last", "guided"), [(1, False), (2, True)])
def test_guidance_of_one_everywhere_needs_no_unconditional_half(last: int, guided: bool, spec_of: Make) -> None:
    keyframes = f"keyframes=[{{at: 0, prompt: a}}, {{at: 4, guidance: {last}}}]"
    assert dream.timeline(spec_of("guidance=1", keyframes)).guided == guided


def test_long_walks_never_reach_weight_one(spec_of: Make) -> None:
    keyframes = "keyframes=[{at: 0, prompt: a, seed: 1, ease: out}, {at: 999999, seed: 2}]"
    weight = dream.timeline(spec_of("frames=1000000", keyframes)).state(999_998).seed.weight
    assert float(1 - Fraction(1, 10**11)) < weight < 1.0


@pytest.mark.parametrize(
    ("keyframes", "cuts"),
    [
        ("[{at: 0, prompt: a}, {at: 8, prompt: b}]", ()),
        ("[{at: 0, prompt: a, ease: hold}, {at: 8, prompt: b}]", (8,)),
        ("[{at: 0, prompt: a, ease: hold}, {at: 4, seed: 5}, {at: 8, prompt: b}]", (4, 8)),
        ("[{at: 0, prompt: a, hold: 8}, {at: 8, prompt: b}]", (8,)),
        ("[{at: 0, prompt: a, ease: hold}, {at: 8, prompt: a}]", ()),
        ("[{at: 0, prompt: a}, {at: 1, prompt: b}]", (1,)),
    ],
)
def test_cuts_are_frames_that_do_not_continue_the_one_before(
    keyframes: str, cuts: tuple[int, ...], spec_of: Make
) -> None:
    assert dream.timeline(spec_of(f"keyframes={keyframes}", "frames=12")).cuts() == cuts


def test_a_loop_that_holds_cuts_at_no_frame_of_the_film(spec_of: Make) -> None:
    keyframes = "keyframes=[{at: 0, prompt: a}, {at: 6, prompt: b, ease: hold}]"
    assert dream.timeline(spec_of(keyframes, "frames=12", "loop=true")).cuts() == ()
