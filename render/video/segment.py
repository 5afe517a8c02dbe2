"""Frames in, one segment out: a short video file that stands for itself. `join.py` joins segments.

Frames are uint8 RGB arrays of shape (H, W, 3), "HWC". Knows codecs and containers (PyAV); knows no chunk, plan or run
directory, and no still pictures (`stills.py`). Every failure is a `VideoError` that names the file or the setting.

Colour: RGB becomes BT.709 in limited range and is tagged so; an untagged file is read as BT.601 by most players, which
turns [200, 30, 30] into [214, 45, 27].
"""

from contextlib import suppress
from io import BytesIO
from types import TracebackType
from typing import BinaryIO, Self

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from render.errors import VideoError, count
from render.video.codecs import Codec, VideoFormat
from render.video.encoder import add_stream, container_options
from render.video.pixels import Pixels
from render.video.reader import SCALING, video_errors

__all__ = ["SegmentWriter", "check_format"]


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
        with video_errors(f"cannot encode {fmt.codec} {fmt.width}x{fmt.height} with {fmt.settings.encoder}"):
            self._container = av.open(file, "w", format=fmt.suffix[1:], container_options=container_options(fmt))
            self._stream = add_stream(self._container, fmt)

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Pixels) -> None:
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
        with video_errors("cannot finish the segment"):
            self._container.close()
        if self._packets != self.frames:
            raise VideoError(f"the encoder made {count(self._packets, 'packet')} of {count(self.frames, 'frame')}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._open = False
            self._discard()

    def _mux(self, picture: av.VideoFrame | None) -> None:
        with video_errors(f"{self._format.settings.encoder} failed at frame {self.frames}"):
            for packet in self._stream.encode(picture):
                # Not the encoder's own: x265 leaves it unset or at random in segments shorter than its reordering.
                packet.dts = self._packets - self._format.settings.reorder
                self._container.mux(packet)
                self._packets += 1

    def _discard(self) -> None:
        """Leave nothing that could pass for a segment. libav insists on writing a trailer, so the file is cut after."""
        with suppress(av.FFmpegError):  # the error that led here is the one that counts
            self._container.close()
        self._file.seek(0)
        self._file.truncate()


def _to_codec(frame: Pixels, codec: Codec, reformatter: VideoReformatter) -> av.VideoFrame:
    picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
    if codec.lossless:
        return reformatter.reformat(picture, format=codec.pixel_format, threads=1)
    return reformatter.reformat(
        picture,
        format=codec.pixel_format,
        src_color_range=ColorRange.JPEG,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=SCALING,
        threads=1,
    )
