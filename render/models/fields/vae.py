"""The fields of ``vae/config.json``, those of ``AutoencoderKL``, of which the decoder alone is used."""

from render.models.fields.base import (
    FLAG,
    NULL,
    SIZE,
    SIZES,
    TEXTS,
    Field,
    counts,
    honoured,
    no_effect,
    number,
    numbers,
    one_of,
    refused,
    whole,
)

__all__ = ["VAE"]

_ENCODER = "it belongs to the encoder, which no job uses"
_SCALES = "latents are brought to the decoder's scale by it"
_DEVIATION = "diffusers' pipeline of Stable Diffusion does not read it, so the picture would depend on who renders it"

VAE: tuple[Field, ...] = (
    *honoured(counts(1, 8), "block_out_channels", reason="every block but the last halves the size"),
    *honoured(SIZE, "layers_per_block", "norm_num_groups"),
    *honoured(whole(1, 1024), "latent_channels", reason="compared with the UNet's"),
    *honoured(SIZES.or_null, "sample_size", reason="the size of tiles where memory is low"),
    *honoured(TEXTS, "up_block_types", "act_fn"),
    *honoured(FLAG, "use_post_quant_conv", "mid_block_add_attention"),
    *honoured(number(1e-6, 1e6), "scaling_factor", reason=_SCALES),
    *(
        field.of("sdxl")
        for field in (
            *honoured(numbers(-1e6, 1e6).or_null, "latents_mean", reason=_SCALES),
            *honoured(numbers(1e-6, 1e6).or_null, "latents_std", reason=_SCALES),
            *honoured(FLAG, "force_upcast", reason="whether it overflows in fp16"),
        )
    ),
    refused("latents_mean", NULL, f"{_DEVIATION}; write null").of("sd"),
    refused("latents_std", NULL, f"{_DEVIATION}; write null").of("sd"),
    *(field.of("sd") for field in no_effect("Stable Diffusion's VAE stays finite in fp16", "force_upcast")),
    refused("shift_factor", one_of(None, 0, 0.0), "no pipeline of this family adds it to latents; write null"),
    refused("out_channels", one_of(3), "pictures have three channels; use another VAE"),
    *no_effect(_ENCODER, "in_channels", "down_block_types", "use_quant_conv"),
)
"""Every field, and what is done with it."""
