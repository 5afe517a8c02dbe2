"""Batches of frames on their way through a device: denoised, decoded, made bytes and copied, all of it queued.

Every batch has one size, the tail is padded and the padding dropped. Out of memory halves that size.

Shapes: B batch of pictures, C, H, W channels and size of latents.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from render.engine.backends.base import Backend
from render.engine.batching import micro_batch
from render.engine.device import Marks, download
from render.engine.frame_sampler import Walk
from render.engine.memory import NOT_EVEN_ONE, out_of_memory, release
from render.engine.pixels import Flags, to_uint8
from render.errors import EngineError
from render.plan import Plan, Stopwatch
from render.video.pixels import Pixels

__all__ = ["Batch", "BatchRenderer"]


@dataclass(frozen=True)
class Batch:
    """Up to a batch of frames that the device works on, and their padding; there once ``marks`` are passed."""

    frames: Sequence[int]
    pixels_BHW3: Tensor
    finite_B: Tensor
    marks: Marks
    remark: tuple[str, str] | None

    def fetch(self, watch: Stopwatch) -> tuple[Pixels, Flags]:
        """(pictures, whether each is finite), once they are done; waits for the device."""
        self.marks.charge(watch)
        count = len(self.frames)
        return self.pixels_BHW3.numpy()[:count], self.finite_B.numpy()[:count]


class BatchRenderer:
    """Frames through one backend, ``size`` at a time.

    Out of memory halves ``size`` for the rest of its life: what does not fit once does not fit later.
    """

    def __init__(self, walk: Walk, backend: Backend, plan: Plan, size: int) -> None:
        """``walk`` gives the latents; ``size`` is the plan's batch or, where that did not fit, less."""
        self.size = size
        self._walk = walk
        self._backend = backend
        self._planned = plan.settings.batch
        self._device = torch.device(plan.settings.device)

    def batches(self, frames: Sequence[int]) -> Iterator[Batch]:
        """Give batch after batch to the device, each when it is asked for. Raises EngineError where not one fits."""
        rest = list(frames)
        size, walk = self.size, self._walk(frames, self.size)
        while rest:
            try:
                batch = self._queue(rest[:size], walk)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                if size == 1:
                    raise EngineError(NOT_EVEN_ONE) from None
            else:
                del rest[:size]
                yield batch
                continue
            self.size = size = size // 2
            walk = self._walk(tuple(rest), size)
            release()

    @torch.no_grad()
    def _queue(self, frames: Sequence[int], walk: Iterator[Tensor]) -> Batch:
        marks = Marks(self._device)
        latents_BCHW = next(walk)
        marks.end("denoise")
        pictures = self.decode(latents_BCHW)
        finite, pixels = pictures.isfinite().flatten(1).all(1), to_uint8(pictures)
        marks.end("decode")
        pixels, finite = download(pixels), download(finite)
        marks.end("copy")
        return Batch(frames, pixels, finite, marks, self._remark(len(latents_BCHW)))

    def decode(self, latents_BCHW: Tensor) -> Tensor:
        """Pictures (B, 3, height, width) in float32, about [-1, 1], before they are rounded to bytes.

        In micro-batches of one size, the last one padded: in a smaller one the same picture would get other bits.
        """
        count = len(latents_BCHW)
        size = micro_batch(count)
        whole = torch.cat([latents_BCHW, latents_BCHW[-1:].expand(-count % size, -1, -1, -1)])
        return torch.cat([self._backend.decode(part) for part in torch.split(whole, size)])[:count]

    def _remark(self, size: int) -> tuple[str, str] | None:
        if size == self._planned:
            return None
        return "batch", f"out of memory: rendered at batch {size}, not bit-identical"
