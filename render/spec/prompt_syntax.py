"""Signs in prompts that mean something to other tools and would be read as words here: refused by name, never ignored.

Weights, LoRAs, embeddings, prompt editing, wildcards, alternatives and parts, as A1111, ComfyUI, Compel and extensions
write them in most cases: what may as well be text, ``(note: 5)`` or ``(small)``, is text.
"""

import re
from collections.abc import Iterator
from typing import Any

from render.spec.mistakes import Mistake
from render.spec.quotes import TEXTS
from render.spec.yaml_reader import KeyPath

__all__ = ["syntax_mistakes"]

_WEIGHT = r"-?[012]?\.\d{1,6}"  # as people write them; (note: 5) and (at 12:30) are text
_SIGNS = (
    (r"<(?:lora|lyco|lycoris|loha|hypernet)[^<>]{0,200}>", "LoRAs", "leave it out"),
    (
        # a letter before the colon tells a weight from a ratio, (1:1.85) and (ratio 1:1.85)
        rf"[()](?=[^():]{{0,400}}[^\W\d_])[^():]{{0,400}}(?<!\b1)\s?:\s?{_WEIGHT}\s?\)",
        "weights",
        "write the words alone",
    ),
    (
        r"\({2,9}[^()]{1,400}(?:\)[^()]{0,200}\([^()]{1,200}){0,3}\){2,9}",
        "weights",
        "write the words alone",
    ),
    (
        rf"\([^()]{{1,400}}\)(?:\+{{1,9}}|-{{2,9}}|{_WEIGHT})|(?<!\w)[^\W\d_]{{2,40}}\+{{2,9}}",
        "weights",
        "write the words alone",
    ),
    (
        r"\[[^\[\]:]{0,200}:[^\[\]:]{0,200}:\s*[\d.]{1,8}\s*\]",
        "prompts that change between steps",
        "write one",
    ),
    (
        r"\[(?=[^\[\]:]{0,200}[^\W\d_])[^\[\]:]{1,200}:(?:\d{1,3}|\s?\d?\.\d{1,6})\]",
        "prompts that change between steps",
        "write one",
    ),
    (r"\[[^\[\]|]{0,200}\|[^\[\]]{0,200}\]", "alternatives", "write one of them"),
    (
        # but in SALT AND PEPPER
        r"(?<![\w-])(?<![A-Z][A-Z] )(?:AND|BREAK)(?![\w-])(?! [A-Z]{2})",
        "prompts in several parts",
        "write one text",
    ),
    (r"\bembeddings?:[\w./-]{1,200}", "embeddings", "leave it out"),
    (r"(?<!\w)__[\w/*-]{1,100}__(?!\w)", "wildcards", "write the words that you mean"),
    (r"\{[^{}|]{0,200}\|[^{}]{0,200}\}", "alternatives", "write one of them"),
)
"""What is looked for, what it is called, and the cure."""


def syntax_mistakes(data: Any, path: KeyPath = ()) -> Iterator[Mistake]:
    """One mistake for every prompt in a job spec's data that holds such a sign."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        if key in TEXTS and isinstance(value, str):
            found = ((re.search(sign, value), name, cure) for sign, name, cure in _SIGNS)
            for match, name, cure in [each for each in found if each[0]][:1]:
                sign = match[0] if match else ""
                yield (
                    (*path, key),
                    f"{sign!r}: {name} are not built yet, and the model would read these signs as words; {cure}",
                )
        else:
            yield from syntax_mistakes(value, (*path, key))
