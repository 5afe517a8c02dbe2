"""Calls of an object store: many at a time, and again after a passing outage. Knows no store and no object."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from render.store.object_errors import StoreUnavailableError, store_errors

__all__ = ["Retry", "each"]

Item = TypeVar("Item")
Result = TypeVar("Result")

CALLS = 32  # at a time: a store answers many as fast as one
PATIENCE_S = 60.0  # an outage that lasts longer ends the job; it can be gone on with
PAUSES_S = (1.0, 10.0)  # between two tries: the first, the longest


class Retry:
    """How long calls are tried. ``patient``: an outage is waited for; without it a person waits and hears at once."""

    def __init__(self) -> None:
        self.patient = False

    def call(self, where: str, call: Callable[[], Result]) -> Result:
        """What the call returns. Raises StoreError under the name of what was read or written."""
        until, pause_s = time.monotonic() + PATIENCE_S, PAUSES_S[0]
        while True:
            try:
                with store_errors(where):
                    return call()
            except StoreUnavailableError:
                if not self.patient or time.monotonic() + pause_s > until:
                    raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSES_S[1])


def each(call: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Results in order, calls many at a time: a store answers each in its own time."""
    items = list(items)
    if len(items) < 2:
        return [call(item) for item in items]
    with ThreadPoolExecutor(min(CALLS, len(items))) as callers:
        return list(callers.map(call, items))
