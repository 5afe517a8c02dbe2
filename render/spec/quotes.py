"""Prompts that lack quotes, where a comma, colon or bracket ends the text for YAML: the same line with quotes.

Works on text alone, because what lacks quotes was not read as what it means.
"""

import re

__all__ = ["KEYFRAME_KEYS", "TEXTS", "apart", "comment_in", "quoted", "text_cure", "with_quotes"]

TEXTS = ("prompt", "negative")
KEYFRAME_KEYS = ("at", *TEXTS, "seed", "guidance", "ease", "hold")
"""The keys that may stand beside a text in one line: where one of them begins, the text has ended."""

MAX_LINE = 6_000  # longer ones are not looked at: the longest prompt has 4,000 characters

_START = re.compile(rf"(?:^|[{{,\s])(?:{'|'.join(TEXTS)})\s*:\s+(?=\S)")
_FLOW_END = re.compile(rf",\s*(?:{'|'.join(KEYFRAME_KEYS)})\s*:|\}}\s*(?:[\],]|#|$)|$")
_BLOCK_END = re.compile(r"\s#|$")
_WHOLE = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'")
_NEXT = re.compile(
    rf"(?<=[:\s])(?:{_WHOLE.pattern})|(?<=[^\s{{,\[:-])\s+"
    r"(?=(?:at|seed|guidance|hold)\s*:\s*\d|(?:prompt|negative)\s*:\s|ease\s*:\s*(?:linear|in|out|hold)\b)"
)
"""A text in quotes, or the blanks before a key and its value that nothing parts from what stands before them."""
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


def apart(line: str) -> str | None:
    """What is said of a line where one key follows the value of another with nothing between; None where none does.

    >>> apart('- {at: 0, prompt: "a" seed: 1}')
    'a comma is missing; write - {at: 0, prompt: "a", seed: 1}'
    """
    if not re.match(r"[\s\[{-]*\w{1,40}\s*:\s", line) or len(line) > MAX_LINE:
        return None
    line = line.strip()
    gaps = [found.span() for found in _NEXT.finditer(line) if found[0].isspace()]
    if not gaps:
        return None
    starts, ends = [0, *(end for _, end in gaps)], [*(start for start, _ in gaps), len(line)]
    parts = [line[start:end] for start, end in zip(starts, ends, strict=True)]
    if "{" not in line[: gaps[0][0]]:
        return f"two keys stand on one line; write each on a line of its own: {' and '.join(parts[:3])}"
    with_commas = ", ".join(parts)
    return f"a comma is missing; write {with_quotes(with_commas) or with_commas}"


def text_cure(line: str) -> str:
    """What is said of a line in braces where a comma has ended a text that goes on."""
    cured = with_quotes(line)
    return apart(line) or (
        f"a comma ends a text that has no quotes; {f'write {cured}' if cured else 'put the whole text in quotes'}"
    )


def comment_in(value: str) -> str | None:
    """The comment that YAML sees in a value of one line, or behind it; None where there is none."""
    whole = _WHOLE.match(value)
    start = whole.end() if whole else max(value.rfind("]"), value.rfind("}")) + 1 if value[:1] in "[{" else 0
    found = re.search(r"(?:^|\s)#.*", value[start:])
    return found[0].strip() if found else None


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
