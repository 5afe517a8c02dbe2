"""How far a job is, and who wants to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Progress", "Watcher"]


@dataclass(frozen=True)
class Progress:
    """Where a job stands. ``rendered`` frames are of this run, ``frames_done`` of all runs so far.

    ``workers`` render the job now, ``opening`` load its model.
    """

    frames_done: int
    frames_total: int
    rendered: int
    elapsed_s: float
    workers: int
    retries: int
    opening: int = 0

    @property
    def frames_per_s(self) -> float:
        """Speed since the first worker was ready; 0 before the first chunk."""
        return self.rendered / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds to go, None before the first chunk."""
        speed = self.frames_per_s
        return (self.frames_total - self.frames_done) / speed if speed else None


class Watcher(Protocol):
    """Hears what happens to a job, from any thread. The command line shows it; tests collect it."""

    def progress(self, progress: Progress) -> None:
        """Called every second or so and after every chunk."""
        ...

    def notice(self, text: str) -> None:
        """Something a person wants to know: a retry, a lost worker."""
        ...
