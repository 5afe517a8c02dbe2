"""The done record of a chunk and the segment it vouches for: plain data that crosses processes and lies on disk."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Self

from render.plan import Chunk

__all__ = ["Note", "Record", "Segment"]

RECORD_VERSION = 1


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
        return json.dumps({"record_version": RECORD_VERSION, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The record in a file. Raises ValueError, KeyError or TypeError for text that is none."""
        content = dict(json.loads(text))
        if content.pop("record_version") != RECORD_VERSION:
            raise ValueError("written by another version of this program")
        content["stills_bytes"] = dict(content["stills_bytes"])
        content["chunk"] = Chunk(**content["chunk"])
        content["pictures"] = tuple(content["pictures"])
        content["notes"] = tuple(Note(**note) for note in content["notes"])
        return cls(**content)


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
