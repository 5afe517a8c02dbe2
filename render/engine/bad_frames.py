"""Pictures that are none: NaN, or blank in 16 bits. They are rendered again in float32 or refused, as the spec says."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch

from render.engine.backends.base import LoadedBackend
from render.engine.base import Frame
from render.engine.batch_renderer import Batch
from render.engine.device import DTYPE_NAMES, DTYPES
from render.engine.memory import explaining_memory
from render.engine.pixels import bad_pictures
from render.errors import EngineError
from render.plan import Plan, Stopwatch

__all__ = ["NOT_RESTORED", "BadFrames", "in_float32"]

NO_ROOM = "out of memory while they were tried in fp32; render smaller pictures or use a larger device"
NOT_RESTORED = "the model could not be brought back from fp32 to {}: this worker renders nothing more with it"

Render = Callable[[Sequence[int]], Iterator[Batch]]
"""Frames -> batches, by the eager model, in whatever it computes in then."""


class BadFrames:
    """Judges the pictures of one plan. ``render`` is how it renders some of them again."""

    def __init__(self, plan: Plan, models: LoadedBackend, render: Render) -> None:
        self._plan = plan
        self._models = models
        self._render = render
        self._dtype = DTYPES[plan.settings.dtype]

    def checked(self, batch: Batch, watch: Stopwatch) -> Iterator[Frame]:
        """The frames of ``batch`` in order, bad ones rendered again.

        Raises EngineError for one that stays bad, or where the spec says that bad ones fail.
        """
        pixels, finite = batch.fetch(watch)
        bad = [batch.frames[place] for place in bad_pictures(pixels, finite, self._plan.settings.dtype)]
        again = self._again(bad, watch) if bad else {}
        for index, picture in zip(batch.frames, pixels, strict=True):
            yield again.get(index) or Frame(index, picture, batch.remark)

    def _again(self, frames: Sequence[int], watch: Stopwatch) -> dict[int, Frame]:
        named = f"frames {', '.join(str(index) for index in frames)} came out as"
        if self._plan.spec.engine.bad_frame == "fail":
            raise EngineError(f"{named} NaN or blank, and engine.bad_frame is fail")
        try:
            with in_float32(self._models):
                batches = [(batch, *batch.fetch(watch)) for batch in self._render(frames)]
        except EngineError as error:
            if not self._models.computes_in(self._dtype):
                raise
            raise EngineError(f"{named} NaN or blank; {error}") from error
        if not all(finite.all() for _, _, finite in batches):
            raise EngineError(f"{named} NaN, in float32 too; the model or its prompt is broken")
        return {
            index: Frame(index, picture, self._remark(batch))
            for batch, pixels, _ in batches
            for index, picture in zip(batch.frames, pixels, strict=True)
        }

    def _remark(self, batch: Batch) -> tuple[str, str]:
        text = f"NaN or blank in {self._plan.settings.dtype}"
        if batch.remark is None:
            return "fp32", text
        kind, why = batch.remark
        return kind, f"{text}; in fp32 {why}"


@contextlib.contextmanager
def in_float32(models: LoadedBackend) -> Iterator[None]:
    """Inside, the model computes in float32; afterwards in what it did before, also where the block fails.

    Raises EngineError where memory does not suffice: for what happens inside, or for the way back (`NOT_RESTORED`).
    """
    dtype = models.dtype
    try:
        with explaining_memory(NO_ROOM):
            models.cast(torch.float32)
            yield
    finally:
        with explaining_memory(NOT_RESTORED.format(DTYPE_NAMES[dtype])):
            models.cast(dtype)
