"""stdout and stderr that refuse nothing: no character of theirs, no end that went away. Work goes on without them.

A terminal may know ASCII or Latin-1 only (``LANG=C``, ``PYTHONIOENCODING``), and names of files may be no text at all.
"""

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

__all__ = ["READABLE", "silence", "speaks_unicode", "take_every_character", "unbreakable"]

READABLE = "render-readable"
"""The name of the error handler of ``codecs`` that writes what an encoding lacks."""

PLAIN = str.maketrans(
    {
        **dict.fromkeys(map(chr, range(0x2500, 0x2580)), "+"),  # corners and crossings of boxes
        **dict.fromkeys(map(chr, range(0x2800, 0x2900)), "*"),  # Braille: wheels that turn
        **dict.fromkeys("‐‑‒–—−─━╸╺╴╶", "-"),
        **dict.fromkeys("│┃║", "|"),
        **dict.fromkeys("█▉▊▋▌▍▎▏", "#"),
        **dict.fromkeys("‘’‚′", "'"),
        **dict.fromkeys("“”„″«»", '"'),
        **dict.fromkeys("·•", "*"),
        "…": "...",
        "×": "x",
        "µ": "u",
        "→": "->",
        "←": "<-",
        "\xa0": " ",
        "\u202f": " ",
    }
)


def readable(error: UnicodeError) -> tuple[str, int]:
    """Dashes, quotes and bars as ASCII has them, bytes that are no text as ``\\xff``, all else as ``\\u2600``."""
    assert isinstance(error, UnicodeEncodeError), "a stream only writes"
    text = error.object[error.start : error.end]
    raw = (f"\\x{ord(each) - 0xDC00:02x}" if "\udc80" <= each <= "\udcff" else each for each in text.translate(PLAIN))
    return "".join(raw).encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error(READABLE, readable)


def speaks_unicode(stream: TextIO | None) -> bool:
    """Whether the stream takes every text: not only what ASCII, Latin-1 or another old encoding knows."""
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").startswith("utf")


class SilentStream:
    """A text stream that falls silent, for good, when nobody can be reached any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:  # a closed pipe, a terminal that is gone, a full disk behind `2> log`
            silence(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            silence(self._stream)


def take_every_character() -> None:
    """From now on ``sys.stdout`` and ``sys.stderr`` write what their encoding lacks in characters that it has."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(
                OSError
            ):  # it flushes first: a pipe that is closed is told of where it is written to
                stream.reconfigure(errors=READABLE)


@contextlib.contextmanager
def unbreakable(name: str) -> Iterator[None]:
    """Within, ``sys.stdout`` or ``sys.stderr`` never fails; also where the command was started without one."""
    before: TextIO | None = getattr(sys, name)
    with contextlib.ExitStack() as stack:
        stream = before or stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
        setattr(sys, name, SilentStream(stream))
        try:
            yield
        finally:
            getattr(sys, name).flush()
            setattr(sys, name, before)


def silence(stream: TextIO) -> None:
    """Let a stream lead nowhere, so that what is left in its buffer cannot fail when the process ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)
