"""Models as files: where one is, which family it is of, what its JSON says, and a sum over all of its files.

Knows no torch, no job and no plan: ``check`` and ``plan`` get their answers here at once. Read `families.py` (the
table), `sources.py` (a name -> a folder), `info.py` (a folder -> ModelInfo), then `contents.py` (which files are read),
`complete.py` (whether they are all there, and whole), `fingerprint.py` and `trust.py`.
"""

from render.models.contents import variants
from render.models.families import FAMILIES, Family, ModelInfo
from render.models.info import describe, with_tiny
from render.models.sources import fetch_model, find, find_tiny, pinned, testcard_cost_s
from render.models.weights import num_parameters

__all__ = [
    "FAMILIES",
    "Family",
    "ModelInfo",
    "describe",
    "fetch_model",
    "find",
    "find_tiny",
    "num_parameters",
    "pinned",
    "testcard_cost_s",
    "variants",
    "with_tiny",
]
