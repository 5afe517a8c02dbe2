"""The parts of a model as torch's exporter wants them: modules of plain tensors, inputs to trace with, open dimensions.

Shapes: N batch, L tokens, C, H, W channels and size of latents.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from render.engine.backends.eager import EagerModel

__all__ = ["Part", "text_encoder", "unet", "vae_decoder", "vae_encoder"]

# Sizes to trace with: the exporter takes equal sizes, and those of 1, for constants of the model.
BATCH, HEIGHT, WIDTH = 2, 32, 48


@dataclass(frozen=True)
class Part:
    """One graph. ``axes`` name the open dimensions of every input."""

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    axes: Mapping[str, Mapping[int, str]]
    outputs: tuple[str, ...]
    config: Mapping[str, Any]


def unet(models: EagerModel) -> Part:
    """The denoiser, with the conditioning of its family as inputs."""
    config, dtype = models.unet.config, models.dtype
    if config.upcast_attention and dtype == torch.float16:  # SD 2.1: attention scores overflow in fp16
        from diffusers.models.attention_processor import AttnProcessor

        models.unet.set_attn_processor(AttnProcessor())
    conditioning = models.family.blank(config, BATCH, dtype)
    inputs = {
        "sample": torch.randn(BATCH, config.in_channels, HEIGHT, WIDTH, dtype=dtype),
        "timestep": torch.tensor(500.0),
        **conditioning.inputs(),
    }
    axes = {"sample": {0: "batch", 2: "height", 3: "width"}, "encoder_hidden_states": {0: "batch", 1: "sequence"}}
    axes = {name: {0: "batch"} for name in conditioning.inputs()} | axes
    return Part("unet", _UNet(models.unet), inputs, axes, ("out_sample",), dict(config))


def vae_decoder(models: EagerModel) -> Part:
    """Latents (N, C, H, W), scaled as the VAE wants them -> pictures in about [-1, 1]."""
    vae = models.vae
    latents = torch.randn(BATCH, vae.config.latent_channels, HEIGHT // 4, WIDTH // 4, dtype=vae.dtype)
    axes = {"latent_sample": {0: "batch", 2: "latent_height", 3: "latent_width"}}
    return Part("vae_decoder", _Decoder(vae), {"latent_sample": latents}, axes, ("sample",), dict(vae.config))


def vae_encoder(models: EagerModel) -> Part:
    """Pictures -> mean and logarithm of the variance of their latents."""
    vae = models.vae
    scale = 2 ** (len(vae.config.block_out_channels) - 1)
    pictures = torch.randn(BATCH, 3, scale * HEIGHT // 4, scale * WIDTH // 4, dtype=vae.dtype)
    axes = {"sample": {0: "batch", 2: "sample_height", 3: "sample_width"}}
    return Part("vae_encoder", _Encoder(vae), {"sample": pictures}, axes, ("latent_parameters",), dict(vae.config))


def text_encoder(name: str, encoder: Any, *, states: bool) -> Part:
    """A CLIP text encoder, with all hidden states where ``states`` says so.

    The first output of an encoder that projects is the pooled embedding.
    """
    module = _TextEncoder(encoder.float(), states=states)
    ids_NL = torch.zeros((BATCH, encoder.config.max_position_embeddings), dtype=torch.int64)
    with torch.no_grad():
        projected = hasattr(encoder(ids_NL[:1]), "text_embeds")
    outputs: tuple[str, ...] = (
        ("text_embeds", "last_hidden_state") if projected else ("last_hidden_state", "pooler_output")
    )
    if states:
        outputs += tuple(f"hidden_states.{layer}" for layer in range(encoder.config.num_hidden_layers + 1))
    axes = {"input_ids": {0: "batch_size", 1: "sequence_length"}}
    return Part(name, module, {"input_ids": ids_NL}, axes, outputs, encoder.config.to_dict())


class _UNet(nn.Module):
    """The UNet with its conditioning as plain inputs."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        text_embeds: Tensor | None = None,
        time_ids: Tensor | None = None,
        timestep_cond: Tensor | None = None,
    ) -> Tensor:
        added = None
        if text_embeds is not None:  # float: diffusers joins it with a float32 embedding, and ONNX mixes no types
            added = {"text_embeds": text_embeds.float(), "time_ids": time_ids}
        output: Tensor = self.unet(
            sample,
            timestep,
            encoder_hidden_states=encoder_hidden_states,
            timestep_cond=timestep_cond,
            added_cond_kwargs=added,
            return_dict=False,
        )[0]
        return output


class _Decoder(nn.Module):
    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latent_sample: Tensor) -> Tensor:
        decoded: Tensor = self.vae.decode(latent_sample, return_dict=False)[0]
        return decoded


class _Encoder(nn.Module):
    """Pictures -> mean and logarithm of the variance of their latents."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, sample: Tensor) -> Tensor:
        parameters: Tensor = self.vae.encode(sample).latent_dist.parameters
        return parameters


class _TextEncoder(nn.Module):
    """A CLIP text encoder; with ``states`` all hidden states are outputs as well."""

    def __init__(self, encoder: Any, *, states: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.states = states

    def forward(self, input_ids: Tensor) -> tuple[Tensor, ...]:
        output = self.encoder(input_ids, output_hidden_states=self.states)
        projected = getattr(output, "text_embeds", None)
        main = (output.last_hidden_state, output.pooler_output) if projected is None else (projected, output[1])
        return (*main, *(output.hidden_states if self.states else ()))
