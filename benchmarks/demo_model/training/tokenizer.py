"""The demo model's own tokenizer: CLIP's byte-level BPE with a small vocabulary in which every caption word is a token.

Other words still work: they fall back to pieces and in the end to single bytes. Written as plain `vocab.json` and
`merges.txt`, which transformers 4 and 5 read alike.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Final

BOS: Final = "<|startoftext|>"
EOS: Final = "<|endoftext|>"
END_OF_WORD: Final = "</w>"
MAX_LENGTH: Final = 48  # tokens; the longest caption has about 25, and text encoding costs in proportion

Pair = tuple[str, str]


def byte_symbols() -> list[str]:
    """One printable character for each of the 256 bytes, in GPT-2's and CLIP's order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + k) for k in range(len(others))]


def learn_merges(words: Iterable[str]) -> list[Pair]:
    """Byte-pair encoding of ASCII `words` (each counted once) until every word is a single token."""
    pieces = [[*word[:-1], word[-1] + END_OF_WORD] for word in words]
    merges: list[Pair] = []
    while any(len(word) > 1 for word in pieces):
        counts = Counter(pair for word in pieces for pair in pairwise(word))
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        pieces = [_merge(word, best) for word in pieces]
    return merges


def _merge(word: list[str], pair: Pair) -> list[str]:
    merged: list[str] = []
    for piece in word:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


def vocabulary(merges: list[Pair]) -> dict[str, int]:
    """Token to id, in CLIP's order: bytes, bytes that end a word, merges, start, end."""
    symbols = byte_symbols()
    tokens = [*symbols, *(symbol + END_OF_WORD for symbol in symbols), *(a + b for a, b in merges), BOS, EOS]
    return {token: number for number, token in enumerate(tokens)}


def write_tokenizer(words: Iterable[str], folder: Path) -> dict[str, int]:
    """Write the four tokenizer files into `folder` and return the vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    merges = learn_merges(words)
    vocab = vocabulary(merges)
    special = {"bos_token": BOS, "eos_token": EOS, "pad_token": EOS, "unk_token": EOS}
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": MAX_LENGTH,
        "add_prefix_space": False,
        "do_lower_case": True,
        "errors": "replace",
        **special,
    }
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n", encoding="utf-8")
    return vocab
