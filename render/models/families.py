"""Families of models as data: the folders that a model of each is made of, and numbers that ``auto`` goes by.

A new family is a row here and a file in `engine/families/`, which knows its tensors. Nothing here opens a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["FAMILIES", "Family", "Layout", "ModelInfo", "Noise"]

Layout = Literal["diffusers", "onnx"]

Noise = Literal["betas", "edm", "flow"]
"""How noise is scheduled: by betas (DDPM), by sigmas (EDM, arXiv:2206.00364), or by a flow (arXiv:2210.02747)."""


@dataclass(frozen=True)
class Family:
    """One kind of model, in the folders that diffusers gives its parts.

    ``pipeline`` is the class that a model's index names, None for a test card, which has no files; ``alike`` are others
    that call the same parts in the same way; ``library`` is diffusers' own folder of it, which an index may name too.
    ``patches``: the denoiser cuts latents into patches (a transformer); else it halves them level by level (a UNet).
    ``half_vae``: its own VAE stays finite in fp16. ``low_memory_bytes``: weights in 16 bits and one picture's
    activations, roughly. ``left_out``: arguments by which the pipeline is loaded without what changes no latents.
    """

    name: str
    title: str
    pipeline: str | None
    alike: tuple[str, ...] = ()
    library: str = ""
    denoiser: str = "unet"
    text_encoders: tuple[str, ...] = ()
    tokenizers: tuple[str, ...] = ()
    patches: bool = False
    half_vae: bool = True
    low_memory_bytes: int = 0
    left_out: Mapping[str, object] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[str, ...]:
        """The folders whose files decide a picture, in the order in which they are summed."""
        if self.pipeline is None:
            return ()
        return tuple(sorted(("scheduler", self.denoiser, "vae", *self.text_encoders, *self.tokenizers)))

    @property
    def graph_parts(self) -> tuple[str, ...]:
        """The same of a folder of ONNX graphs, as Optimum names them: of the VAE the decoder alone."""
        return tuple("vae_decoder" if part == "vae" else part for part in self.parts)

    @property
    def weighted(self) -> tuple[str, ...]:
        """The parts that have weights."""
        return () if self.pipeline is None else (*self.text_encoders, self.denoiser, "vae")


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("testcard", "a test card", pipeline=None),
        Family(
            "sd",
            "Stable Diffusion",
            pipeline="StableDiffusionPipeline",
            alike=("LatentConsistencyModelPipeline",),
            library="stable_diffusion",
            text_encoders=("text_encoder",),
            tokenizers=("tokenizer",),
            low_memory_bytes=4 << 30,
            left_out={"safety_checker": None, "requires_safety_checker": False},
        ),
        Family(
            "sdxl",
            "SDXL",
            pipeline="StableDiffusionXLPipeline",
            library="stable_diffusion_xl",
            text_encoders=("text_encoder", "text_encoder_2"),
            tokenizers=("tokenizer", "tokenizer_2"),
            half_vae=False,
            low_memory_bytes=10 << 30,
        ),
    )
}
"""Name -> row."""


@dataclass(frozen=True)
class ModelInfo:
    """What a plan has to know of a model. ``fingerprint`` is a sha256 over the model's files, names and bytes.

    ``family`` is a name of ``FAMILIES``; another one is a ValueError. ``size_step``: pictures whose sides are multiples
    of it divide evenly in every layer of the denoiser. ``dtype`` is what an exported graph computes in, None where its
    folder does not say: then a worker looks into it. Weights in diffusers' layout can be cast, there it is None too.
    ``noise``: how it was trained. ``guidance_width``: of the embedding by which the denoiser is told the guidance, 0
    where it is not told. ``centred``: its latents have a mean and a deviation of their own (its VAE says so).
    """

    family: str
    native_size: tuple[int, int]
    latent_channels: int
    latent_scale: int
    scheduler: Mapping[str, Any]
    fingerprint: str
    revision: str | None = None
    size_step: int = 8
    layout: Layout = "diffusers"
    dtype: str | None = None
    noise: Noise = "betas"
    guidance_width: int = 0
    centred: bool = False

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"model family {self.family!r}; known: {', '.join(FAMILIES)}")
