"""Noise is that of diffusers, and stays noise all the way from one keyframe to the next."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from render.engine.noise import lerp, seeded_noise, seeded_step_noises, slerp, slerp_text

SHAPE = (4, 16, 16)

seeds = st.integers(0, 2**63 - 1)
weights = st.floats(0, 1)
examples = settings(max_examples=50, deadline=None)


@pytest.mark.parametrize("shape", [(4, 64, 64), (4, 3, 3), (1, 1, 1)], ids=["large", "odd", "one"])
def test_noise_is_what_diffusers_draws(shape: tuple[int, int, int]) -> None:
    from diffusers.utils.torch_utils import randn_tensor

    generator = torch.Generator("cpu").manual_seed(1234)
    draws = [randn_tensor((1, *shape), generator=generator, dtype=torch.float32)[0] for _ in range(4)]

    assert torch.equal(seeded_noise(1234, shape), draws[0])
    assert torch.equal(seeded_step_noises(1234, shape, 3), torch.stack(draws[1:]))


def test_no_step_noises_is_an_empty_stack() -> None:
    assert seeded_step_noises(1, SHAPE, 0).shape == (0, *SHAPE)


def test_noise_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    seeded_step_noises(3, SHAPE, 2)
    assert torch.equal(torch.random.get_rng_state(), before)


@examples
@given(seed=seeds, weight=weights)
def test_slerp_between_equal_noises_is_that_noise(seed: int, weight: float) -> None:
    noise = seeded_noise(seed, SHAPE)
    assert torch.equal(slerp(noise, noise.clone(), weight), noise)


@examples
@given(a=seeds, b=seeds)
@pytest.mark.parametrize("way", [slerp, slerp_text, lerp])
def test_ends_are_exact(way: Callable[[Tensor, Tensor, float], Tensor], a: int, b: int) -> None:
    noise_a, noise_b = seeded_noise(a, SHAPE), seeded_noise(b, SHAPE)
    assert torch.equal(way(noise_a, noise_b, 0.0), noise_a)
    assert torch.equal(way(noise_a, noise_b, 1.0), noise_b)


@examples
@given(a=seeds, b=seeds, weight=weights)
def test_noise_between_seeds_is_as_long_as_a_normal_draw(a: int, b: int, weight: float) -> None:
    noise_a, noise_b = seeded_noise(a, SHAPE), seeded_noise(b, SHAPE)
    norms = [float(noise_a.norm()), float(noise_b.norm())]
    between = float(slerp(noise_a, noise_b, weight).norm())
    assert min(norms) * (1 - 1e-6) <= between <= max(norms) * (1 + 1e-6)
    assert between / math.sqrt(noise_a.numel()) == pytest.approx(1, abs=0.15)  # six sigma for 1,024 values


@examples
@given(a=seeds, b=seeds, weight=weights)
def test_slerp_there_is_slerp_back(a: int, b: int, weight: float) -> None:
    noise_a, noise_b = seeded_noise(a, SHAPE), seeded_noise(b, SHAPE)
    torch.testing.assert_close(slerp(noise_a, noise_b, weight), slerp(noise_b, noise_a, 1 - weight))


def test_midway_is_normal_where_lerp_is_dull() -> None:
    noise_a, noise_b = seeded_noise(1, (4, 64, 64)), seeded_noise(2, (4, 64, 64))
    midway = slerp(noise_a, noise_b, 0.5)
    assert float(midway.std()) == pytest.approx(1.0, abs=0.02)
    assert float(lerp(noise_a, noise_b, 0.5).std()) == pytest.approx(0.71, abs=0.02)
    assert float((midway**4).mean()) == pytest.approx(3.0, abs=0.15)  # the kurtosis of a normal distribution


def test_slerp_turns_at_an_even_pace() -> None:
    a, b = seeded_noise(1, SHAPE), seeded_noise(2, SHAPE)
    path = [slerp(a, b, i / 10).double() for i in range(11)]
    angles = [float(torch.acos((p * q).sum() / (p.norm() * q.norm()))) for p, q in itertools.pairwise(path)]
    assert angles == pytest.approx([sum(angles) / 10] * 10, rel=1e-4)


def test_slerp_of_large_fp16_latents_does_not_overflow() -> None:
    noise = seeded_noise(5, (4, 160, 160)).half()
    assert torch.equal(slerp(noise, noise, 0.5), noise)
    between = slerp(noise, seeded_noise(6, (4, 160, 160)).half(), 0.5)
    assert between.dtype == torch.float16
    assert float(between.float().std()) == pytest.approx(1.0, abs=0.02)


def test_every_step_noise_walks_on_its_own() -> None:
    a, b = seeded_step_noises(1, SHAPE, 3), seeded_step_noises(2, SHAPE, 3)
    b[1] = a[1]
    walked = slerp(a, b, 0.3)
    assert torch.equal(walked[1], a[1])
    assert torch.equal(walked, torch.stack([slerp(a[k], b[k], 0.3) for k in range(3)]))


def apart(angle: float) -> tuple[Tensor, Tensor]:
    """Two noises of the same length, `angle` radians apart, in float64."""
    a, other = seeded_noise(1, SHAPE).double(), seeded_noise(2, SHAPE).double()
    a = a / a.norm()
    other = other - (other * a).sum() * a
    return 30 * a, 30 * (math.cos(angle) * a + math.sin(angle) * other / other.norm())


@pytest.mark.parametrize("angle", [1e-12, 1e-9, 9e-7, 1.1e-6, 1e-3, 1.0, 3.0, 3.14])
def test_slerp_at_every_angle(angle: float) -> None:
    a, b = apart(angle)
    _, expected = apart(0.25 * angle)
    torch.testing.assert_close(slerp(a, b, 0.25), expected, rtol=0, atol=1e-9)


def test_opposite_noises_fall_back_to_lerp() -> None:
    a = seeded_noise(1, SHAPE)
    torch.testing.assert_close(slerp(a, -a, 0.25), 0.5 * a)


def test_zero_is_no_nan() -> None:
    zero, noise = torch.zeros(SHAPE), seeded_noise(1, SHAPE)
    for pair in [(zero, zero), (zero, noise), (noise, zero)]:
        assert slerp(*pair, 0.5).isfinite().all()


def test_text_turns_token_by_token() -> None:
    a_LD, b_LD = seeded_noise(1, (1, 77, 32))[0], 3 * seeded_noise(2, (1, 77, 32))[0]
    b_LD[0] = a_LD[0]  # the start token is the same in every prompt

    between_LD = slerp_text(a_LD, b_LD, 0.25)

    assert torch.equal(between_LD[0], a_LD[0])
    torch.testing.assert_close(between_LD.norm(dim=-1), 0.75 * a_LD.norm(dim=-1) + 0.25 * b_LD.norm(dim=-1))
    torch.testing.assert_close(slerp_text(a_LD[5], b_LD[5], 0.25), between_LD[5])


@examples
@given(seed=seeds, weight=weights)
def test_lerp_between_equal_texts_is_that_text(seed: int, weight: float) -> None:
    text = seeded_noise(seed, (1, 7, 5))[0].half()
    assert torch.equal(lerp(text, text.clone(), weight), text)
