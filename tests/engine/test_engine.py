"""The engine against diffusers' own pipelines, and its promise that a frame depends on plan and index only."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from render.engine.engine import Engine
from render.engine.engine import open_engine as open_warm
from render.engine.sampler.schedulers import make_scheduler
from render.engine.text import Conditioning
from render.errors import EngineError, ModelError
from render.models.demo import WEIGHTS
from render.plan import Stopwatch
from render.spec import SAMPLERS
from tests.engine.conftest import decoded, latents_of

Open = Callable[..., Engine]

# Deterministic, ancestral, multistep, single-step, second-order: one of each kind and those people use most.
COMPARED = [
    "ddim",
    "heun",
    "euler-a",
    "dpm++2m",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("pndm", "euler", "euler-karras", "dpm++2m-sde", "unipc", "deis", "lcm")
    ),
]


def psnr(a: Tensor, b: Tensor) -> float:
    """Decibels between pictures in [0, 1]."""
    return -10 * math.log10(float((a.double() - b.double()).square().mean()) + 1e-20)


def by_engine(engine: Engine, frames: Sequence[int]) -> Tensor:
    """Pictures in [0, 1], not rounded."""
    with torch.no_grad():
        return (decoded(engine, latents_of(engine, frames)) / 2 + 0.5).clamp(0, 1)


@lru_cache
def loaded_pipeline(folder: Path) -> Any:
    """diffusers' own pipeline, float32."""
    import diffusers

    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, safety_checker=None, local_files_only=True)
    pipeline.to(torch.float32)  # transformers 5 keeps the text encoder in the dtype of its file
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def by_pipeline(engine: Engine, folder: Path, seed: int, *, prompt: str, guidance: float) -> Tensor:
    """The picture that diffusers makes of the same seed and prompt."""
    plan, pipeline = engine._plan, loaded_pipeline(folder)
    pipeline.scheduler = make_scheduler(SAMPLERS[plan.spec.sampler], plan.model.scheduler)
    pictures = pipeline(
        prompt,
        negative_prompt=plan.spec.negative or None,
        num_inference_steps=plan.spec.steps,
        guidance_scale=guidance,
        width=plan.settings.width,
        height=plan.settings.height,
        generator=torch.Generator("cpu").manual_seed(seed),
        output_type="pt",
    ).images
    assert isinstance(pictures, Tensor)
    return pictures


@pytest.mark.parametrize(
    "guidance", [pytest.param(1.0, id="unguided", marks=pytest.mark.slow), pytest.param(5.0, id="guided")]
)
@pytest.mark.parametrize("sampler", COMPARED)
def test_pictures_agree_with_the_pipeline(tiny_sd: Path, open_engine: Open, sampler: str, guidance: float) -> None:
    engine = open_engine(tiny_sd, f"sampler={sampler}", f"guidance={guidance}", "steps=6", "engine.batch=1")
    expected = by_pipeline(engine, tiny_sd, 7, prompt="red hills", guidance=guidance)
    assert psnr(by_engine(engine, [0]), expected) > 60


@pytest.mark.slow
def test_the_demo_model_agrees_with_the_pipeline(open_engine: Open) -> None:
    engine = open_engine("demo", "steps=20", "engine.batch=1")
    assert psnr(by_engine(engine, [0]), by_pipeline(engine, WEIGHTS, 7, prompt="red hills", guidance=5.0)) > 60


def test_a_walk_agrees_at_its_keyframes_and_in_another_shape(tiny_sd: Path, open_engine: Open) -> None:
    engine = open_engine(tiny_sd, "size=96x64")
    for frame, seed, prompt in ((0, 7, "red hills"), (16, 11, "a city")):
        expected = by_pipeline(engine, tiny_sd, seed, prompt=prompt, guidance=5.0)
        assert psnr(by_engine(engine, [frame]), expected) > 60


@pytest.mark.parametrize("negative", ["grey", "''"], ids=["negative", "zeros"])
def test_sdxl_agrees_with_the_pipeline(tiny_sdxl: Path, open_engine: Open, negative: str) -> None:
    engine = open_engine(tiny_sdxl, "size=64x96", f"negative={negative}")
    expected = by_pipeline(engine, tiny_sdxl, 11, prompt="a city", guidance=5.0)
    assert psnr(by_engine(engine, [16]), expected) > 60


def test_a_picture_depends_neither_on_its_batch_nor_on_its_neighbours(tiny_sd: Path, open_engine: Open) -> None:
    engine = open_engine(tiny_sd)
    together = sums(engine, range(9))
    apart = {index: sum_ for index in range(9) for sum_ in sums(engine, [index]).values()}
    assert together == apart
    assert len(set(together.values())) == 9  # the walk moves: equal sums would prove nothing


@pytest.mark.parametrize("batch", [pytest.param(9, marks=pytest.mark.slow), pytest.param(13, marks=pytest.mark.long)])
def test_a_picture_depends_not_on_its_place_in_a_batch_that_the_vae_takes_in_parts(
    open_engine: Open, batch: int
) -> None:
    engine = open_engine("demo", f"engine.batch={batch}", "engine.threads=2", "steps=1")
    last = sums(engine, range(batch))[batch - 1]
    assert sums(engine, [batch - 1]) == {batch - 1: last}


def test_a_flat_picture_is_judged_by_itself(tiny_sd: Path, open_engine: Open) -> None:
    engine = open_engine(tiny_sd, "engine.dtype=bf16")
    models = engine._loaded.models
    decode = models.decode
    models.decode = lambda latents: decode(latents) * (0.0 if models.dtype == torch.bfloat16 else 1.0)  # type: ignore[method-assign]
    assert [(picture.remark or ("", ""))[0] for picture in engine.pictures([0, 1], Stopwatch())] == ["fp32", "fp32"]


def test_pictures_come_in_the_order_asked_for(tiny_sd: Path, open_engine: Open) -> None:
    assert [picture.index for picture in open_engine(tiny_sd).pictures([5, 2, 9, 10, 11], Stopwatch())] == [
        5,
        2,
        9,
        10,
        11,
    ]


@pytest.mark.slow
def test_between_keyframes_of_one_seed_the_noise_stays_that_of_the_seed(tiny_sd: Path, open_engine: Open) -> None:
    engine = open_engine(tiny_sd)
    walked, _ = engine._sampler.inputs.start([engine._plan.timeline.state(index) for index in range(9)])
    drawn = torch.randn((1, 4, 8, 8), generator=torch.Generator("cpu").manual_seed(7))
    assert all(torch.equal(noise, drawn[0]) for noise in walked)


def test_between_seeds_the_noise_keeps_the_norm_of_a_normal_draw(tiny_sd: Path, open_engine: Open) -> None:
    engine = open_engine(tiny_sd, "size=512x512")
    walked, _ = engine._sampler.inputs.start([engine._plan.timeline.state(index) for index in range(8, 17)])
    assert torch.allclose(walked.std((1, 2, 3)), torch.ones(9), atol=0.03)
    assert not torch.equal(walked[3], walked[4])


def test_step_noises_walk_too(tiny_sd: Path, open_engine: Open) -> None:
    engine = open_engine(tiny_sd, "sampler=euler-a")
    _, steps_KBCHW = engine._sampler.inputs.start([engine._plan.timeline.state(index) for index in (8, 9, 16)])
    assert steps_KBCHW is not None
    assert steps_KBCHW.shape[:2] == (4, 3)
    jump = (steps_KBCHW[:, 1] - steps_KBCHW[:, 0]).norm() / (steps_KBCHW[:, 2] - steps_KBCHW[:, 0]).norm()
    assert jump < 0.3


@pytest.mark.slow
def test_out_of_memory_halves_the_batch_and_says_so(tiny_sd: Path, open_engine: Open) -> None:
    engine = open_engine(tiny_sd)
    whole, most = engine._loaded.models.denoise, 4  # two pictures under guidance

    def small_device(latents: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        if len(latents) > most:
            raise torch.OutOfMemoryError("too much")
        return whole(latents, timestep, conditioning)

    engine._loaded.models.denoise = small_device
    pictures = list(engine.pictures(range(5), Stopwatch()))
    assert [picture.index for picture in pictures] == [0, 1, 2, 3, 4]
    assert {picture.remark[0] for picture in pictures if picture.remark} == {"batch"}
    assert "batch 2" in (pictures[0].remark or ("", ""))[1]
    most = 0
    with pytest.raises(EngineError, match="batch of one picture"):
        list(engine.pictures([0], Stopwatch()))


def test_nan_is_rendered_again_in_fp32(tiny_sd: Path, open_engine: Open) -> None:
    engine = open_engine(tiny_sd, "engine.dtype=bf16")
    overflow_in_16_bits(engine)
    pictures = list(engine.pictures([0, 1], Stopwatch()))
    reference = list(open_engine(tiny_sd).pictures([0, 1], Stopwatch()))
    assert [(picture.remark or ("", ""))[0] for picture in pictures] == ["fp32", "fp32"]
    for picture, expected in zip(pictures, reference, strict=True):  # its weights went through bf16 once
        assert np.abs(picture.pixels.astype(int) - expected.pixels).max() <= 12


def test_nan_fails_where_the_spec_says_so(tiny_sd: Path, open_engine: Open) -> None:
    engine = open_engine(tiny_sd, "engine.dtype=bf16", "engine.bad_frame=fail")
    overflow_in_16_bits(engine)
    with pytest.raises(EngineError, match="frames 3, 4 came out as NaN or blank"):
        list(engine.pictures([3, 4], Stopwatch()))


def overflow_in_16_bits(engine: Engine) -> None:
    """Let the denoiser return NaN unless it computes in float32."""
    whole = engine._loaded.models.denoise

    def overflowing(latents: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        output = whole(latents, timestep, conditioning)
        return output if output.dtype == torch.float32 else output * torch.nan

    engine._loaded.models.denoise = overflowing


def no_memory(module: torch.nn.Module, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the module not fit into memory in ``dtype``."""
    to = module.to

    def refusing(*given: object, **named: object) -> object:
        if dtype in given:
            raise torch.OutOfMemoryError("too much")
        return to(*given, **named)

    monkeypatch.setattr(module, "to", refusing)


def one_flat_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first batch's first picture is judged as blank, and no other."""
    judged = iter([[0]])
    monkeypatch.setattr("render.engine.bad_frames.bad_pictures", lambda *_: next(judged, []))


def test_no_memory_for_fp32_costs_the_chunk_and_nothing_after_it(
    tiny_sd: Path, open_engine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its UNet is in float32 already when the VAE does not fit; later frames must not be rendered by that."""
    engine = open_engine(tiny_sd, "engine.dtype=bf16")
    expected = sums(engine, range(4))
    one_flat_picture(monkeypatch)
    no_memory(engine._loaded.models.vae, torch.float32, monkeypatch)
    with pytest.raises(EngineError, match=r"frames 0 came out as NaN or blank; out of memory .* in fp32"):
        sums(engine, range(4))
    assert sums(engine, range(4)) == expected
    warm = engine.warm_for(engine._plan)
    assert warm is not None
    assert sums(open_warm(engine._plan, tiny_sd, Stopwatch(), warm), range(4)) == expected


def test_a_model_that_stays_in_fp32_renders_nothing_more(
    tiny_sd: Path, open_engine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(tiny_sd, "engine.dtype=bf16")
    one_flat_picture(monkeypatch)
    no_memory(engine._loaded.models.vae, torch.bfloat16, monkeypatch)
    for _ in range(2):
        with pytest.raises(EngineError, match="could not be brought back from fp32 to bf16"):
            sums(engine, range(4))
    assert engine.warm_for(engine._plan) is None


@pytest.mark.slow
def test_what_does_not_fit_in_fp32_fits_again_in_16_bits(
    tiny_sd: Path, open_engine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame tried in float32 in a smaller batch is named so, and those behind it keep their batch."""
    engine = open_engine(tiny_sd, "engine.dtype=bf16")
    expected, whole = sums(engine, range(4)), engine._loaded.models.denoise

    def small_device(latents: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        if engine._loaded.models.dtype == torch.float32 and len(latents) > 4:
            raise torch.OutOfMemoryError("too much")
        return whole(latents, timestep, conditioning)

    monkeypatch.setattr(engine._loaded.models, "denoise", small_device)
    one_flat_picture(monkeypatch)
    remarks = [picture.remark for picture in engine.pictures(range(8), Stopwatch())]
    text = "NaN or blank in bf16; in fp32 out of memory: rendered at batch 2, not bit-identical"
    assert remarks == [("batch", text)] + [None] * 7
    assert sums(engine, range(4)) == expected


def test_a_prompt_beyond_the_models_length_is_told(tiny_sd: Path, open_engine: Open) -> None:
    engine = open_engine(tiny_sd, f"keyframes[0].prompt={'x' * 100}")
    assert len(engine.warnings) == 1
    assert "no effect" in engine.warnings[0]
    assert open_engine(tiny_sd).warnings == ()


def test_text_slerp_walks_another_way_than_lerp(tiny_sd: Path, open_engine: Open) -> None:
    lerped, slerped = (open_engine(tiny_sd, f"prompt_walk={how}") for how in ("lerp", "slerp"))
    assert torch.equal(by_engine(lerped, [0]), by_engine(slerped, [0]))
    assert not torch.equal(by_engine(lerped, [4]), by_engine(slerped, [4]))


def test_a_folder_that_holds_no_model_is_refused(tmp_path: Path, tiny_sd: Path, open_engine: Open) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(tiny_sd, broken)
    (broken / "unet/diffusion_pytorch_model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"unet/diffusion_pytorch_model\.safetensors: is no safetensors file"):
        open_engine(broken)


def sums(engine: Engine, frames: Sequence[int]) -> dict[int, str]:
    """sha256 of every picture by its index."""
    return {
        picture.index: hashlib.sha256(picture.pixels.tobytes()).hexdigest()
        for picture in engine.pictures(frames, Stopwatch())
    }
