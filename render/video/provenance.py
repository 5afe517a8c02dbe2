"""What an animation says of itself: facts written into a GIF or WebP, and read back.

Facts are words by name (``render-spec``: a whole YAML file), kept as a JSON object in ASCII: the comment of a GIF, the
image description in the Exif of a WebP. No picture changes. Every failure is a `VideoError` that names the file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from render.video.gif import COMMENT, CONTROL, gif_blocks, gif_size, insert_comment, is_gif
from render.video.reader import probe, reading
from render.video.webp import append_exif, description, is_webp, webp_chunks, webp_delay, webp_size

__all__ = ["FilmInfo", "probe_film", "write_facts"]

MAX_BYTES = 8 << 20  # of facts: a spec has 1 MiB at most, and JSON writes six characters for one


@dataclass(frozen=True)
class FilmInfo:
    """What a film holds; `fps` is None where its form does not say it, `duration_s` 0 for a still picture, `facts` are
    empty where it carries none."""

    codec: str
    width: int
    height: int
    fps: Fraction | None
    duration_s: Fraction
    facts: Mapping[str, str]


def probe_film(path: Path) -> FilmInfo:
    """Read a film of any form to its end and say what it holds. Raises VideoError, also for one that is damaged."""
    with reading(path) as file:
        start = file.read(12)
        if is_gif(start):
            return _probe_gif(path, file)
        if is_webp(start):
            return _probe_webp(path, file)
    video = probe(path)
    return FilmInfo(video.codec, video.width, video.height, video.fps, video.frames / video.fps, video.metadata)


def write_facts(path: Path, facts: Mapping[str, str], size: tuple[int, int]) -> None:
    """Add facts to a GIF or WebP of that size in pixels, which was just written and carries none. Raises OSError."""
    text = json.dumps(dict(facts)).encode()
    with path.open("r+b") as file:
        if is_gif(file.read(12)):
            insert_comment(path, file, text)
        else:
            append_exif(file, text, size)


def _probe_gif(path: Path, file: BinaryIO) -> FilmInfo:
    width, height = gif_size(path, file)
    hundredths = 0
    facts: Mapping[str, str] = {}
    for label, data in gif_blocks(path, file, MAX_BYTES):
        if label == CONTROL:
            hundredths += int.from_bytes(data[1:3], "little")
        elif label == COMMENT:
            facts = facts or _facts(data)
    return FilmInfo("gif", width, height, None, Fraction(hundredths, 100), facts)


def _probe_webp(path: Path, file: BinaryIO) -> FilmInfo:
    size, thousandths = (0, 0), 0
    facts: Mapping[str, str] = {}
    for name, length in webp_chunks(path, file):
        if name == b"VP8X":
            size = webp_size(file.read(10))
        elif name == b"ANMF":
            thousandths += webp_delay(file.read(16))
        elif name == b"EXIF" and length <= MAX_BYTES:
            facts = facts or _facts(description(file.read(length)))
    return FilmInfo("webp", *size, None, Fraction(thousandths, 1000), facts)


def _facts(text: bytes) -> dict[str, str]:
    """The words in a text of ours; of any other text none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict) or not all(isinstance(word, str) for word in found.values()):
        return {}
    return found
