"""Batches of one size: a kernel must never see another, or the same picture would get other bits."""

import math
from collections.abc import Sequence
from typing import TypeVar

__all__ = ["micro_batch", "padded", "parts"]

T = TypeVar("T")

DECODE_BATCH = 8  # pictures a VAE call: its activations are the peak of memory, and larger gains nothing


def padded(items: Sequence[T], size: int) -> list[T]:
    """``size`` items: the last one again and again behind the others."""
    return [*items, *[items[-1]] * (size - len(items))]


def parts(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """The items in order, ``size`` at a time, the last part shorter."""
    return [items[at : at + size] for at in range(0, len(items), size)]


def micro_batch(count: int) -> int:
    """Pictures a VAE call when ``count`` are to be decoded: as many as possible, and in equal parts."""
    return math.ceil(count / math.ceil(count / DECODE_BATCH))
