"""Lines that grow where files cannot: numbered objects, of which only the last is written again.

``events/000000.jsonl``, ``events/000001.jsonl``, …: read in order they are one text. Every run begins a part of its
own, so that nothing an earlier one wrote is ever touched.
"""

import threading
import time
from collections.abc import Callable, Iterable

__all__ = ["Journal"]

FLUSH_S = 5.0  # what a killed process may lose of its log, in seconds
PART_BYTES = 256 << 10  # what is written again at every flush stays small


class Journal:
    """One text in parts. ``count`` returns the number of the first part of this run, ``put`` writes one whole."""

    def __init__(self, folder: str, count: Callable[[], int], put: Callable[[str, bytes], None]) -> None:
        self._folder = folder
        self._count = count
        self._put = put
        self._number: int | None = None
        self._part = bytearray()
        self._unsaved = False
        self._saved = 0.0
        self._growing = threading.Lock()

    def append(self, lines: Iterable[bytes]) -> None:
        """Add lines, each with its end. They are put away at once when the last time is ``FLUSH_S`` ago."""
        with self._growing:
            for line in lines:
                if len(self._part) + len(line) > PART_BYTES:
                    self._save()
                    self._number, self._part = self._last + 1, bytearray()
                self._part += line
                self._unsaved = True
            if time.monotonic() - self._saved >= FLUSH_S:
                self._save()

    def flush(self) -> None:
        """Put away what is not yet."""
        with self._growing:
            self._save()

    @property
    def _last(self) -> int:
        if self._number is None:
            self._number = self._count()
        return self._number

    def _save(self) -> None:
        if self._unsaved:
            self._put(f"{self._folder}/{self._last:06}.jsonl", bytes(self._part))
            self._unsaved = False
            self._saved = time.monotonic()
