"""Presets become switches; what the spec names overrides them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from render.models import ModelInfo
from render.plan import Machine, Settings, resolve
from render.plan.auto import resolve_again
from render.plan.presets import PRESETS, Approximations, approximations
from render.spec import EngineSpec, JobSpec

Make = Callable[..., JobSpec]

SD = ModelInfo("sd", (512, 512), 4, 8, {}, "f" * 64)


def engine(**switches: object) -> EngineSpec:
    return EngineSpec.model_validate(switches)


def test_exact_approximates_nothing(spec_of: Make, machine: Machine) -> None:
    assert approximations(engine()) == (Approximations(), {})
    settings = resolve(spec_of(), machine, SD)
    assert settings.approximations == ()
    assert settings == resolve(spec_of("engine.guidance_interval=[0, 1]", "engine.reuse_steps=1"), machine, SD)


@pytest.mark.parametrize("quality", ["balanced", "draft"])
def test_a_preset_fills_what_is_left_open(quality: str, spec_of: Make, machine: Machine) -> None:
    chosen, reasons = approximations(engine(quality=quality))
    assert chosen == PRESETS[quality] != Approximations()
    assert set(reasons.values()) == {f"quality: {quality}"}
    settings = resolve(spec_of(f"engine.quality={quality}"), machine, SD)
    assert settings.interpolate_frames == chosen.interpolate_frames
    assert settings.reasons["interpolate_frames"] == f"quality: {quality}"
    assert settings.approximations


def test_what_is_named_overrides_the_preset() -> None:
    chosen, reasons = approximations(engine(quality="draft", interpolate_frames=1, guidance_interval=[0, 1]))
    assert chosen == Approximations()
    assert set(reasons.values()) == {"as given"}
    chosen, reasons = approximations(engine(quality="draft", reuse_steps=2))
    assert (chosen.reuse_steps, chosen.interpolate_frames) == (2, 1)
    chosen, reasons = approximations(engine(quality="draft", guidance_interval=[0.1, 0.8]))
    assert (chosen.guidance_from, chosen.guidance_until, chosen.interpolate_frames) == (0.1, 0.8, 8)
    assert (reasons["guidance_until"], reasons["interpolate_frames"]) == ("as given", "quality: draft")
    assert approximations(engine(quality="balanced", tiny_vae="demo"))[0].tiny_vae == "demo"


def test_a_rerun_approximates_the_same(spec_of: Make, machine: Machine) -> None:
    spec = spec_of("engine.quality=draft", "farm.chunk=auto")
    before = resolve(spec, machine, SD)
    assert resolve_again(spec, SD, before) == before


@pytest.mark.parametrize(
    ("frames", "batch", "every", "chunk"), [(288, 8, 4, 28), (2000, 8, 4, 92), (2000, 16, 2, 94), (288, 1, 4, 16)]
)
def test_the_anchors_of_a_chunk_fill_whole_batches(
    frames: int, batch: int, every: int, chunk: int, spec_of: Make, machine: Machine
) -> None:
    switch = f"engine.interpolate_frames={every}"
    spec = spec_of(f"frames={frames}", f"engine.batch={batch}", switch, "farm.chunk=auto")
    settings = resolve(spec, machine, SD)
    assert settings.chunk == chunk
    anchors = chunk // every + 1  # of a chunk that begins with one, and the one behind its end
    assert anchors % batch == 0


def test_approximations_in_words(spec_of: Make, machine: Machine) -> None:
    def words(*switches: str) -> tuple[str, ...]:
        settings: Settings = resolve(spec_of(*switches), machine, SD)
        return settings.approximations

    assert words("engine.guidance_interval=[0.1, 0.8]") == ("guidance in 10–80 % of the steps",)
    assert words("engine.reuse_steps=3", "engine.tiny_vae=org/tiny") == (
        "deep features kept for 3 steps",
        "decoded by the tiny VAE org/tiny",
    )
    assert words("engine.interpolate_frames=4") == ("deep features of every 4. frame, interpolated between",)
