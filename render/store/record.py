"""The done record of a chunk and the segment it vouches for: plain data that crosses processes and lies on disk."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from pydantic import ConfigDict, TypeAdapter

from render.plan import Chunk

__all__ = ["Note", "Record", "Segment"]


@dataclass(frozen=True)
class Note:
    """Something a user must know about one frame: it was rendered again in fp32, it is not bit-identical, …"""

    frame: int
    kind: str
    text: str


@dataclass(frozen=True)
class Record:
    """The done record of a chunk: what was rendered, by whom, how long it took, and how to see that it is whole.

    ``pictures`` holds the sha256 of every frame's RGB bytes, in order of ``chunk.frames``; ``timings_s`` the seconds
    the worker spent by stage; ``began`` and ``ended`` are seconds since 1970 by the worker's clock. ``file`` is None
    for a selection of stills.
    """

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    record_version: Literal[1] = field(default=1, kw_only=True)
    digest: str
    chunk: Chunk
    pictures: tuple[str, ...]
    file: str | None
    bytes: int
    sha256: str
    stills: str | None
    stills_bytes: Mapping[str, int]
    worker: str
    device: str
    began: float
    ended: float
    timings_s: Mapping[str, float]
    versions: Mapping[str, str]
    sampler_table: str
    notes: tuple[Note, ...] = ()

    def to_json(self) -> str:
        """The text of the record's file."""
        return json.dumps(asdict(self), indent=1)

    @staticmethod
    def from_json(text: str) -> "Record":
        """The record in a file. Raises ValueError for text that is none, or of another version of this program."""
        return _RECORDS.validate_json(text)


_RECORDS = TypeAdapter(Record)


@dataclass(frozen=True)
class Segment:
    """What a worker hands over for a chunk: the encoded bytes, stills by frame index, and the record to commit."""

    record: Record
    data: bytes
    stills: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all that is to be committed."""
        return len(self.data) + sum(len(still) for still in self.stills.values())
