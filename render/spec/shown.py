"""What comes from outside, as messages show it: on one line, printable, not too long."""

from render.errors import shown as printable

__all__ = ["MAX_CHARS", "one_line", "shown"]

MAX_CHARS = 600  # of one mistake: the longest lists of known names have 400
MAX_VALUE = 60


def one_line(text: str) -> str:
    """What a terminal shows as it is: keys and values may hold escape sequences."""
    short = printable(text[: MAX_CHARS + 1])
    return short if len(text) <= MAX_CHARS else f"{short[:MAX_CHARS]}…"


def shown(value: object) -> str:
    """A value as it is shown in a message: null and true by their YAML names, what is long cut."""
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 3]}…"
