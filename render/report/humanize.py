"""Numbers as people read them, the same on the terminal and on the page."""

import re

from render.errors import count

__all__ = [
    "count",
    "countdown",
    "duration",
    "filesize",
    "frame_range",
    "milliseconds",
    "per_image",
    "rate",
    "timestamp",
]


def frame_range(chunk: str) -> str:
    """``000000-000008``, half-open, as people read it: ``frames 0–7``. Anything else as it is."""
    match = re.fullmatch(r"(\d+)-(\d+)(x\d+)?", chunk)
    if not match:
        return chunk
    first, last = int(match[1]), int(match[2]) - 1
    return f"frame {first}" if first == last else f"frames {first}–{last}{match[3] or ''}"


def duration(seconds: float) -> str:
    """A length of time: ``850 ms``, ``17.2 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 d 4 h``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def countdown(seconds: float) -> str:
    """A length of time that passes while it is read, in whole seconds: ``1 s``, ``3 min 20 s``."""
    return f"{max(1, round(seconds))} s" if seconds < 59.5 else duration(max(seconds, 60.0))


def per_image(seconds: float) -> str:
    """A time to compare: ``0.53 ms``, ``0.100 s``, ``12.3 s``; from 100 s on as ``duration``."""
    if seconds < 0.001:
        return f"{seconds * 1000:.2g} ms"
    return f"{seconds:#.3g} s" if seconds < 100 else duration(seconds)


def milliseconds(seconds: float, digits: int) -> str:
    """``1,234.5``, without the unit."""
    return f"{seconds * 1000:,.{digits}f}"


def rate(per_s: float) -> str:
    """Of frames in a second: ``0.25``, ``16``, ``1,200``, without the unit."""
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.3g}"


def timestamp(seconds: float) -> str:
    """A point of time: ``0:04.2``, ``1:02:03``."""
    if seconds < 3600:
        minutes, tenths = divmod(round(max(seconds, 0.0) * 10), 600)
        return f"{minutes}:{tenths / 10:04.1f}"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def filesize(number: float) -> str:
    """Bytes: ``850 bytes``, ``1.23 MB``."""
    value, units = float(number), iter(("kB", "MB", "GB"))
    unit = "bytes"
    while value >= 1000 and (larger := next(units, None)):
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}"
