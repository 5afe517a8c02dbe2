"""Memory: what a stretch of work took of it at its peak, what is free, and whether it was what was missing."""

import contextlib
import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from render.errors import EngineError

__all__ = ["NOT_EVEN_ONE", "MemoryMeter", "explaining_memory", "free_bytes", "out_of_memory", "release"]

NOT_EVEN_ONE = "out of memory with a batch of one picture; render smaller pictures or use a larger device"
EVERY_S = 0.005


class MemoryMeter:
    """``with MemoryMeter("cuda") as meter: …``, then ``meter.peak_bytes``: the peak above the level at the start.

    On a GPU what torch's allocator handed out, exactly. On a CPU the resident memory of the process, looked at every
    5 ms: allocators keep pages, so a later stretch may seem to need less than it does.
    """

    def __init__(self, device: str) -> None:
        self._cuda = device == "cuda"
        self.peak_bytes = 0

    def __enter__(self) -> Self:
        if self._cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            self._level = torch.cuda.memory_allocated()
        else:
            self._level = _resident_bytes()
            self._done = threading.Event()
            self._thread = threading.Thread(target=self._look, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cuda:
            self.peak_bytes = max(0, torch.cuda.max_memory_allocated() - self._level)
        else:
            self._done.set()
            self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(EVERY_S):
            self.peak_bytes = max(self.peak_bytes, _resident_bytes() - self._level)


def _resident_bytes() -> int:
    """Resident memory of this process; 0 where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def out_of_memory(error: BaseException) -> bool:
    """Whether memory is what was missing: a CPU's allocator says it in words only."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


@contextlib.contextmanager
def explaining_memory(text: str) -> Iterator[None]:
    """Out of memory inside becomes an EngineError that says ``text``."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise EngineError(text) from error


def free_bytes(device: torch.device) -> int:
    """Memory that nobody has taken, in bytes: a GPU's own, or this machine's."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    with Path("/proc/meminfo").open(encoding="ascii") as lines:
        available = next(line for line in lines if line.startswith("MemAvailable:"))
    return int(available.split()[1]) * 1024


def release() -> None:
    """Give back what models that nobody holds any more still occupy."""
    gc.collect()
    gc.collect()  # graphs that were compiled for what the first one found are let go of by then
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
