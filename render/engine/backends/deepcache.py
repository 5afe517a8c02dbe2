"""The UNet cut in two: the deep half, which is nearly all of its work, and the shallow branch around it.

The cut is branch 0 of DeepCache (Ma, Fang, Wang, "DeepCache: Accelerating Diffusion Models for Free", CVPR 2024): deep
features are the hidden state that enters the last layer of the last up block. Between neighbouring steps, and between
neighbouring frames of a walk, they change slowly; the shallow branch adds what changes fast. It is the time embedding,
``conv_in`` (whose output is that layer's skip connection), the last layer, and the output convolution.

Both functions are pure, compile as whole graphs, and are made of the UNet's own blocks in the order of
``UNet2DConditionModel.forward`` (diffusers 0.39 to 0.42), without hooks.

Shapes: N batch, C, H, W channels and size of latents, F channels of the deep features.
"""

from typing import Any

from torch import Tensor, cat

from render.engine.text import Conditioning
from render.errors import ModelError

__all__ = ["check", "predict_shallow", "predict_with_deep"]

LAST_BLOCKS = ("UpBlock2D", "CrossAttnUpBlock2D")


def check(unet: Any) -> None:
    """Raises ModelError for a UNet that cannot be cut here."""
    last = type(unet.up_blocks[-1]).__name__
    if last not in LAST_BLOCKS or unet.config.center_input_sample or unet.config.class_embed_type is not None:
        raise ModelError(
            f"engine: this model's UNet cannot be cut in two (its last block is a {last}); "
            "leave reuse_steps and interpolate_frames out"
        )


def predict_with_deep(
    unet: Any, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning
) -> tuple[Tensor, Tensor]:
    """The UNet's output (N, C, H, W), bit for bit that of ``unet(...)``, and its deep features (N, F, H, W)."""
    embedding, tokens = _embedded(unet, latents_NCHW, timestep, conditioning)
    skip = unet.conv_in(latents_NCHW)
    deep = _deep(unet, skip, embedding, tokens)
    return _last(unet, skip, embedding, tokens, deep), deep


def predict_shallow(
    unet: Any, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning, deep_NFHW: Tensor
) -> Tensor:
    """The output (N, C, H, W) that the UNet would give if its deep features were ``deep_NFHW``."""
    embedding, tokens = _embedded(unet, latents_NCHW, timestep, conditioning)
    return _last(unet, unet.conv_in(latents_NCHW), embedding, tokens, deep_NFHW)


def _embedded(unet: Any, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning) -> tuple[Tensor, Tensor]:
    """(embedding of time and of added conditioning, text as the attention layers want it)."""
    tokens, added = conditioning.tokens_NLD, conditioning.added
    time = unet.get_time_embed(sample=latents_NCHW, timestep=timestep)
    embedding = unet.time_embedding(time, conditioning.guidance_NG)
    more = unet.get_aug_embed(emb=embedding, encoder_hidden_states=tokens, added_cond_kwargs=added)
    embedding = embedding if more is None else embedding + more
    if unet.time_embed_act is not None:
        embedding = unet.time_embed_act(embedding)
    return embedding, unet.process_encoder_hidden_states(encoder_hidden_states=tokens, added_cond_kwargs=added)


def _deep(unet: Any, skip: Tensor, embedding: Tensor, tokens: Tensor) -> Tensor:
    """Down, through the middle, and up again to the door of the last layer."""
    hidden, skips = skip, [skip]
    for block in unet.down_blocks:
        hidden, left = block(hidden_states=hidden, temb=embedding, **_text(block, tokens))
        skips += left
    if unet.mid_block is not None:
        hidden = unet.mid_block(hidden, embedding, **_text(unet.mid_block, tokens))
    uneven = any(side % 2**unet.num_upsamplers for side in skip.shape[-2:])
    *up_blocks, last = unet.up_blocks
    for block in up_blocks:
        taken = tuple(skips[-len(block.resnets) :])
        del skips[-len(block.resnets) :]
        size = skips[-1].shape[2:] if uneven else None
        hidden = block(
            hidden_states=hidden,
            temb=embedding,
            res_hidden_states_tuple=taken,
            upsample_size=size,
            **_text(block, tokens),
        )
    for layer in range(len(last.resnets) - 1):
        hidden = _layer(last, layer, cat([hidden, skips.pop()], dim=1), embedding, tokens)
    return hidden


def _last(unet: Any, skip: Tensor, embedding: Tensor, tokens: Tensor, deep: Tensor) -> Tensor:
    """The last layer of the last up block and what follows it."""
    block = unet.up_blocks[-1]
    hidden = _layer(block, len(block.resnets) - 1, cat([deep, skip], dim=1), embedding, tokens)
    if unet.conv_norm_out:
        hidden = unet.conv_act(unet.conv_norm_out(hidden))
    output: Tensor = unet.conv_out(hidden)
    return output


def _layer(block: Any, index: int, hidden: Tensor, embedding: Tensor, tokens: Tensor) -> Tensor:
    """One residual layer of an up block, with its attention where the block has one."""
    hidden = block.resnets[index](hidden, embedding)
    if _text(block, tokens):
        hidden = block.attentions[index](hidden, encoder_hidden_states=tokens, return_dict=False)[0]
    return hidden


def _text(block: Any, tokens: Tensor) -> dict[str, Tensor]:
    """What a block is handed of the text: nothing where it has no cross attention."""
    return {"encoder_hidden_states": tokens} if getattr(block, "has_cross_attention", False) else {}
