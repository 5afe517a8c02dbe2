"""models."""

from __future__ import annotations

from render.models.families import FAMILIES, Family, ModelInfo
from render.models.info import describe
from render.models.sources import find, find_tiny, pinned, testcard_cost_s
from render.models.weights import num_parameters

__all__ = [
    "FAMILIES",
    "Family",
    "ModelInfo",
    "describe",
    "find",
    "find_tiny",
    "num_parameters",
    "pinned",
    "testcard_cost_s",
]
