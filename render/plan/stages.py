"""Stages: what a second of a worker's time was spent on, in which part of the work, and what people call it."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["OPENING_STAGES", "STAGES", "Part", "Stage", "StageInfo", "Stopwatch", "stage_info"]

Stage = Literal["load", "prompt", "export", "compile", "denoise", "decode", "copy", "wait", "rest", "encode"]

Part = Literal["start", "render", "beside"]
"""``start``: once a worker, before its first chunk. ``render``: the chunk itself, one stage after another. ``beside``:
in a thread of its own, so it overlaps ``render`` and is in no total."""


@dataclass(frozen=True)
class StageInfo:
    """``label`` is for people; ``doing`` too, while a worker that starts is at it."""

    part: Part
    label: str
    doing: str = ""


STAGES: Mapping[Stage, StageInfo] = {
    "load": StageInfo("start", "load the model", "loading the model"),
    "prompt": StageInfo("start", "encode the prompts", "encoding the prompts"),
    "export": StageInfo("start", "export to ONNX", "exporting to ONNX"),
    "compile": StageInfo("start", "compile", "compiling"),
    "denoise": StageInfo("render", "denoise"),
    "decode": StageInfo("render", "decode"),
    "copy": StageInfo("render", "copy from the device"),
    "wait": StageInfo("render", "wait for the video encoder"),
    "rest": StageInfo("render", "everything else"),
    "encode": StageInfo("beside", "encode the video"),
}
"""Every stage, in the order of reports. ``wait`` is the render thread waiting for ``encode``; ``rest`` is what no stage
was charged with."""

OPENING_STAGES = tuple(stage for stage, info in STAGES.items() if info.part == "start")

_BY_NAME: Mapping[str, StageInfo] = {str(stage): info for stage, info in STAGES.items()}


def stage_info(name: str) -> StageInfo:
    """Of a stage that was read back; one of another version is charged to rendering, not dropped."""
    return _BY_NAME.get(name, StageInfo("render", name))


class Stopwatch:
    """Seconds by stage. Stages of one thread must not nest: they would be counted twice."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.stage: Stage | None = None  # that of now; read from other threads

    @contextlib.contextmanager
    def __call__(self, stage: Stage) -> Iterator[None]:
        """Charge what happens inside the with-block to ``stage``."""
        began, self.stage = time.perf_counter(), stage
        try:
            yield
        finally:
            self.stage = None
            self.add(stage, time.perf_counter() - began)

    def add(self, stage: Stage, seconds: float) -> None:
        """Charge seconds that were measured elsewhere."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
