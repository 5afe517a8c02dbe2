"""Prompts that lack quotes, where a comma, colon or bracket ends the text for YAML: the same line with quotes.

Works on text alone, because what lacks quotes was not read as what it means.
"""

import re

__all__ = ["KEYFRAME_KEYS", "TEXTS", "quoted", "with_quotes"]

TEXTS = ("prompt", "negative")
KEYFRAME_KEYS = ("at", *TEXTS, "seed", "guidance", "ease", "hold")
"""The keys that may stand beside a text in one line: where one of them begins, the text has ended."""

MAX_LINE = 6_000  # longer ones are not looked at: the longest prompt has 4,000 characters

_START = re.compile(rf"(?:^|[{{,\s])(?:{'|'.join(TEXTS)})\s*:\s+(?=\S)")
_FLOW_END = re.compile(rf",\s*(?:{'|'.join(KEYFRAME_KEYS)})\s*:|\}}\s*(?:[\],]|#|$)|$")
_BLOCK_END = re.compile(r"\s#|$")
_WHOLE = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'")
_PAIRS = {"“": "”", "„": "“", "‘": "’", "«": "»", '"': '"', "'": "'"}


def with_quotes(line: str) -> str | None:
    """The line with its prompts in quotes; None where none of them lacks any, or the line has no prompt.

    >>> with_quotes("- {at: 0, prompt: a castle, oil on canvas, seed: 7}")
    '- {at: 0, prompt: "a castle, oil on canvas", seed: 7}'
    """
    shown, position, changed = "", 0, False
    while (match := _START.search(line, position)) and len(line) <= MAX_LINE:
        start = match.end()
        flow = "{" in line[:start]
        text = _text_at(line, start, _FLOW_END if flow else _BLOCK_END)
        needs = _needs_quotes(text, flow=flow)
        changed |= needs
        shown += line[position:start] + (quoted(text) if needs else text)
        position = start + max(1, len(text))
    return (shown + line[position:]).strip() if changed else None


def quoted(text: str) -> str:
    """The text as YAML takes it for nothing else."""
    if _PAIRS.get(text[:1]) == text[-1:] and len(text) > 1:
        text = text[1:-1]
    elif text[:1] in _PAIRS and not set(text[1:]) & {text[0], _PAIRS[text[0]]}:
        text = text[1:]  # a quote that was never closed
    if '"' in text or "\\" in text:
        return "'" + text.replace("'", "''") + "'"
    return f'"{text}"'


def _text_at(line: str, start: int, ending: re.Pattern[str]) -> str:
    """The text that begins there: up to its closing quote where nothing follows, else up to what ends it."""
    whole = _WHOLE.match(line, start)
    if whole and re.match(r"\s*([,}]|#|$)", line[whole.end() :]):
        return whole[0]
    end = ending.search(line, start)
    return line[start : end.start() if end else len(line)].rstrip()


def _needs_quotes(text: str, *, flow: bool) -> bool:
    """Whether YAML takes some of the text for something else."""
    if _WHOLE.fullmatch(text):
        return False
    special = r"^[\[\]{}*&!|>%@`\"'“„‘«#]|^[?-]\s|:\s|:$" + (r"|[,\[\]{}]" if flow else "")
    return re.search(special, text) is not None
