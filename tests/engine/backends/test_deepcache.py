"""The UNet cut in two, and the approximations that live on it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MethodType
from typing import Any

import pytest
import torch
from torch import Tensor

from render.engine.backends import deepcache as deep
from render.engine.engine import Engine
from render.engine.inputs import latent_shape
from render.engine.interpolate import FrameInterpolator, anchors_of
from render.engine.sampler.denoise import denoise
from render.engine.text import Conditioning
from render.errors import ModelError
from render.plan import Stopwatch
from tests.engine.conftest import decoded, latents_of

Open = Callable[..., Engine]

TINY_DB = 28.0  # against the demo VAE, on latents of few steps


@pytest.fixture(params=["tiny_sd", "tiny_sdxl"])
def model(request: pytest.FixtureRequest) -> Path:
    """Each kind of UNet; one with attention in its last block is made below. The demo model's is like the first."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


def inputs(engine: Engine, seed: int = 0) -> tuple[Tensor, Tensor, Conditioning]:
    """A batch as the denoiser gets it."""
    both = engine._sampler.inputs.conditionings([engine._plan.timeline.state(index) for index in range(4)]).both
    assert both is not None
    latents = torch.randn((8, *latent_shape(engine._plan)), generator=torch.Generator().manual_seed(seed))
    return engine._loaded.models.unet_input(latents), torch.tensor(481.0), both


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_the_cut_changes_no_bit(model: Path, dtype: str, open_engine: Open) -> None:
    engine = open_engine(model, f"engine.dtype={dtype}")
    given = inputs(engine)
    with torch.no_grad():
        whole = engine._loaded.models.predict(*given)
        output, features = engine._loaded.models.predict_with_deep(*given)
        shallow = engine._loaded.models.predict_shallow(*given, features)
    assert torch.equal(whole, output)
    assert torch.equal(whole, shallow)


def test_the_cut_changes_no_bit_where_the_last_block_has_attention(tiny_sd: Path, open_engine: Open) -> None:
    from diffusers import UNet2DConditionModel

    engine = open_engine(tiny_sd)
    config = dict(engine._loaded.models.unet.config) | {
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "layers_per_block": 2,
    }
    unet = UNet2DConditionModel.from_config(config).eval()
    _, timestep, conditioning = inputs(engine)
    latents = torch.randn(8, 4, 10, 9)  # sides that do not halve evenly
    with torch.no_grad():
        output, features = deep.predict_with_deep(unet, latents, timestep, conditioning)
        assert torch.equal(output, unet(latents, timestep, conditioning.tokens_NLD, return_dict=False)[0])
        assert torch.equal(output, deep.predict_shallow(unet, latents, timestep, conditioning, features))


def test_a_unet_that_cannot_be_cut_is_refused(tiny_sd: Path, open_engine: Open) -> None:
    unet = open_engine(tiny_sd)._loaded.models.unet
    deep.check(unet)
    unet.up_blocks[-1] = torch.nn.Identity()
    with pytest.raises(ModelError, match="Identity"):
        deep.check(unet)


@pytest.mark.slow
def test_the_whole_interval_and_every_step_are_exact(tiny_sd: Path, open_engine: Open) -> None:
    exact = sums(open_engine(tiny_sd), range(6))
    off = ("engine.guidance_interval=[0, 1]", "engine.reuse_steps=1", "engine.interpolate_frames=1")
    assert sums(open_engine(tiny_sd, *off), range(6)) == exact


@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_exact_is_guidance_around_the_whole_unet_and_nothing_else(
    tiny_sd: Path, open_engine: Open, guidance: float
) -> None:
    engine = open_engine(tiny_sd, f"guidance={guidance}")
    states = [engine._plan.timeline.state(index) for index in range(4)]
    noise, _ = engine._sampler.inputs.start(states)
    given = engine._sampler.inputs.conditionings(states)

    def evaluate(latents: Tensor, timestep: Tensor, _index: int) -> Tensor:
        if guidance == 1.0:
            assert given.conditional is not None
            return engine._loaded.models.denoise(latents, timestep, given.conditional)
        assert given.both is not None
        both = engine._loaded.models.denoise(torch.cat([latents, latents]), timestep, given.both)
        without, with_prompt = both.chunk(2)
        return without + guidance * (with_prompt - without)

    with torch.no_grad():
        assert torch.equal(latents_of(engine, range(4)), denoise(evaluate, engine._sampler.table, noise))


def test_exact_never_cuts_the_unet(tiny_sd: Path, open_engine: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine(tiny_sd)
    calls = count_calls(engine, monkeypatch)
    sums(engine, range(4))
    assert calls == ["denoise 8"] * 4


def test_guidance_runs_within_its_interval_only(
    tiny_sd: Path, open_engine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(tiny_sd, "engine.guidance_interval=[0.25, 0.75]")
    calls = count_calls(engine, monkeypatch)
    found = sums(engine, range(4))
    assert calls == ["denoise 4", "denoise 8", "denoise 8", "denoise 4"]
    assert found != sums(open_engine(tiny_sd), range(4))


def test_reused_features_save_the_deep_half(tiny_sd: Path, open_engine: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine(tiny_sd, "engine.reuse_steps=3", "engine.guidance_interval=[0.5, 0.75]")
    calls = count_calls(engine, monkeypatch)
    sums(engine, range(4))
    # in full where guidance sets in; where it ends the conditional half of what is kept serves, until the third step
    assert calls == ["with_deep 4", "shallow 4", "with_deep 8", "with_deep 4"]


def test_guidance_may_end_on_kept_features(tiny_sd: Path, open_engine: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine(tiny_sd, "engine.reuse_steps=4", "engine.guidance_interval=[0, 0.5]")
    calls = count_calls(engine, monkeypatch)
    sums(engine, range(4))
    assert calls == ["with_deep 8", "shallow 8", "shallow 4", "shallow 4"]


@pytest.mark.slow
@pytest.mark.parametrize(("every", "interval"), [(2, "[0, 0.5]"), (3, "[0, 1]"), (5, "[0, 0.5]")])
def test_an_interpolated_frame_depends_on_plan_and_index_only(
    tiny_sd: Path, open_engine: Open, every: int, interval: str
) -> None:
    switches = ("frames=17", f"engine.interpolate_frames={every}", f"engine.guidance_interval={interval}")
    engine = open_engine(tiny_sd, *switches)
    film = sums(engine, range(17))
    assert len(set(film.values())) == 17
    chunks = {index: one for start in range(0, 17, 7) for index, one in sums(engine, range(start, 17)[:7]).items()}
    assert chunks == film
    for frames in (range(1, 17, 4), [16], [14, 15], [5, 2, 9, 10, 11]):
        assert sums(open_engine(tiny_sd, *switches), frames) == {index: film[index] for index in frames}


@pytest.mark.slow
def test_anchors_are_exact_and_the_others_near(tiny_sd: Path, open_engine: Open) -> None:
    exact, engine = open_engine(tiny_sd, "frames=17"), open_engine(tiny_sd, "frames=17", "engine.interpolate_frames=5")
    pairs = list(zip(exact.pictures(range(17), Stopwatch()), engine.pictures(range(17), Stopwatch()), strict=True))
    worst = [int(abs(a.pixels.astype(int) - b.pixels.astype(int)).max()) for a, b in pairs]
    assert [index for index, error in enumerate(worst) if not error] == [0, 5, 10, 15, 16]
    assert max(worst) < 40


def test_batches_of_anchors_and_of_frames_are_full(
    tiny_sd: Path, open_engine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(tiny_sd, "engine.interpolate_frames=3", "engine.batch=2", "steps=1")
    calls = count_calls(engine, monkeypatch)
    sums(engine, range(16))  # in stretches of two new anchors: 0 3, then 6 9, then 12 15
    assert calls.count("with_deep 4") == 3
    assert calls.count("shallow 4") == 5  # two frames between 0 and 3, four in each of the other stretches
    assert {call.split()[1] for call in calls} == {"4"}


def test_no_more_than_a_batch_of_anchors_and_one_is_kept(tiny_sd: Path, open_engine: Open) -> None:
    engine = open_engine(tiny_sd, "engine.interpolate_frames=2", "engine.batch=3")
    between = interpolator(engine)
    most = 0
    computed = between._interpolated

    def watched(*args: Any) -> Any:
        nonlocal most
        most = max(most, len(between._anchors))
        return computed(*args)

    between._interpolated = watched  # type: ignore[method-assign]
    sums(engine, range(24))
    assert most == 4
    assert len(between._anchors) == 1


def interpolator(engine: Engine) -> FrameInterpolator:
    """What makes the engine's frames between anchors."""
    walk = engine._renderer._walk
    assert isinstance(walk, MethodType)
    assert isinstance(walk.__self__, FrameInterpolator)
    return walk.__self__


def test_a_cut_is_not_interpolated_across() -> None:
    assert anchors_of(10, 4) == (0, 4, 8, 9)
    assert anchors_of(10, 4, [6]) == (0, 4, 5, 6, 8, 9)
    assert anchors_of(1, 4) == (0,)


@pytest.mark.slow
def test_out_of_memory_halves_the_batch_of_anchors_too(tiny_sd: Path, open_engine: Open) -> None:
    engine = open_engine(tiny_sd, "engine.interpolate_frames=3")
    whole = engine._loaded.models.denoise_with_deep

    def small_device(latents: Tensor, timestep: Tensor, conditioning: Conditioning) -> tuple[Tensor, Tensor]:
        if len(latents) > 4:
            raise torch.OutOfMemoryError("too much")
        return whole(latents, timestep, conditioning)

    engine._loaded.models.denoise_with_deep = small_device  # type: ignore[method-assign]
    pictures = list(engine.pictures(range(9), Stopwatch()))
    assert [picture.index for picture in pictures] == list(range(9))
    assert {(picture.remark or ("", ""))[0] for picture in pictures} == {"batch"}


@pytest.mark.parametrize("switch", ["reuse_steps", "interpolate_frames"])
def test_a_bad_frame_is_rendered_again_without_its_neighbours(tiny_sd: Path, open_engine: Open, switch: str) -> None:
    engine = open_engine(tiny_sd, f"engine.{switch}=2", "engine.dtype=bf16")
    whole = engine._loaded.models.denoise_shallow

    def overflowing(*given: Any) -> Tensor:
        output = whole(*given)
        return output if output.dtype == torch.float32 else output * torch.nan

    engine._loaded.models.denoise_shallow = overflowing  # type: ignore[method-assign]
    remarks = [(picture.remark or ("", ""))[0] for picture in engine.pictures(range(3), Stopwatch())]
    assert remarks == (["fp32"] * 3 if switch == "reuse_steps" else ["", "fp32", ""])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")
def test_the_film_with_guidance_in_an_interval_compiles_both_batch_sizes(
    tiny_sd: Path, open_engine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Graphs are counted by Dynamo, whoever runs them: torch itself here, Inductor's kernels in test_compiled.py."""
    whole = torch.compile
    monkeypatch.setattr(torch, "compile", lambda call, *, options, **how: whole(call, backend="aot_eager", **how))
    switches = ("engine.guidance_interval=[0, 0.5]", "engine.interpolate_frames=3")
    engine = open_engine(tiny_sd, *switches, "engine.backend=compile")
    compiled = unique_graphs()
    found = list(engine.pictures(range(6), Stopwatch()))
    assert unique_graphs() == compiled  # warming up has seen every shape
    expected = open_engine(tiny_sd, *switches, "engine.backend=eager").pictures(range(6), Stopwatch())
    for one, other in zip(found, expected, strict=True):
        assert abs(one.pixels.astype(int) - other.pixels.astype(int)).max() <= 3


def unique_graphs() -> int:
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


def count_calls(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """``denoise 8``: the calls of the network that follow, with their rows."""
    calls: list[str] = []

    def counted(name: str) -> None:
        whole = getattr(engine._loaded.models, name)

        def call(latents: Tensor, *rest: Any) -> Any:
            calls.append(f"{name.removeprefix('denoise_')} {len(latents)}")
            return whole(latents, *rest)

        monkeypatch.setattr(engine._loaded.models, name, call)

    for name in ("denoise", "denoise_with_deep", "denoise_shallow"):
        counted(name)
    return calls


def sums(engine: Engine, frames: Sequence[int]) -> dict[int, str]:
    """sha256 of every picture by its index."""
    return {
        picture.index: hashlib.sha256(picture.pixels.tobytes()).hexdigest()
        for picture in engine.pictures(frames, Stopwatch())
    }


@pytest.mark.slow
def test_a_tiny_vae_decodes_nearly_as_the_vae_does(open_engine: Open) -> None:
    exact, tiny = open_engine("demo", "steps=6"), open_engine("demo", "steps=6", "engine.tiny_vae=demo")
    latents = latents_of(exact, range(4))
    assert torch.equal(latents, latents_of(tiny, range(4)))
    with torch.no_grad():
        pictures, nearly = (decoded(engine, latents).clamp(-1, 1) / 2 for engine in (exact, tiny))
    assert -10 * math.log10(float((pictures - nearly).square().mean())) > TINY_DB
    assert tiny._plan.model.fingerprint != exact._plan.model.fingerprint


def test_taesd_gets_the_latents_as_they_are(tiny_sd: Path, open_engine: Open, tmp_path: Path) -> None:
    from diffusers import AutoencoderTiny

    vae = AutoencoderTiny(decoder_block_out_channels=(8,) * 4, encoder_block_out_channels=(8,) * 4)
    vae.save_pretrained(tmp_path / "taesd")
    engine = open_engine(tiny_sd, f"engine.tiny_vae={tmp_path / 'taesd'}")
    latents = torch.randn(4, 4, 8, 8)
    assert torch.equal(engine._loaded.models.vae_input(latents), latents)
    with torch.no_grad():
        assert torch.equal(decoded(engine, latents), vae.decode(latents).sample)


def test_a_broken_tiny_vae_is_refused(tiny_sd: Path, open_engine: Open, tmp_path: Path) -> None:
    from diffusers import AutoencoderTiny

    folder = tmp_path / "taesd"
    AutoencoderTiny(decoder_block_out_channels=(8,) * 4, encoder_block_out_channels=(8,) * 4).save_pretrained(folder)
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="tiny VAE"):
        open_engine(tiny_sd, f"engine.tiny_vae={folder}")


@pytest.mark.slow
def test_both_halves_are_whole_graphs(model: Path, open_engine: Open) -> None:
    engine = open_engine(model)
    given = inputs(engine)
    with torch.no_grad():
        output, features = torch.compile(engine._loaded.models.predict_with_deep, fullgraph=True, backend="eager")(
            *given
        )
        shallow = torch.compile(engine._loaded.models.predict_shallow, fullgraph=True, backend="eager")(
            *given, features
        )
        assert torch.equal(output, engine._loaded.models.predict(*given))
    assert torch.equal(shallow, output)
