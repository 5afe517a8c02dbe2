"""GIF as blocks, after the GIF89a specification: walked one by one, and a comment put before the pictures.

Files come from anywhere: of a block only what is asked for is kept, and no more than a limit of it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from render.errors import VideoError
from render.video.pieces import exactly, insert

__all__ = ["COMMENT", "CONTROL", "gif_blocks", "gif_size", "insert_comment", "is_gif"]

EXTENSION, PICTURE, END = 0x21, 0x2C, 0x3B
CONTROL, COMMENT, APPLICATION = 0xF9, 0xFE, 0xFF  # how long the next picture is shown; words; what a program adds


def is_gif(start: bytes) -> bool:
    """Whether a file that begins like this is a GIF."""
    return start[:6] in (b"GIF87a", b"GIF89a")


def gif_size(path: Path, file: BinaryIO) -> tuple[int, int]:
    """Width and height in pixels."""
    file.seek(6)
    sides = exactly(path, file, 4)
    return int.from_bytes(sides[:2], "little"), int.from_bytes(sides[2:], "little")


def gif_blocks(path: Path, file: BinaryIO, limit: int) -> Iterator[tuple[int, bytes]]:
    """Label and data of every extension, data of up to about ``limit`` bytes. Raises VideoError for a damaged file."""
    file.seek(0)
    exactly(path, file, _table_bytes(exactly(path, file, 13)[10]))
    while (kind := exactly(path, file, 1)[0]) != END:
        if kind == EXTENSION:
            label = exactly(path, file, 1)[0]
            yield label, _data(path, file, limit if label in (CONTROL, COMMENT) else 0)
        elif kind == PICTURE:
            exactly(path, file, _table_bytes(exactly(path, file, 9)[8]) + 1)
            _data(path, file, 0)
        else:
            raise VideoError(f"{path}: is damaged: no GIF holds a block {kind:#04x}")


def insert_comment(path: Path, file: BinaryIO, text: bytes) -> None:
    """Write a comment before the pictures of a GIF: ffmpeg takes one that comes behind them for a picture.

    What says how often the pictures are repeated stays the first block: some look for it there alone.
    """
    file.seek(0)
    exactly(path, file, _table_bytes(exactly(path, file, 13)[10]))
    at = file.tell()
    if exactly(path, file, 2) == bytes([EXTENSION, APPLICATION]):
        _data(path, file, 0)
        at = file.tell()
    pieces = (text[start : start + 255] for start in range(0, len(text), 255))
    blocks = b"".join(bytes([len(piece)]) + piece for piece in pieces)
    insert(file, at, bytes([EXTENSION, COMMENT]) + blocks + b"\0")


def _table_bytes(flags: int) -> int:
    """The size of the table of colours that these flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _data(path: Path, file: BinaryIO, limit: int) -> bytes:
    """The sub-blocks up to the empty one, in one piece."""
    data = bytearray()
    while size := exactly(path, file, 1)[0]:
        piece = exactly(path, file, size)
        if len(data) < limit:
            data += piece
    return bytes(data)
