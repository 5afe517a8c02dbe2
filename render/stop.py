"""A request to stop: finish what is being rendered, begin nothing. Made by signal handlers, read by the driver."""

from __future__ import annotations

__all__ = ["Stop"]


class Stop:
    """Set once; which signal asked decides the exit code."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def request(self, signal: int) -> None:
        """Stop because of this signal."""
        self.signal = signal

    @property
    def requested(self) -> bool:
        """Whether somebody has asked."""
        return self.signal is not None
