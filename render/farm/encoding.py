"""The thread of a worker in which pictures are summed, encoded and kept, beside the rendering of the next batch."""

import hashlib
import io
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from render.engine.base import Frame
from render.plan import Plan, Stopwatch
from render.store import Note

__all__ = ["SegmentEncoder"]


AHEAD = 32  # pictures rendered but not yet encoded: one or two batches, so that neither side waits for long


class SegmentEncoder:
    """Makes the segment, the stills and the sums of a chunk's pictures, in a thread of its own."""

    def __init__(self, plan: Plan, suffix: str | None, *, film: bool) -> None:
        from render.video.segment import SegmentWriter

        self.sums: list[str] = []
        self.notes: list[Note] = []
        self.stills: dict[int, bytes] = {}
        self.watch = Stopwatch()
        self._suffix = suffix
        self._file = io.BytesIO()
        self._writer = SegmentWriter(self._file, plan.video) if film else None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the thread; pictures that wait are dropped."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def put(self, picture: Frame) -> None:
        """Hand over a picture; waits while too many are ahead. Raises what encoding an earlier one raised."""
        if len(self._waiting) >= AHEAD:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._take, picture))

    def finish(self) -> bytes:
        """Wait for all pictures; the segment's bytes, none when only stills were asked for."""
        while self._waiting:
            self._waiting.popleft().result()
        with self.watch("encode"):
            if self._writer is not None:
                self._writer.close()
        return self._file.getvalue()

    def _take(self, picture: Frame) -> None:
        with self.watch("encode"):
            self.sums.append(hashlib.sha256(picture.pixels.tobytes()).hexdigest())
            if self._writer is not None:
                self._writer.write(picture.pixels)
            if self._suffix is not None:
                from render.video.stills import encode_still

                self.stills[picture.index] = encode_still(picture.pixels, f".{self._suffix}")
        if picture.remark is not None:
            self.notes.append(Note(picture.index, *picture.remark))
