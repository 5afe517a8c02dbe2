"""What a configuration may not say: each value refused by file, field and cure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from render.errors import ModelError
from render.models import describe
from tests.models.conftest import Change
from tests.models.folders import sd_folder

SCHEDULING, NETWORK, DECODER = "scheduler/scheduler_config.json", "unet/config.json", "vae/config.json"
ENCODER = "text_encoder/config.json"
XL = "StableDiffusionXLPipeline"
REFUSED = {
    "classes": (NETWORK, {"class_embed_type": "timestep"}, "told a class with every picture"),
    "number of classes": (NETWORK, {"num_class_embeds": 1000}, "use a model without class embeddings"),
    "inpainting": (NETWORK, {"in_channels": 9}, r"takes 9 channels \(an inpainting model\?\)"),
    "editing": (NETWORK, {"in_channels": 8}, "a picture-editing model"),
    "depth": (NETWORK, {"in_channels": 5}, "a depth-to-image model"),
    "variance": (NETWORK, {"out_channels": 8}, "out_channels is 8.* more than noise"),
    "image prompt": (NETWORK, {"encoder_hid_dim_type": "image_proj"}, "told a picture beside the text"),
    "SDXL's UNet": (NETWORK, {"addition_embed_type": "text_time"}, "as SDXL's is; use a model of this family"),
    "another UNet": (NETWORK, {"_class_name": "UNetMotionModel"}, "only UNet2DConditionModel is built"),
    "a tiny VAE": (DECODER, {"_class_name": "AutoencoderTiny"}, "goes into engine.tiny_vae"),
    "shift": (DECODER, {"shift_factor": 0.1}, "no pipeline of this family adds it to latents; write null"),
    "mean": (DECODER, {"latents_mean": [0.0] * 4}, "pipeline of Stable Diffusion does not read it"),
    "scale": (DECODER, {"scaling_factor": 0}, "it is to be a number from 1e-06 to 1e[+]06"),
    "NaN": (SCHEDULING, {"beta_end": float("nan")}, "beta_end is NaN: it is to be a number"),
    "a flag": (SCHEDULING, {"rescale_betas_zero_snr": 1}, "it is to be true or false"),
    "thresholding": (SCHEDULING, {"thresholding": True}, "spoils latents; write false"),
    "another scheduler": (SCHEDULING, {"_class_name": "SCMScheduler"}, "does not sample Stable Diffusion here"),
    "half a flow": (SCHEDULING, {"prediction_type": "flow_prediction"}, "a flow has .* and true"),
    "the other half": (SCHEDULING, {"use_flow_sigmas": True}, "a flow has .* and true"),
    "EDM's": (SCHEDULING, {"_class_name": "EDMEulerScheduler", "prediction_type": "sample"}, 'it is "epsilon" or'),
    "no blocks": (NETWORK, {"block_out_channels": []}, "it is to be a list of 1 to 8 whole numbers from 1"),
    "no width": (NETWORK, {"block_out_channels": [320, 0]}, "it is to be a list of 1 to 8 whole numbers from 1"),
    "many blocks": (NETWORK, {"block_out_channels": [8] * 9}, "it is to be a list of 1 to 8 whole numbers from 1"),
    "no size": (NETWORK, {"sample_size": 0}, "sample_size is 0: it is to be a whole number from 1 to 4096"),
    "huge": (NETWORK, {"sample_size": 1_000_000}, "it is to be a whole number from 1 to 4096"),
    "true": (NETWORK, {"sample_size": True}, "sample_size is true: it is to be a whole number"),
    "null": (NETWORK, {"sample_size": None}, "its sample_size is None"),
    "no layers": (NETWORK, {"layers_per_block": 0}, "it is to be a whole number from 1"),
    "half a layer": (NETWORK, {"layers_per_block": [1, 1.5]}, "it is to be a whole number from 1"),
    "no heads": (NETWORK, {"attention_head_dim": []}, "it is to be a whole number from 1"),
    "true channels": (NETWORK, {"in_channels": True}, "in_channels is true: it is to be a whole number"),
    "no blocks to decode": (DECODER, {"block_out_channels": []}, "it is to be a list of 1 to 8 whole numbers"),
    "no channels": (DECODER, {"latent_channels": 0}, "latent_channels is 0: it is to be a whole number"),
    "no layers of text": (ENCODER, {"num_hidden_layers": 0}, "it is to be a whole number from 1 to 1000"),
    "no words": (ENCODER, {"vocab_size": 0}, "it is to be a whole number from 1"),
    "linear to 1": (SCHEDULING, {"beta_schedule": "linear", "beta_end": 1.0}, "end in noise alone .*zero_snr true"),
    "linear to nothing": (SCHEDULING, {"beta_schedule": "linear", "beta_end": 0.2}, "end in noise alone"),
    "scaled to 1": (SCHEDULING, {"beta_schedule": "scaled_linear", "beta_end": 1}, "its betas end in noise alone"),
    "trained to 1": (SCHEDULING, {"trained_betas": [0.001] * 999 + [1.0]}, "its betas end in noise alone"),
    "no noise": (SCHEDULING, {"beta_start": 0, "beta_end": 0}, "its betas add no noise: .* write those"),
    "no noise at all": (SCHEDULING, {"trained_betas": [0] * 1000}, "its betas add no noise"),
    "betas": (SCHEDULING, {"trained_betas": [0.1, 0.2]}, "holds 2 numbers, and num_train_timesteps is 1000"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "values", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(path: str, values: dict[str, object], words: str, change: Change) -> None:
    with pytest.raises(ModelError, match=words):
        describe(change(path, **values), fingerprint=False)


@pytest.mark.parametrize(
    ("part", "named", "words"),
    [
        ("scheduler", ["diffusers", "EDMEulerScheduler"], "and scheduler/scheduler_config.json is of 'DDIMScheduler'"),
        ("scheduler", ["diffusers", "SCMScheduler"], "scheduler is a 'SCMScheduler': it does not sample"),
        ("unet", ["diffusers", "UNetMotionModel"], "unet is a 'UNetMotionModel': only UNet2DConditionModel"),
        ("text_encoder", ["transformers", "T5EncoderModel"], "text_encoder is a 'T5EncoderModel': only CLIPs"),
    ],
)
def test_a_class_that_the_index_names_is_refused_too(part: str, named: list[str], words: str, change: Change) -> None:
    folder = Path(change("text_encoder/config.json", hidden_act="gelu"))
    (folder / SCHEDULING).write_text(json.dumps({"_class_name": "DDIMScheduler"}))
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, part: named}))
    with pytest.raises(ModelError, match=f"model_index.json: {part} is a .*{words.split(': ')[-1]}"):
        describe(str(folder), fingerprint=False)


REFUSED_XL = {
    "no sizes": (NETWORK, {"addition_embed_type": None}, "told a pooled text and sizes"),
    "image": (NETWORK, {"addition_embed_type": "image"}, "told a pooled text and sizes"),
    "mean alone": (DECODER, {"latents_mean": [0.0] * 4}, "latents_mean stands alone"),
    "deviation alone": (DECODER, {"latents_std": [1.0] * 4}, "latents_std stands alone"),
    "no deviation": (DECODER, {"latents_mean": [0.0] * 4, "latents_std": [0.0] * 4}, "latents_std is"),
    "three channels": (DECODER, {"latents_mean": [0.0] * 3, "latents_std": [1.0] * 3}, "holds 3 numbers"),
    "clips": (SCHEDULING, {"clip_sample": True}, "would clip latents"),
    "clips by default": (SCHEDULING, {"_class_name": "DDIMScheduler"}, "clip_sample is not there"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "values", "words"), REFUSED_XL.values(), ids=REFUSED_XL)
def test_refused_of_sdxl(path: str, values: dict[str, object], words: str, change: Change) -> None:
    with pytest.raises(ModelError, match=words):
        describe(change(path, XL, **values), fingerprint=False)


@pytest.mark.parametrize(
    "values",
    [
        {"beta_schedule": "squaredcos_cap_v2"},
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "rescale_betas_zero_snr": True},
        {"_class_name": "EDMEulerScheduler", "beta_start": 0, "beta_end": 0},
        {"_class_name": "FlowMatchEulerDiscreteScheduler", "trained_betas": [1.0]},
    ],
    ids=str,
)
def test_what_ends_right_is_taken(values: dict[str, object], change: Change) -> None:
    if "trained_betas" in values:
        values = {**values, "num_train_timesteps": 1}
    describe(change(SCHEDULING, **values), fingerprint=False)


def spoilt(folder: Path, path: str, **values: object) -> str:
    """The folder with these values in one of its files, by its name; None takes an entry away."""
    content = json.loads((folder / path).read_text()) if (folder / path).exists() else {}
    kept = {name: value for name, value in (content | values).items() if value is not None}
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_text(json.dumps(kept))
    return str(folder)


INDEX, WORDS = "model_index.json", "tokenizer/vocab.json"
UNFIT = {
    **{f"no {part}": (INDEX, {part: None}, f"{part} is None: .*library, class") for part in ("unet", "vae")},
    "no text encoder": (INDEX, {"text_encoder": None}, "text_encoder is None: it is to be"),
    "nulls": (INDEX, {"tokenizer": [None, None]}, r"tokenizer is \[None, None\]: it is to be"),
    "a word": (INDEX, {"unet": "x"}, "unet is x: it is to be"),
    "three": (INDEX, {"unet": ["diffusers", "UNet2DConditionModel", "x"]}, "unet is .* it is to be"),
    "no such tokenizer": (INDEX, {"tokenizer": ["transformers", "NoSuch"]}, "'NoSuch': only CLIPTokenizer and"),
    "T5's tokenizer": (INDEX, {"tokenizer": ["transformers", "T5Tokenizer"]}, "only CLIPTokenizer and"),
    "T5": (ENCODER, {"model_type": "t5"}, 'model_type is "t5": only CLIPs are read'),
    "a length in words": ("tokenizer/tokenizer_config.json", {"model_max_length": "48"}, "model_max_length is '48'"),
    "no length": ("tokenizer/tokenizer_config.json", {"model_max_length": 0}, "model_max_length is 0: .* 2 or more"),
    "a true length": ("tokenizer/tokenizer_config.json", {"model_max_length": True}, "model_max_length is True"),
    "no words": (WORDS, {"<|endoftext|>": None}, "holds no words with their numbers"),
    "words of words": (WORDS, {"a": "b"}, "holds no words with their numbers"),
    "more words": (ENCODER, {"vocab_size": 7}, r"words go up to 9, and the text encoder has 7 \(vocab_size\)"),
    "heads": (ENCODER, {"hidden_size": 128, "num_attention_heads": 5}, "no multiple of 5 num_attention_heads"),
    "widths": (ENCODER, {"hidden_size": 160, "num_attention_heads": 5}, "is 768, and .* make 160: .* different models"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "values", "words"), UNFIT.values(), ids=UNFIT)
def test_files_that_do_not_fit_each_other_are_refused(
    path: str, values: dict[str, object], words: str, tmp_path: Path
) -> None:
    folder = sd_folder(tmp_path / "model")
    spoilt(folder, NETWORK, cross_attention_dim=768)
    if path != WORDS:
        spoilt(folder, WORDS, last=9)
    with pytest.raises(ModelError, match=words) as refusal:
        describe(spoilt(folder, path, **values), fingerprint=False)
    assert path in str(refusal.value) or WORDS in str(refusal.value) or NETWORK in str(refusal.value)


def test_the_widths_of_two_text_encoders_stand_side_by_side(tmp_path: Path) -> None:
    folder = sd_folder(tmp_path / "model", XL)
    spoilt(folder, NETWORK, cross_attention_dim=[2048, 2048], addition_embed_type="text_time")
    spoilt(folder, ENCODER, hidden_size=768, num_attention_heads=12)
    describe(spoilt(folder, "text_encoder_2/config.json", hidden_size=1280, num_attention_heads=20), fingerprint=False)
    with pytest.raises(ModelError, match="make 2047"):
        describe(spoilt(folder, ENCODER, hidden_size=767, num_attention_heads=1), fingerprint=False)
