"""Files in pieces: exactly so many bytes read, and bytes put in between without a second copy of the file."""

from pathlib import Path
from typing import BinaryIO

from render.errors import VideoError

__all__ = ["exactly", "insert"]

PIECE_BYTES = 1 << 20


def exactly(path: Path, file: BinaryIO, size: int) -> bytes:
    """That many bytes. Raises VideoError where the file ends before."""
    data = file.read(size)
    if len(data) < size:
        raise VideoError(f"{path}: is cut short")
    return data


def insert(file: BinaryIO, at: int, data: bytes) -> None:
    """Put data into a file, moving what comes behind it."""
    position = file.seek(0, 2)
    while position > at:
        size = min(PIECE_BYTES, position - at)
        position -= size
        file.seek(position)
        piece = file.read(size)
        file.seek(position + len(data))
        file.write(piece)
    file.seek(at)
    file.write(data)
