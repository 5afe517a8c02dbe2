"""``model: testcard``: pictures without a network, for proving a cluster, a codec or a disk in seconds.

Every picture carries its frame index twice: as digits for people, and as a row of black and white blocks that survives
any codec and that ``read_index`` reads back. A moving bar shows stutter, colour bars show a wrong matrix or range.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from render.engine.base import Frame
from render.models import testcard_cost_s
from render.plan import Plan, Stopwatch
from render.video.overlay import write_text
from render.video.pixels import Pixels

__all__ = ["TestCard", "draw", "read_index"]

INDEX_BITS = 20  # a job has at most a million frames
PARITY_BITS = 1
BARS = ((191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191))


class TestCard:
    """A renderer that draws test cards; ``testcard:50ms`` takes 50 ms for each, as a model would."""

    __test__ = False  # not a test, whatever its name says to a test runner
    sampler_table = ""
    warnings: tuple[str, ...] = ()

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._cost_s = testcard_cost_s(plan.spec.model) or 0.0

    def pictures(self, frames: Sequence[int], watch: Stopwatch) -> Iterator[Frame]:
        """The cards of ``frames``, in order."""
        settings, total = self._plan.settings, self._plan.spec.num_frames
        for index in frames:
            with watch("denoise"):
                time.sleep(self._cost_s)
                pixels = draw(index, total, settings.width, settings.height)
            yield Frame(index, pixels)


def draw(index: int, total: int, width: int, height: int) -> Pixels:
    """The card of frame ``index`` of ``total``: (height, width, 3)."""
    card = np.zeros((height, width, 3), np.uint8)
    columns = np.arange(width) * len(BARS) // width
    card[: height // 2] = np.array(BARS, np.uint8)[columns]
    card[height // 2 : height * 3 // 4] = np.linspace(0, 255, width).astype(np.uint8)[None, :, None]
    bar = index * width // total
    card[: height // 2, bar : bar + max(width // 64, 2)] = 255
    write_text(card, f"{index:06}")
    _write_bits(card, index)
    return card


def read_index(card: Pixels) -> int | None:
    """The frame index in a card's blocks, None where they are no test card's (its parity is wrong)."""
    rows, edges = _bit_area(card.shape)
    bits = [int(card[rows, left + 1 : right - 1].mean() > 127) for left, right in pairwise(edges)]
    index = sum(bit << place for place, bit in enumerate(bits[:INDEX_BITS]))
    return index if sum(bits) % 2 == 1 else None


def _write_bits(card: Pixels, index: int) -> None:
    bits = [index >> place & 1 for place in range(INDEX_BITS)]
    bits.append(1 - sum(bits) % 2)  # odd parity: an all-black picture is no frame 0
    rows, edges = _bit_area(card.shape)
    for bit, left, right in zip(bits, edges[:-1], edges[1:], strict=True):
        card[rows, left:right] = 255 * bit


def _bit_area(shape: tuple[int, ...]) -> tuple[slice, list[int]]:
    """The rows of the blocks, and the left edge of every block plus the end of the last."""
    height, width = shape[:2]
    blocks = INDEX_BITS + PARITY_BITS
    return slice(height * 3 // 4 + 2, height - 2), [width * block // blocks for block in range(blocks + 1)]
