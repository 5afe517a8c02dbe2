"""WebP as chunks, after RFC 9649: walked one by one, and words written into its Exif.

Files come from anywhere: a chunk is read when it is asked for, and Exif as far as it is understood.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from render.errors import VideoError
from render.video.pieces import exactly, insert

__all__ = ["append_exif", "description", "is_webp", "webp_chunks", "webp_delay", "webp_size"]

HEAD_BYTES = len("RIFFsizeWEBP")
EXIF_FLAG, ALPHA_FLAG = 0x08, 0x10  # of a VP8X chunk
DESCRIPTION, ASCII = 0x010E, 2  # of Exif: the tag ImageDescription, and the type of its value
MAX_TAGS = 1000


def is_webp(start: bytes) -> bool:
    """Whether a file that begins like this is a WebP."""
    return start[:4] == b"RIFF" and start[8:12] == b"WEBP"


def webp_chunks(path: Path, file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Name and size of every chunk, the file standing at its data. Raises VideoError where the file is cut short."""
    position, end = HEAD_BYTES, file.seek(0, 2)
    while position < end:
        file.seek(position)
        head = exactly(path, file, 8)
        size = int.from_bytes(head[4:], "little")
        if position + 8 + size > end:
            raise VideoError(f"{path}: is cut short")
        yield head[:4], size
        position += 8 + size + size % 2


def webp_delay(frame: bytes) -> int:
    """How long a frame is shown, in ms, by the first 16 bytes of its ANMF chunk (2.7.1.1)."""
    return int.from_bytes(frame[12:15], "little")


def webp_size(head: bytes) -> tuple[int, int]:
    """Width and height in pixels, by the 10 bytes of a VP8X chunk (2.7)."""
    return 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little")


def description(exif: bytes) -> bytes:
    """The ImageDescription in the first directory of Exif's TIFF; empty where it has none, or is damaged.

    Pillow would read the whole directory, whose entries may all point to the same megabytes.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return b""
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (tags,) = struct.unpack_from(f"{order}H", exif, start)
        for tag in range(min(tags, MAX_TAGS)):
            name, kind, size, at = struct.unpack_from(f"{order}HHII", exif, start + 2 + 12 * tag)
            if (name, kind) == (DESCRIPTION, ASCII):
                return exif[at : at + size].removesuffix(b"\0")
    except struct.error:
        pass
    return b""


def append_exif(file: BinaryIO, text: bytes, size: tuple[int, int]) -> None:
    """Write Exif behind the pictures of a WebP that was just written, and say so in its head; ``text`` is ASCII.

    A still picture gets that head first, with its ``size``.
    """
    file.seek(HEAD_BYTES)
    first = file.read(9)
    if first[:4] == b"VP8X":
        file.seek(HEAD_BYTES + 8)
        file.write(bytes([first[8] | EXIF_FLAG]))
    else:
        _extend(file, size)
    file.seek(0, 2)
    file.write(_chunk(b"EXIF", _exif(text)))
    length = file.tell()
    file.seek(4)
    file.write((length - 8).to_bytes(4, "little"))


def _exif(text: bytes) -> bytes:
    """Exif of one entry, its value behind the directory."""
    entry = struct.pack("<HHII", DESCRIPTION, ASCII, len(text) + 1, 8 + 2 + 12 + 4)
    return b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4) + text + b"\0"


def _extend(file: BinaryIO, size: tuple[int, int]) -> None:
    """Put the head of an extended WebP before the chunk of a simple one."""
    file.seek(HEAD_BYTES)
    picture = file.read(13)
    alpha = ALPHA_FLAG if picture[:4] == b"VP8L" and picture[12] & 0x10 else 0  # 3.4: alpha_is_used
    sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
    insert(file, HEAD_BYTES, _chunk(b"VP8X", bytes([EXIF_FLAG | alpha, 0, 0, 0]) + sides))


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)
