"""Distances between pictures: identity, known values, order."""

from __future__ import annotations

import math

import numpy as np
import pytest

from render.bench.image_metrics import compare, psnr, ssim, structure_distance
from render.video.pixels import Pixels


@pytest.fixture
def picture() -> Pixels:
    """64x48 with edges and a gradient."""
    y, x = np.mgrid[:48, :64]
    red = np.where((x - 30) ** 2 + (y - 20) ** 2 < 150, 220, 40)
    return np.stack([red, 2 * x + y, 255 - 3 * y], axis=-1).astype(np.uint8)


def noisy(picture: Pixels, sigma: float) -> Pixels:
    noise = np.random.default_rng(0).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def test_identity(picture: Pixels) -> None:
    assert psnr(picture, picture) == math.inf
    assert ssim(picture, picture) == pytest.approx(1.0)
    assert structure_distance(picture, picture) == 0.0


def test_psnr_of_a_known_error(picture: Pixels) -> None:
    dark = np.zeros_like(picture)
    assert psnr(dark, dark + 16) == pytest.approx(20 * math.log10(255 / 16))


def test_ssim_of_flat_pictures_is_its_luminance_term() -> None:
    a, b = np.full((16, 16, 3), 100, np.uint8), np.full((16, 16, 3), 150, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert ssim(a, b) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1))


@pytest.mark.parametrize("distance", [psnr, ssim, structure_distance])
def test_more_noise_is_further_away_and_order_does_not_matter(distance: object, picture: Pixels) -> None:
    near, far = noisy(picture, 4), noisy(picture, 40)
    better = distance(picture, near) < distance(picture, far)
    assert better == (distance is structure_distance)
    assert distance(picture, near) == pytest.approx(distance(near, picture))


def test_unrelated_structure_is_at_about_one(picture: Pixels) -> None:
    one, other = (np.random.default_rng(seed).integers(0, 255, (64, 64, 3), np.uint8) for seed in (1, 2))
    assert structure_distance(one, other) == pytest.approx(1.0, abs=0.05)
    assert structure_distance(picture, picture[:, ::-1]) > 0.5


def test_structure_is_not_brightness(picture: Pixels) -> None:
    half = (picture // 2).astype(np.uint8)
    assert structure_distance(half, half + 60) < 1e-9
    assert psnr(half, half + 60) < 13


def test_compare_means_over_frames(picture: Pixels) -> None:
    told = compare([picture, noisy(picture, 10)], [picture, picture])
    assert told["worst_psnr_db"] == pytest.approx(psnr(picture, noisy(picture, 10)))
    assert told["psnr_db"] == pytest.approx(told["worst_psnr_db"] + 10 * math.log10(2))
    assert compare([picture], [picture])["psnr_db"] is None
