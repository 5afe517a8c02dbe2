"""Values that are right but for their form, a number in quotes, ``yes`` for true, ``24 fps``: what to write instead.

Knows no fields: what is wanted is a number, a whole number, true or false, or text.
"""

import math
import re
import secrets

from render.spec.quotes import quoted
from render.spec.shown import shown

__all__ = ["fresh_seed", "number_meant", "switch_meant", "text_meant"]

_NUMBER = r"[-+]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:[eE][-+]?\d{1,3})?"
_YES, _NO = ("true", "yes", "on", "y", "1", "1.0"), ("false", "no", "off", "n", "0", "0.0")


def number_meant(value: object, *, whole: bool) -> str | None:
    """The number that a text or a fraction stands for, and why it was not taken: ``20, without quotes``."""
    if isinstance(value, float) and whole and value.is_integer() and abs(value) < 1e20:
        return str(int(value))
    if not isinstance(value, str):
        return None
    text = value.strip().strip("“”„‘’'\"").strip()
    if re.fullmatch(_NUMBER, text):
        found = _number(text, whole=whole)
        return f"{found} without quotes" if found else None
    if not whole and re.fullmatch(r"\d{1,9},\d{1,9}", text):
        return text.replace(",", ".")
    if re.fullmatch(r"[-+]?\d{1,3}(?:[,_ ']\d{3}){1,6}|[-+]?\d{1,20}_\d[\d_]{0,20}", text):
        return re.sub(r"[,_ '+]", "", text)
    if re.fullmatch(r"0x[0-9a-fA-F]{1,16}|0o[0-7]{1,21}|0b[01]{1,64}", text.lower()):
        return str(int(text, 0))
    if match := re.fullmatch(rf"({_NUMBER})\s*[A-Za-z/]{{1,20}}", text):
        return _number(match[1], whole=whole)
    return None


def _number(text: str, *, whole: bool) -> str | None:
    if re.fullmatch(r"[-+]?\d+", text):
        return str(int(text))
    number = float(text)
    if not whole:
        return f"{number:g}" if math.isfinite(number) else None
    return str(int(number)) if number.is_integer() and abs(number) < 1e20 else None


def switch_meant(value: object) -> str | None:
    """``true`` or ``false`` where a word or number stands for one."""
    word = str(value).strip().lower()
    return "true" if word in _YES else "false" if word in _NO else None


def text_meant(value: object) -> str | None:
    """A value in quotes that YAML took for a number, a switch or a list."""
    if isinstance(value, bool | int | float):
        return quoted(shown(value))
    if isinstance(value, list) and value and all(isinstance(part, str | int | float) for part in value):
        return quoted(", ".join(map(str, value)))
    return None


def fresh_seed() -> str:
    """What is said of a seed that means "any": a film needs one that it can be rendered with again."""
    return f"a film needs a seed it can be made again with; here is a fresh one: seed: {secrets.randbelow(2**32)}"
