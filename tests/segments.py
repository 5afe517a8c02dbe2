"""A segment of two frames, with its record, to commit and read back."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from render.plan import Chunk
from render.store import Note, Record, Segment

__all__ = ["RECORD", "SEGMENT", "SELECTED", "SELECTION"]

RECORD = Record(
    digest="d" * 64,
    chunk=Chunk(0, 2),
    pictures=("0" * 64, "1" * 64),
    file="segments/000000-000002.mp4",
    bytes=7,
    sha256=hashlib.sha256(b"segment").hexdigest(),
    stills="png",
    stills_bytes={"000000.png": 3, "000001.png": 4},
    worker="w0",
    device="cpu",
    began=1.0,
    ended=2.5,
    timings_s={"denoise": 1.0},
    versions={"render": "1"},
    sampler_table="",
    notes=(Note(1, "blank", "was blank"),),
)
SEGMENT = Segment(RECORD, b"segment", {0: b"one", 1: b"four"})

SELECTED = replace(RECORD, chunk=Chunk(0, 3, 2), file=None, bytes=0, stills_bytes={"000000.png": 3, "000002.png": 4})
SELECTION = Segment(SELECTED, b"", {0: b"one", 2: b"four"})
