"""The parts that ``model_index.json`` names, and the facts of a tokenizer: what one file says of another.

Found by JSON alone: whether each part is named as ``[library, class]``, a tokenizer is a CLIP's and knows as many words
as its text encoder, and texts are as wide as the denoiser reads them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from render.errors import ModelError
from render.models.config import read_json
from render.models.families import Family
from render.models.fields.base import Config

__all__ = ["check_index", "check_texts"]

TOKENIZERS = ("CLIPTokenizer", "CLIPTokenizerFast")
LONGEST = 1e31
"""Tokens: transformers writes 1e30 where a tokenizer names no length."""


def check_index(folder: Path, family: Family) -> None:
    """Raises ModelError where the index does not say how a part is loaded, or has a tokenizer that is no CLIP's."""
    index = read_json(folder / "model_index.json")
    for part in family.parts:
        named = index.get(part)
        if not (isinstance(named, list) and len(named) == 2 and all(isinstance(each, str) for each in named)):
            raise ModelError(
                f"{folder / 'model_index.json'}: {part} is {str(named)[:60]}: it is to be [library, class]; fetch the "
                "model again, or save it anew with save_pretrained"
            )
        if part in family.tokenizers and named[0] == "transformers" and named[1] not in TOKENIZERS:
            raise ModelError(
                f"{folder / 'model_index.json'}: {part} is a {named[1][:60]!r}: only {' and '.join(TOKENIZERS)} are "
                "read; use another model"
            )


def check_texts(folder: Path, family: Family) -> None:
    """Raises ModelError where tokenizer, text encoder and denoiser do not fit. What is not written is not compared."""
    widths = []
    for tokenizer, encoder in zip(family.tokenizers, family.text_encoders, strict=True):
        path = folder / encoder / "config.json"
        config = read_json(path)
        width, heads = config.get("hidden_size"), config.get("num_attention_heads")
        if width and heads and width % heads:
            raise ModelError(f"{path}: hidden_size is {width}, no multiple of {heads} num_attention_heads; write one")
        for mistake in _tokenizer_mistakes(folder / tokenizer, config):
            raise ModelError(mistake)
        widths.append(width)
    path = folder / family.denoiser / "config.json"
    if why := _width_mistake(read_json(path), widths):
        raise ModelError(f"{path}: {why}")


def _tokenizer_mistakes(folder: Path, encoder: Config) -> Iterator[str]:
    """What is wrong with its length and its words; files that are not there are no mistake."""
    config, words = folder / "tokenizer_config.json", folder / "vocab.json"
    length = read_json(config).get("model_max_length") if config.exists() else None
    if length is not None and not (type(length) in (int, float) and 2 <= length <= LONGEST):
        yield f"{config}: model_max_length is {repr(length)[:60]}: it is to be a number of tokens, 2 or more"
    if not words.exists():
        return
    numbers, size = list(read_json(words).values()), encoder.get("vocab_size")
    if not numbers or not all(type(number) is int and number >= 0 for number in numbers):
        yield f"{words}: holds no words with their numbers; fetch the model again"
    elif size and max(numbers) >= size:
        yield (
            f"{words}: its words go up to {max(numbers)}, and the text encoder has {size} (vocab_size); "
            "fetch tokenizer and text encoder of the same model"
        )


def _width_mistake(denoiser: Config, widths: list[Any]) -> str | None:
    """Why texts of these widths are none that the denoiser reads: side by side where there are several encoders."""
    field = "encoder_hid_dim" if denoiser.get("encoder_hid_dim") else "cross_attention_dim"
    reads = denoiser.get(field)
    if reads is None or not all(widths):
        return None
    wanted = reads if isinstance(reads, list) else [reads]
    if any(each != sum(widths) for each in wanted):
        return (
            f"{field} is {reads}, and the text encoders' hidden_size make {sum(widths)}: "
            "UNet and text encoders are of different models"
        )
    return None
