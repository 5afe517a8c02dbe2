"""JobSpec -> ``Plan``: the states of all frames, the chunks, every ``auto`` as a value, and the digest over it all.

Knows no torch, no run directory and no farm; the same spec, machine and model give the same plan.
Read plan first, then modes/ (what a mode makes of its fields), timeline and chunks; auto, presets, graphs and
settings (the values of ``auto``); sampling (the sampler on the model's noise); machine and stages stand by themselves.
"""

from render.plan.auto import resolve
from render.plan.chunks import Chunk, parse_frames
from render.plan.graphs import graph_mistakes
from render.plan.machine import Machine, guessed_machine, this_cpu
from render.plan.plan import Plan, film_name, select
from render.plan.sampling import sampling_mistakes
from render.plan.settings import BatchTimings, Settings
from render.plan.stages import OPENING_STAGES, STAGES, Part, Stage, Stopwatch, stage_info
from render.plan.timeline import Blend, FrameState

__all__ = [
    "OPENING_STAGES",
    "STAGES",
    "BatchTimings",
    "Blend",
    "Chunk",
    "FrameState",
    "Machine",
    "Part",
    "Plan",
    "Settings",
    "Stage",
    "Stopwatch",
    "film_name",
    "graph_mistakes",
    "guessed_machine",
    "parse_frames",
    "resolve",
    "sampling_mistakes",
    "select",
    "stage_info",
    "this_cpu",
]
