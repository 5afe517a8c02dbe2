"""plan."""

from __future__ import annotations

from render.plan.auto import resolve, resolve_again
from render.plan.chunks import Chunk, parse_frames
from render.plan.graphs import graph_mistakes
from render.plan.machine import Machine, has_gpu, this_cpu
from render.plan.plan import Plan, film_name, select
from render.plan.settings import GRAPH_BACKENDS, BatchTimings, Settings
from render.plan.stages import OPENING_STAGES, STAGES, Stopwatch
from render.plan.timeline import FrameState, Timeline
from render.plan.tracks import Blend

__all__ = [
    "GRAPH_BACKENDS",
    "OPENING_STAGES",
    "STAGES",
    "BatchTimings",
    "Blend",
    "Chunk",
    "FrameState",
    "Machine",
    "Plan",
    "Settings",
    "Stopwatch",
    "Timeline",
    "film_name",
    "graph_mistakes",
    "has_gpu",
    "parse_frames",
    "resolve",
    "resolve_again",
    "select",
    "this_cpu",
]
