"""The film: segments joined in order without re-encoding.

Times are counted in frames throughout: a packet's showing index (pts) and decoding index (dts) are whole numbers after
division by the container's tick. ffmpeg's concat demuxer is not used: it leaves out a missing file and reports success.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path

import av

from render.errors import VideoError, count
from render.video.codecs import VideoFormat
from render.video.encoder import Colour, container_options
from render.video.reader import VideoInfo, codec_of, colour_of, open_video, packets, probe, video_errors

__all__ = ["join"]


@dataclass(frozen=True)
class _Kind:
    """What two segments must share, so that one decoder, opened once, reads both."""

    codec: str
    tag: str
    pixel_format: str | None
    width: int
    height: int
    time_base: Fraction | None
    colour: Colour
    extradata: bytes | None

    @classmethod
    def of(cls, stream: av.VideoStream) -> _Kind:
        context = stream.codec_context
        return cls(
            codec=codec_of(stream),
            tag=context.codec_tag,
            pixel_format=stream.pix_fmt,
            width=stream.width,
            height=stream.height,
            time_base=stream.time_base,
            colour=colour_of(stream),
            extradata=context.extradata,
        )

    def difference(self, other: _Kind) -> str | None:
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if mine != theirs:
                return one.name if one.name == "extradata" else f"{one.name} {mine} and {theirs}"
        return None


def join(
    segments: Sequence[Path], counts: Sequence[int], target: Path, fmt: VideoFormat, metadata: Mapping[str, str]
) -> VideoInfo:
    """Join segments into a film without re-encoding; opens one segment at a time, each twice.

    `counts` are the frames each segment must have. `target` is overwritten and not synced: pass a temporary name, and
    rename it when this returns. `metadata` keys are free (`use_metadata_tags`); values may be whole YAML files.
    Every frame comes out exactly as from its segment, frame i shown at i/fps. Returns what `probe` reads back.

    Raises VideoError, naming the files: unlike segments, a wrong count, a damaged file, a film of the wrong length.
    """
    assert len(segments) == len(counts)
    if not segments:
        raise VideoError(f"{target}: there is no segment to join")
    delay = _survey(segments, counts, fmt)
    _remux(segments, target, fmt, metadata, delay)
    film = probe(target)
    if film.frames != sum(counts) or film.fps != fmt.fps:
        raise VideoError(
            f"{target}: came out with {count(film.frames, 'frame')} at {film.fps}/s instead of {sum(counts)} at "
            f"{fmt.fps}/s"
        )
    return film


def _survey(segments: Sequence[Path], counts: Sequence[int], fmt: VideoFormat) -> int:
    """Check every segment against its count and the first segment. Returns the delay of the film, in frames.

    The delay is how far decoding must run ahead of showing: the largest of any segment.
    """
    delay, first = 0, None
    for path, frames in zip(segments, counts, strict=True):
        with open_video(path) as (_, stream):
            kind = _Kind.of(stream)
            first = first or _fitting(path, kind, fmt)
            if difference := first.difference(kind):
                raise VideoError(f"{segments[0]} and {path} cannot be joined: they differ in {difference}")
            delay = max(delay, _delay(path, stream, frames, fmt.tick))
    return delay


def _fitting(path: Path, kind: _Kind, fmt: VideoFormat) -> _Kind:
    """`kind`, unless it is not what `fmt` makes: then VideoError."""
    codec = av.Codec(fmt.settings.encoder, "w").canonical_name
    wanted = (codec, fmt.settings.pixel_format, fmt.width, fmt.height, Fraction(1, fmt.timescale))
    found = (kind.codec, kind.pixel_format, kind.width, kind.height, kind.time_base)
    if found != wanted:
        raise VideoError(f"{path}: is {_words(*found)}, not {_words(*wanted)}; it belongs to another job")
    return kind


def _words(codec: str, pixel_format: str | None, width: int, height: int, time_base: Fraction | None) -> str:
    return f"{codec} {pixel_format} {width}x{height} in steps of {time_base} s"


def _delay(path: Path, stream: av.VideoStream, frames: int, tick: int) -> int:
    """How many frames decoding runs ahead of showing in one segment, which must show so many frames once each."""
    times = [(_whole(packet.pts, tick, path), _whole(packet.dts, tick, path)) for packet in packets(path, stream)]
    if len(times) != frames:
        raise VideoError(f"{path}: holds {count(len(times), 'frame')} instead of {frames}; render this chunk again")
    if sorted(shown for shown, _ in times) != list(range(frames)):
        raise VideoError(f"{path}: its frames are not shown one after the other; render this chunk again")
    return max(index - min(shown, decoded) for index, (shown, decoded) in enumerate(times))


def _whole(time: int | None, tick: int, path: Path) -> int:
    """A packet's time in frames."""
    if time is None or time % tick:
        raise VideoError(f"{path}: has a packet at time {time}, no multiple of {tick}; render this chunk again")
    return time // tick


def _remux(segments: Sequence[Path], target: Path, fmt: VideoFormat, metadata: Mapping[str, str], delay: int) -> None:
    options = container_options(fmt, "faststart", "use_metadata_tags")
    with (
        video_errors(f"{target}: cannot be written"),
        av.open(str(target.absolute()), "w", format=fmt.suffix[1:], container_options=options) as film,
    ):
        film.metadata.update(metadata)
        written, stream = 0, None
        for path in segments:
            with open_video(path) as (_, source):
                stream = stream or _like(film, source, fmt)
                written += _append(film, stream, packets(path, source), fmt, written, delay)


def _like(film: av.container.OutputContainer, source: av.VideoStream, fmt: VideoFormat) -> av.VideoStream:
    """A stream of the film for packets of `source`. opaque: AV1 has no encoder under its decoder's name to copy."""
    stream = film.add_stream_from_template(source, opaque=True)
    stream.codec_context.codec_tag = source.codec_context.codec_tag
    stream.codec_context.framerate = fmt.fps
    return stream


def _append(
    film: av.container.OutputContainer,
    stream: av.VideoStream,
    packets: Iterator[av.Packet[av.VideoStream]],
    fmt: VideoFormat,
    offset: int,
    delay: int,
) -> int:
    """Copy one segment's packets behind `offset` frames; returns their number.

    shown' = shown + offset; decoded' = position in the film - delay. With the one delay that suffices for the worst
    segment, decoding times rise by one a packet over every joint and never pass the showing time.
    """
    number = 0
    for number, packet in enumerate(packets, start=1):
        assert packet.pts is not None
        packet.pts = packet.pts // fmt.tick + offset
        packet.dts = offset + number - 1 - delay
        packet.duration, packet.time_base = 1, 1 / fmt.fps
        packet.stream = stream
        with video_errors(f"{film.name}: cannot be written"):  # a full disk is not the segment's fault
            film.mux(packet)
    return number
