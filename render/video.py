"""Video files: encode frames into segments, count and decode what is on disk. `film.py` joins segments.

Frames are uint8 RGB arrays of shape (H, W, 3), "HWC". Knows codecs and containers (PyAV); knows no chunk, plan or run
directory, and no still pictures (`stills.py`). Every failure is a `VideoError` that names the file or the setting.

Colour: RGB becomes BT.709 in limited range and is tagged so; an untagged file is read as BT.601 by most players, which
turns [200, 30, 30] into [214, 45, 27].
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from render.codecs import Codec, VideoFormat
from render.encoder import Colour, add_stream, container_options
from render.errors import StoreError, VideoError

__all__ = ["Colour", "Frame", "SegmentWriter", "VideoFormat", "VideoInfo", "check_format", "decode", "probe"]

Frame = NDArray[np.uint8]

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)  # the disk's fault, not the codec's


# swscale's quick roundings cost up to 4 levels when a smooth ramp is decoded (mean error 1.2; with these 0.4) and shift
# chroma by 0.1 when it is encoded. BITEXACT asks for the same numbers from every CPU's code. 0.1 ms more at 512x512.
_SCALING = (
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


def check_format(fmt: VideoFormat) -> None:
    """Prove that this installation can write `fmt`, by encoding one black frame into memory (4–200 ms).

    Raises VideoError: a setting out of range, an encoder missing from this build, a size the encoder refuses.
    """
    with SegmentWriter(BytesIO(), fmt) as writer:
        writer.write(np.zeros((fmt.height, fmt.width, 3), np.uint8))


class SegmentWriter:
    """Encodes frames into one closed segment: starts with a keyframe, refers to nothing outside.

    `file` is binary, seekable and empty; it stays open. The same frames and format give the same bytes on the
    same kind of CPU. Leaving the `with` block by an exception empties `file`: a segment is whole or absent.

    ::

        with SegmentWriter(file, fmt) as writer:
            for frame in frames:
                writer.write(frame)
    """

    def __init__(self, file: BinaryIO, fmt: VideoFormat) -> None:
        if faults := fmt.faults():
            raise VideoError("; ".join(faults))
        self.frames = 0
        self._file, self._format = file, fmt
        self._packets = 0
        self._open = True
        self._reformatter = VideoReformatter()
        with blame(f"cannot encode {fmt.codec} {fmt.width}x{fmt.height} with {fmt.settings.encoder}"):
            self._container = av.open(file, "w", format=fmt.suffix[1:], container_options=container_options(fmt))
            self._stream = add_stream(self._container, fmt)

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Frame) -> None:
        """Append one frame: uint8, (height, width, 3), RGB."""
        if not self._open:
            raise VideoError("this segment is closed; no frame can follow")
        shape = (self._format.height, self._format.width, 3)
        if frame.shape != shape or frame.dtype != np.uint8:
            raise VideoError(f"frame {self.frames} is {frame.dtype} {frame.shape}; this segment takes uint8 {shape}")
        picture = _to_codec(frame, self._format.settings, self._reformatter)
        picture.pts, picture.time_base = self.frames, 1 / self._format.fps
        self._mux(picture)
        self.frames += 1

    def close(self) -> None:
        """Finish the segment. Raises VideoError when it has no frame, or not as many packets as frames."""
        if not self._open:
            return
        self._open = False
        try:
            self._finish()
        except BaseException:
            self._discard()
            raise

    def _finish(self) -> None:
        if not self.frames:
            raise VideoError("a segment needs at least one frame")
        self._mux(None)
        with blame("cannot finish the segment"):
            self._container.close()
        if self._packets != self.frames:
            raise VideoError(f"the encoder made {self._packets} packets of {self.frames} frames")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._open = False
            self._discard()

    def _mux(self, picture: av.VideoFrame | None) -> None:
        with blame(f"{self._format.settings.encoder} failed at frame {self.frames}"):
            for packet in self._stream.encode(picture):
                # Not the encoder's own: x265 leaves it unset or at random in segments shorter than its reordering.
                packet.dts = self._packets - self._format.settings.reorder
                self._container.mux(packet)
                self._packets += 1

    def _discard(self) -> None:
        """Leave nothing that could pass for a segment. libav insists on writing a trailer, so the file is cut after."""
        with suppress(av.FFmpegError):  # the error that led here is the one to tell
            self._container.close()
        self._file.seek(0)
        self._file.truncate()


def _to_codec(frame: Frame, codec: Codec, reformatter: VideoReformatter) -> av.VideoFrame:
    picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
    if codec.lossless:
        return reformatter.reformat(picture, format=codec.pixel_format, threads=1)
    return reformatter.reformat(
        picture,
        format=codec.pixel_format,
        src_color_range=ColorRange.JPEG,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=_SCALING,
        threads=1,
    )


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


def decode(path: Path) -> Iterator[Frame]:
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
            raise VideoError(f"{path}: {held} frames could not be decoded; the file is damaged")


def _to_rgb(picture: av.VideoFrame, reformatter: VideoReformatter) -> Frame:
    rgb = reformatter.reformat(
        picture, format="rgb24", dst_color_range=ColorRange.JPEG, interpolation=_SCALING, threads=1
    )
    pixels: Frame = rgb.to_ndarray().astype(np.uint8, copy=False)
    return pixels


@contextmanager
def open_video(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """A video file and its picture stream. Errors of libav inside the block become VideoError with the file's name."""
    with blame(f"{path}: cannot be read as video"), av.open(str(path.absolute())) as container:
        if not container.streams.video:
            raise VideoError(f"{path}: holds no video")
        yield container, container.streams.video[0]


@contextmanager
def blame(what: str) -> Iterator[None]:
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
    count, container = 0, stream.container
    assert isinstance(container, av.container.InputContainer)
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise VideoError(f"{path}: packet {count} is damaged; the file is cut short or was written badly")
        if packet.size:  # the last one is empty: it flushes decoders
            yield packet
            count += 1
    if stream.frames not in (0, count):  # 0: this container's header does not say
        raise VideoError(f"{path}: holds {count} frames, and its header says {stream.frames}; it is cut short")
    if not count:
        raise VideoError(f"{path}: holds no frame")
