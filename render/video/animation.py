"""Animated GIF and WebP: small moving pictures for places that show no video.

Frames are uint8 RGB arrays of shape (H, W, 3), taken one at a time; only what is already encoded is kept. Every
failure is a `VideoError` that names the file.
"""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np

from render.errors import StoreError, VideoError, count
from render.video.codecs import ANIMATIONS
from render.video.pixels import Pixels
from render.video.provenance import write_facts
from render.video.reader import open_video, packets, reading, video_errors
from render.video.webp import webp_chunks, webp_delay

__all__ = ["write_animation"]

_GIF_MAX_FPS = 50  # players show a delay under 2 hundredths of a second as 10
_PALETTE_SIDE = 128  # pixels: a palette from the picture at this size is as good, and four times as fast at 512x512
_WEBP_ROUNDING = 2  # ms: libwebp gives the last frame the mean delay


def write_animation(
    path: Path, frames: Iterable[Pixels], fps: Fraction, quality: int = 80, facts: Mapping[str, str] | None = None
) -> int:
    """Write an endlessly looping `.gif` or `.webp`, frame by frame; returns the number of frames. `facts` go with it.

    Frame i is shown at i/fps, rounded to what the form counts in: hundredths of a second in GIF, thousandths in WebP;
    rounding each time by itself keeps the length right. `quality` (1 to 100) is WebP's; GIF gets a palette of its own
    for every frame and error-diffused dither. WebP keeps a frame that differs from the one before by next to
    nothing (4 levels of 255 at quality 80) as a longer showing of that one.

    Raises VideoError: no frame, unlike sizes, GIF above 50 frames a second, a file that does not read back whole.
    """
    if path.suffix[1:] not in ANIMATIONS:
        raise VideoError(f"{path}: is no animation; choose one of {', '.join(f'.{name}' for name in ANIMATIONS)}")
    if path.suffix == ".gif" and fps > _GIF_MAX_FPS:
        raise VideoError(f"{path}: GIF shows at most {_GIF_MAX_FPS} frames a second, not {fps}; write .webp")
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise VideoError(f"{path}: an animation needs at least one frame")
    write, ticks_s = (_write_gif, 100) if path.suffix == ".gif" else (_write_webp, 1000)
    with video_errors(f"{path}: cannot be written"):
        written = write(path, _pictures(path, first, iterator, fps, ticks_s), first.shape, quality)
    if facts:
        try:
            write_facts(path, facts, (first.shape[1], first.shape[0]))
        except OSError as error:
            raise StoreError.of(error, path) from error
    _verify(path, written, round(written * ticks_s / fps))
    return written


def _pictures(
    path: Path, first: Pixels, rest: Iterator[Pixels], fps: Fraction, ticks_s: int
) -> Iterator[av.VideoFrame]:
    """Frames with their times, each rounded by itself."""
    for index, frame in enumerate(chain([first], rest)):
        if frame.shape != first.shape or frame.dtype != np.uint8:
            raise VideoError(f"{path}: frame {index} is {frame.dtype} {frame.shape}, the first is {first.shape}")
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        picture.pts, picture.time_base = round(index * ticks_s / fps), Fraction(1, ticks_s)
        picture.duration = round((index + 1) * ticks_s / fps) - picture.pts
        yield picture


def _write_gif(path: Path, pictures: Iterator[av.VideoFrame], shape: tuple[int, ...], _quality: int) -> int:
    height, width, _ = shape
    written = 0
    with av.open(str(path.absolute()), "w", format="gif", container_options={"loop": "0"}) as container:
        stream = container.add_stream("gif", rate=100, width=width, height=height)
        stream.codec_context.time_base = Fraction(1, 100)
        stream.pix_fmt = "pal8"
        for picture in _with_palettes(pictures, width, height):
            for packet in stream.encode(picture):
                packet.duration = picture.duration
                container.mux(packet)
                written += 1
        assert not stream.encode(None), "the GIF encoder holds nothing back"
    return written


def _with_palettes(pictures: Iterator[av.VideoFrame], width: int, height: int) -> Iterator[av.VideoFrame]:
    """Each picture in the 256 colours that suit it best, by ffmpeg's palettegen and paletteuse.

    One palette for all would need every frame before the first is written.
    """
    graph = av.filter.Graph()
    source = graph.add("buffer", f"video_size={width}x{height}:pix_fmt=rgb24:time_base=1/100:pixel_aspect=1/1")
    split, sink = graph.add("split"), graph.add("buffersink")
    step = max(1, min(width, height) // _PALETTE_SIDE)
    small = graph.add("scale", f"{width // step}:{height // step}:flags=neighbor")
    palette = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
    use = graph.add("paletteuse", "new=1:dither=sierra2_4a")
    source.link_to(split)
    split.link_to(small)
    small.link_to(palette)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    waiting: list[int] = []
    for picture in pictures:
        waiting.append(picture.duration)
        graph.vpush(picture)
        yield from _pull(graph, waiting)
    graph.vpush(None)
    yield from _pull(graph, waiting)


def _pull(graph: av.filter.Graph, durations: list[int]) -> Iterator[av.VideoFrame]:
    """Every picture that is ready; the filters lose durations, so each gets its own back."""
    while True:
        try:
            picture = graph.vpull()
        except (av.BlockingIOError, av.EOFError):  # wants more input; is at its end
            return
        picture.duration = durations.pop(0)
        yield picture


def _write_webp(path: Path, pictures: Iterator[av.VideoFrame], shape: tuple[int, ...], quality: int) -> int:
    height, width, _ = shape
    options, written = {"quality": str(quality), "loop": "0"}, 0
    with av.open(str(path.absolute()), "w", format="webp", container_options={"loop": "0"}) as container:
        stream = container.add_stream("libwebp_anim", rate=1000, options=options, width=width, height=height)
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.pix_fmt = "bgra"  # libwebp's own conversion: its YUV is BT.601, whatever the tags say
        for picture in pictures:
            container.mux(stream.encode(picture.reformat(format="bgra", threads=1)))
            written += 1
        container.mux(stream.encode(None))
    return written


def _verify(path: Path, frames: int, ticks: int) -> None:
    """Read the file back: every frame there, and the length right.

    WebP merges frames that hardly differ and gives the last one the mean delay; without any change it is a still.
    """
    if path.suffix == ".gif":
        with open_video(path) as (_, stream):
            delays = [packet.duration or 0 for packet in packets(path, stream)]
        whole = len(delays) == frames and sum(delays) == ticks
    else:
        delays = _webp_delays(path)
        whole = not delays or abs(sum(delays) - ticks) <= _WEBP_ROUNDING
    if not whole:
        found = count(len(delays), "frame")
        raise VideoError(f"{path}: holds {found} over {sum(delays)} ticks instead of {frames} over {ticks}")


def _webp_delays(path: Path) -> list[int]:
    """The delays, in ms, of the frames of an animated WebP.

    Pillow knows a delay only after it has decoded the frame: 9 ms at 512x512, where writing it takes 57.
    """
    with reading(path) as file:
        return [webp_delay(file.read(16)) for name, _ in webp_chunks(path, file) if name == b"ANMF"]
