"""The fields of ``unet/config.json``, those of ``UNet2DConditionModel``: what it is made of, and what it is told.

What it is made of is diffusers' matter, which builds it. What it is told beside latents, time and text is ours: another
input is refused by the field that asks for it.
"""

from render.models.fields.base import (
    ANYTHING,
    COUNTS,
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
    one_of,
    refused,
    whole,
)

__all__ = ["UNET"]

_CLASSES = "its UNet is told a class with every picture, which no job can name; use a model without class embeddings"
_PICTURES = "its UNet is told a picture beside the text, which is not built; use a model that reads text alone"
_SIZES = ("addition_time_embed_dim", "projection_class_embeddings_input_dim")

UNET: tuple[Field, ...] = (
    *honoured(whole(1, 4096).or_null, "sample_size", reason="the native size is as many of the VAE's pixels"),
    *honoured(whole(1, 1024), "in_channels", "out_channels", reason="compared with the VAE's latents"),
    *honoured(counts(1, 8), "block_out_channels", reason="as many sizes as blocks"),
    *honoured(SIZES, "layers_per_block", "attention_head_dim", "cross_attention_dim"),
    *honoured(SIZES.or_null, "num_attention_heads", "norm_num_groups"),
    *honoured(SIZE, "conv_in_kernel", "conv_out_kernel", "addition_embed_type_num_heads"),
    *honoured(SIZE.or_null, "time_embedding_dim", "encoder_hid_dim"),
    *honoured(COUNTS, "transformer_layers_per_block", "reverse_transformer_layers_per_block"),
    *honoured(COUNTS, "downsample_padding", "mid_block_scale_factor"),
    *honoured(number(0, 1), "norm_eps"),
    *honoured(number(-1e6, 1e6), "freq_shift", "resnet_out_scale_factor"),
    *honoured(TEXTS, "down_block_types", "up_block_types", "act_fn", "resnet_time_scale_shift"),
    *honoured(TEXTS.or_null, "mid_block_type", "time_embedding_type", "time_embedding_act_fn", "timestep_post_act"),
    *honoured(TEXTS.or_null, "cross_attention_norm"),
    *honoured(ANYTHING, "only_cross_attention", "mid_block_only_cross_attention"),  # flags, or lists of flags
    *honoured(FLAG, "center_input_sample", "flip_sin_to_cos", "use_linear_projection", "upcast_attention"),
    *honoured(FLAG, "resnet_skip_time_act"),
    *honoured(one_of("default", "gated", "gated-text-image"), "attention_type", reason="gates stay shut without boxes"),
    *honoured(whole(4, 100_000).or_null, "time_cond_proj_dim", reason="the UNet is told the guidance, as an LCM is"),
    *no_effect("nothing is dropped when pictures are made", "dropout"),
    # what it would be told beside latents, time and text
    refused("class_embed_type", NULL, _CLASSES),
    refused("num_class_embeds", NULL, _CLASSES),
    refused("class_embeddings_concat", one_of(False), _CLASSES),
    refused("encoder_hid_dim_type", one_of(None, "text_proj"), _PICTURES),
    refused("dual_cross_attention", one_of(False), _PICTURES),
    refused(
        "addition_embed_type",
        one_of(None, "text"),
        "its UNet is told more than the text, as SDXL's is; use a model of this family",
    ).of("sd"),
    refused(
        "addition_embed_type",
        one_of("text_time"),
        'SDXL\'s UNet is told a pooled text and sizes ("text_time"); use a model of this family',
    ).of("sdxl"),
    *(field.of("sdxl") for field in honoured(COUNTS, *_SIZES)),
    *(field.of("sd") for field in no_effect("it belongs to additions and classes, which are refused", *_SIZES)),
    # what diffusers wrote in other versions
    refused("resnet_pre_temb_non_linearity", one_of(False), "diffusers cannot build it any more"),
)
"""Every field, and what is done with it."""
