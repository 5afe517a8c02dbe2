"""The fields of a text encoder's ``config.json``, those of ``CLIPTextConfig``, and what transformers adds to them.

The encoders are built by transformers and read by diffusers' own ``encode_prompt``: what they honour is honoured.
"""

from render.models.fields.base import (
    COUNTS,
    FLAG,
    SIZE,
    TEXTS,
    Field,
    honoured,
    no_effect,
    number,
    one_of,
    refused,
    whole,
)

__all__ = ["TEXT"]

_GENERATES = "it is about text that is written, and CLIP reads"

TEXT: tuple[Field, ...] = (
    refused("model_type", one_of(None, "clip_text_model", "clip"), "only CLIPs are read; use another model"),
    *honoured(SIZE, "vocab_size", "hidden_size", "intermediate_size", "num_attention_heads"),
    *honoured(SIZE.or_null, "projection_dim"),
    *honoured(whole(1, 1000), "num_hidden_layers"),
    *honoured(whole(2, 100_000), "max_position_embeddings", reason="a text has a first and a last token"),
    *honoured(TEXTS, "hidden_act"),
    *honoured(number(0, 1), "layer_norm_eps"),
    *honoured(COUNTS, "bos_token_id", "eos_token_id", "pad_token_id", reason="where the pooled text is read"),
    *honoured(FLAG.or_null, "use_attention_mask", reason="diffusers' own encode_prompt reads it"),
    *no_effect("nothing is dropped when a text is read", "attention_dropout", "dropout"),
    *no_effect("it is about training", "initializer_range", "initializer_factor"),
    *no_effect("it is about training", "label_smoothing", "finetuning_task", "task_specific_params", "problem_type"),
    *no_effect("it is about training", "id2label", "label2id", "logit_scale_init_value"),
    *no_effect("it says who wrote the file", "architectures", "transformers_version", "tokenizer_class"),
    *no_effect("texts are encoded in float32", "use_bfloat16", "tf_legacy_loss", "torchscript"),
    *no_effect("which outputs come back is asked in every call", "output_hidden_states", "output_attentions"),
    *no_effect("which outputs come back is asked in every call", "return_dict", "use_return_dict", "output_scores"),
    *no_effect("it changes how much memory is used", "chunk_size_feed_forward", "use_cache", "attn_implementation"),
    *no_effect("CLIP has one stack of layers", "is_encoder_decoder", "add_cross_attention", "tie_encoder_decoder"),
    *no_effect("CLIP has one stack of layers", "cross_attention_hidden_size", "tie_word_embeddings", "pruned_heads"),
    *no_effect("CLIP has one stack of layers", "is_decoder"),
    *no_effect(_GENERATES, "max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups"),
    *no_effect(_GENERATES, "diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty"),
    *no_effect(_GENERATES, "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids"),
    *no_effect(_GENERATES, "num_return_sequences", "return_dict_in_generate", "forced_bos_token_id", "prefix"),
    *no_effect(_GENERATES, "forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty"),
    *no_effect(_GENERATES, "suppress_tokens", "begin_suppress_tokens", "sep_token_id", "decoder_start_token_id"),
)
"""Every field, and what is done with it."""
