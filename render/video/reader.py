"""Video files as they are on disk: what they hold, their frames, their packets. Writes nothing.

Every failure is a `VideoError` that names the file, but for those of the disk, which are a `StoreError`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from render.errors import StoreError, VideoError, count
from render.video.encoder import Colour
from render.video.pixels import Pixels

__all__ = [
    "SCALING",
    "VideoInfo",
    "codec_of",
    "colour_of",
    "decode",
    "open_video",
    "packets",
    "probe",
    "reading",
    "video_errors",
]


DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)  # the disk's fault, not the codec's


# swscale's quick roundings cost up to 4 levels when a smooth ramp is decoded (mean error 1.2; with these 0.4) and shift
# chroma by 0.1 when it is encoded. BITEXACT asks for the same numbers from every CPU's code. 0.1 ms more at 512x512.
SCALING = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds. `frames` counts its packets, and `duration_s` follows from that; `codec` is ffmpeg's
    name (`hevc` for h265); the keys of `metadata` are those of the file."""

    frames: int
    width: int
    height: int
    fps: Fraction
    codec: str
    pixel_format: str
    colour: Colour
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        return float(self.frames / self.fps)


def probe(path: Path) -> VideoInfo:
    """Read a video file to its end and say what it holds.

    Raises VideoError, with the file's name: missing, not a video, damaged, or shorter than its own header says.
    """
    with open_video(path) as (container, stream):
        if not stream.average_rate:
            raise VideoError(f"{path}: does not say how many frames a second it shows")
        return VideoInfo(
            frames=sum(1 for _ in packets(path, stream)),
            width=stream.width,
            height=stream.height,
            fps=stream.average_rate,
            codec=codec_of(stream),
            pixel_format=stream.pix_fmt or "unknown",
            colour=colour_of(stream),
            metadata=dict(container.metadata),
        )


def decode(path: Path) -> Iterator[Pixels]:
    """The frames of a video in showing order, one at a time; exact for ffv1.

    Colour follows the file's tags. Raises VideoError, with the file's name, where the file cannot be decoded.
    """
    reformatter = VideoReformatter()
    held = 0
    with open_video(path) as (_, stream):
        for packet in chain(packets(path, stream), [None]):
            held += packet is not None
            for picture in stream.decode(packet):
                held -= 1
                yield _to_rgb(picture, reformatter)
        if held:
            raise VideoError(f"{path}: {count(held, 'frame')} could not be decoded; the file is damaged")


def _to_rgb(picture: av.VideoFrame, reformatter: VideoReformatter) -> Pixels:
    rgb = reformatter.reformat(
        picture, format="rgb24", dst_color_range=ColorRange.JPEG, interpolation=SCALING, threads=1
    )
    pixels: Pixels = rgb.to_ndarray().astype(np.uint8, copy=False)
    return pixels


@contextmanager
def open_video(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """A video file and its picture stream. Errors of libav inside the block become VideoError with the file's name."""
    with video_errors(f"{path}: cannot be read as video"), av.open(str(path.absolute())) as container:
        if not container.streams.video:
            raise VideoError(f"{path}: holds no video")
        yield container, container.streams.video[0]


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a film. Raises VideoError where they cannot be read."""
    try:
        with path.open("rb") as file:
            yield file
    except IsADirectoryError:
        raise VideoError(f"{path}: is a folder; name the film in it, video.mp4 for example") from None
    except OSError as error:
        raise VideoError(f"{path}: cannot be read as video: {error.strerror}") from None


@contextmanager
def video_errors(what: str) -> Iterator[None]:
    try:
        yield
    except av.FFmpegError as error:
        if error.errno in DISK_ERRORS:
            raise StoreError.of(OSError(error.errno, error.strerror), what) from error
        raise VideoError(f"{what}: {error}") from error


def codec_of(stream: av.VideoStream) -> str:
    """ffmpeg's name of the codec, not of the decoder at hand: av1, not libdav1d."""
    return stream.codec_context.codec.canonical_name


def colour_of(stream: av.VideoStream) -> Colour:
    context = stream.codec_context
    return Colour(context.colorspace, context.color_primaries, context.color_trc, context.color_range)


def packets(path: Path, stream: av.VideoStream) -> Iterator[av.Packet[av.VideoStream]]:
    """The packets of a stream in decoding order. Raises VideoError where the file is damaged or ends early."""
    number, container = 0, stream.container
    assert isinstance(container, av.container.InputContainer)
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise VideoError(f"{path}: packet {number} is damaged; the file is cut short or was written badly")
        if packet.size:  # the last one is empty: it flushes decoders
            yield packet
            number += 1
    if stream.frames not in (0, number):  # 0: this container's header does not say
        raise VideoError(
            f"{path}: holds {count(number, 'frame')}, and its header says {stream.frames}; it is cut short"
        )
    if not number:
        raise VideoError(f"{path}: holds no frame")
