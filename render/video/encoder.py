"""An encoder, opened as a `VideoFormat` says: its options, its colour tags, and what keeps its bytes repeatable.

The four colour tags are code points of ITU-T H.273, the range as ffmpeg counts it.
"""

import os
from dataclasses import dataclass
from functools import cache

import av

from render.errors import VideoError
from render.video.codecs import VideoFormat
from render.video.cpu import cpu_info

__all__ = ["Colour", "add_stream", "container_options"]

os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints ten lines for every segment past all log levels; 1: errors only

_AVX2 = "mmx2,sse2fast,ssse3,sse4.2,avx,fma3,bmi2,avx2"  # x264's names of what every CPU with AVX-512 also has


@dataclass(frozen=True)
class Colour:
    """How a file says that its numbers are colours: code points of H.273; range 1 limited, 2 full, 0 unsaid."""

    matrix: int
    primaries: int
    transfer: int
    range: int


_BT709 = Colour(matrix=1, primaries=1, transfer=1, range=1)
_SRGB = Colour(matrix=0, primaries=1, transfer=13, range=2)


def add_stream(container: av.container.OutputContainer, fmt: VideoFormat) -> av.VideoStream:
    """A stream of ``container``, its encoder open. Raises VideoError where this build of PyAV lacks it."""
    codec = fmt.settings
    _require_encoder(codec.encoder)
    stream = container.add_stream(codec.encoder, rate=fmt.fps, options=codec.options(fmt) | _cpu_options(fmt))
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = fmt.width, fmt.height, codec.pixel_format
    context = stream.codec_context
    context.time_base, context.thread_count = 1 / fmt.fps, fmt.threads
    colour = _SRGB if codec.lossless else _BT709
    context.colorspace, context.color_primaries = colour.matrix, colour.primaries
    context.color_trc, context.color_range = colour.transfer, colour.range
    if codec.tag:
        context.codec_tag = codec.tag
    context.open()
    assert not context.options, f"{codec.encoder} does not know {context.options}"
    return stream


def _cpu_options(fmt: VideoFormat) -> dict[str, str]:
    """Keep x264 off AVX-512 where that would make other bytes at every run.

    Its mbtree for AVX-512 with B-frames reads memory it never wrote, unless a row is a multiple of 8 blocks of 16
    pixels: found at widths 64, 320, 576, 854, not at 128, 512, 896, 1280, 1920. Leaving out mbtree instead cost 40 % in
    size in a trial; AVX2 costs 3 % in time. Found out on Linux only; elsewhere such widths stay unrepeatable.
    """
    whole_rows = -(-fmt.width // 16) % 8 == 0
    return {"x264-params": f"asm={_AVX2}"} if fmt.codec == "h264" and not whole_rows and _has_avx512() else {}


@cache
def _has_avx512() -> bool:
    return "avx512" in cpu_info().get("flags", "")


def _require_encoder(name: str) -> None:
    try:
        av.Codec(name, "w")
    except ValueError as error:
        raise VideoError(
            f"this installation of PyAV was built without {name}; choose another codec, or install the wheel from PyPI"
        ) from error


def container_options(fmt: VideoFormat, *flags: str) -> dict[str, str]:
    """bitexact: no library version and no clock in the file."""
    options = {"fflags": "+bitexact", "video_track_timescale": str(fmt.timescale)}
    return options | ({"movflags": "+" + "+".join(flags)} if flags else {})
