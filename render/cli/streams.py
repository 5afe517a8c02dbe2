"""stdout and stderr of which the other end may go away: a closed terminal, ``| head``. Work goes on without them."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

__all__ = ["silence", "unbreakable"]


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


@contextlib.contextmanager
def unbreakable(name: str) -> Iterator[None]:
    """Within, ``sys.stdout`` or ``sys.stderr`` never fails; also where the command was started without one."""
    before: TextIO | None = getattr(sys, name)
    with contextlib.ExitStack() as stack:
        stream = before or stack.enter_context(open(os.devnull, "w"))
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
