"""The codecs of segments and films as plain data: names, containers, quality ranges, presets.

Pure: knows no av and no file, so that a job spec is validated without a video library. `encoder.py` turns the rows
into encoders; whether this installation has one is asked by `check_format` in `segment.py`, not here.

Why these pictures in these containers: MP4 and MOV take an integer time base in which every frame rate has a whole
number of ticks a frame, so joints do not drift (Matroska counts milliseconds). MOV is where editors look for ProRes;
ffmpeg's MOV refuses FFV1, its MP4 takes it as RFC 9043, section 4.3.3, describes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

__all__ = ["ANIMATIONS", "CODECS", "CONTAINERS", "Codec", "VideoFormat"]

_MIN_TIMESCALE = 10_000  # ticks a second: ffmpeg's own floor for MP4; players round times that are coarser
_MAX_TIMESCALE = 2**31 - 1  # the field of ISO 14496-12, as ffmpeg reads it (signed)
_X26X_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)


@dataclass(frozen=True)
class Codec:
    """One codec that a film can have.

    `containers` starts with the default. `crf_range` holds the constant-rate factors (0 best), None where quality is
    not a number: lossless FFV1, and ProRes, whose presets are its profiles. `presets` go from fast to slow, or from
    small to large for ProRes. `even` says which of (width, height) must be even, because colour is stored at half
    resolution there. `reorder` is how many frames decoding may run ahead of showing: 2 for a pyramid of B-frames,
    however many there are. `bits_per_pixel` is a rule of thumb, for estimates of a film's size. `options` gives the
    encoder's private options, by ffmpeg's names, for a format without faults.
    """

    name: str
    encoder: str
    containers: tuple[str, ...]
    pixel_format: str
    bits_per_pixel: float
    options: Callable[[VideoFormat], dict[str, str]]
    crf_range: range | None = None
    default_crf: int | None = None
    presets: tuple[str, ...] = ()
    default_preset: str | None = None
    even: tuple[bool, bool] = (True, True)
    reorder: int = 0
    tag: str | None = None
    lossless: bool = False


def _digits(slowest: int, fastest: int) -> tuple[str, ...]:
    """Speed levels as preset names, fast (high) to slow (low)."""
    return tuple(str(level) for level in range(fastest, slowest - 1, -1))


def _x264_options(fmt: VideoFormat) -> dict[str, str]:
    return {"crf": str(fmt.quality), "preset": str(fmt.speed)}


def _x265_options(fmt: VideoFormat) -> dict[str, str]:
    """info=0: its note on the CPU would make segments of unlike workers impossible to join."""
    pools = "none" if fmt.threads == 1 else str(fmt.threads)
    params = f"log-level=none:info=0:open-gop=0:frame-threads=1:pools={pools}"
    return {"crf": str(fmt.quality), "preset": str(fmt.speed), "x265-params": params}


def _svtav1_options(fmt: VideoFormat) -> dict[str, str]:
    return {"crf": str(fmt.quality), "preset": str(fmt.speed), "svtav1-params": f"lp={min(fmt.threads, 6)}"}


def _vp9_options(fmt: VideoFormat) -> dict[str, str]:
    """b=0: constant quality; else crf is only a floor."""
    return {"crf": str(fmt.quality), "b": "0", "deadline": "good", "cpu-used": str(fmt.speed), "row-mt": "1"}


def _prores_options(fmt: VideoFormat) -> dict[str, str]:
    """apl0: some editors refuse ProRes of an unknown maker."""
    return {"profile": str(fmt.speed), "vendor": "apl0"}


def _ffv1_options(_fmt: VideoFormat) -> dict[str, str]:
    """Version 3 with checksums, every frame by itself: the archives' settings."""
    return {"level": "3", "g": "1", "slices": "4", "slicecrc": "1"}


_PROFILES = ("proxy", "lt", "standard", "hq")

# Ranges: x264's crf 0 is lossless in a profile that browsers and phones refuse, so it starts at 1 (take ffv1 instead).
# VP9's levels beyond 5 are for live video. hvc1: Apple's players refuse ffmpeg's default tag for HEVC, hev1.
# fmt: off
_ROWS = (
    Codec("h264", "libx264", ("mp4", "mov"), "yuv420p", 0.25, _x264_options, range(1, 52), 18, _X26X_PRESETS, "medium",
          reorder=2),
    Codec("h265", "libx265", ("mp4", "mov"), "yuv420p", 0.15, _x265_options, range(52), 20, _X26X_PRESETS, "medium",
          reorder=2, tag="hvc1"),
    Codec("av1", "libsvtav1", ("mp4",), "yuv420p", 0.12, _svtav1_options, range(64), 24, _digits(0, 12), "8"),
    Codec("vp9", "libvpx-vp9", ("mp4",), "yuv420p", 0.15, _vp9_options, range(64), 24, _digits(0, 5), "4"),
    Codec("prores", "prores_ks", ("mov",), "yuv422p10le", 4.0, _prores_options, None, None, _PROFILES, "hq",
          even=(True, False)),
    Codec("ffv1", "ffv1", ("mp4",), "bgr0", 10.0, _ffv1_options, even=(False, False), lossless=True),
)
# fmt: on
CODECS: Mapping[str, Codec] = MappingProxyType({row.name: row for row in _ROWS})
"""Every codec by the name that a job spec uses."""
CONTAINERS = tuple(dict.fromkeys(container for row in _ROWS for container in row.containers))
"""Suffixes, without the dot, that segments and films can have."""
ANIMATIONS = ("gif", "webp")
"""Suffixes of films that are moving pictures instead: made of segments, never a segment."""


@dataclass(frozen=True)
class VideoFormat:
    """Everything that decides a segment's bytes, the pictures apart.

    `width` and `height` in pixels, `fps` exact (24000/1001, not 23.976), `crf` and `preset` None for the codec's
    default, `threads` of the encoder: fixed, because with another number most encoders give other bytes; `container`
    None for the codec's default.
    A value out of range is kept; `faults` names it.
    """

    codec: str
    width: int
    height: int
    fps: Fraction
    crf: int | None = None
    preset: str | None = None
    threads: int = 1
    container: str | None = None

    @property
    def settings(self) -> Codec:
        """The row of `CODECS`. KeyError for an unknown codec: ask `faults` first."""
        return CODECS[self.codec]

    @property
    def suffix(self) -> str:
        """Of segments and films, with the dot: `.mp4` or `.mov`."""
        return f".{self.container or self.settings.containers[0]}"

    @property
    def quality(self) -> int | None:
        """The constant-rate factor in force; None where the codec has none."""
        return self.settings.default_crf if self.crf is None else self.crf

    @property
    def speed(self) -> str | None:
        """The preset in force; None where the codec has none."""
        return self.settings.default_preset if self.preset is None else self.preset

    @property
    def timescale(self) -> int:
        """Ticks a second in the container: the smallest power of two times the numerator of `fps` that is fine enough.

        So `tick` is an integer for every rational frame rate.
        """
        assert self.fps > 0, "faults() names this"
        scale = self.fps.numerator
        while scale < _MIN_TIMESCALE:
            scale *= 2
        return scale

    @property
    def tick(self) -> int:
        """Ticks of the container's time base that one frame lasts."""
        return int(self.timescale / self.fps)

    def faults(self) -> tuple[str, ...]:
        """What is wrong, one sentence with its cure each; empty when nothing is. Asks no encoder."""
        if self.codec not in CODECS:
            return (f"there is no codec {self.codec!r}; choose one of {', '.join(CODECS)}",)
        return tuple(self._size_faults() + self._rate_faults() + self._quality_faults())

    def _size_faults(self) -> list[str]:
        faults = []
        sides = zip(("width", "height"), (self.width, self.height), self.settings.even, strict=True)
        for side, pixels, even in sides:
            if pixels < 1:
                faults.append(f"{side} is {pixels}; it must be at least 1 pixel")
            elif even and pixels % 2:
                faults.append(
                    f"{side} {pixels} is odd, and {self.codec} stores colour for pairs of pixels "
                    f"({self.settings.pixel_format}); take {pixels + 1}, or codec ffv1, which takes every size"
                )
        return faults

    def _rate_faults(self) -> list[str]:
        if self.fps <= 0:
            return [f"fps is {self.fps}; it must be above 0"]
        if max(self.timescale, self.tick) > _MAX_TIMESCALE:
            return [f"fps {self.fps} is too fine a fraction for {self.suffix}; round it, as in 24 or 24000/1001"]
        return [f"threads is {self.threads}; it must be at least 1"] if self.threads < 1 else []

    def _quality_faults(self) -> list[str]:
        codec, faults = self.settings, []
        if self.container is not None and self.container not in codec.containers:
            faults.append(f"{self.codec} does not go into {self.container}; take {' or '.join(codec.containers)}")
        if self.crf is not None and codec.crf_range is None:
            faults.append(f"{self.codec} has no crf; leave it out")
        elif self.crf is not None and codec.crf_range is not None and self.crf not in codec.crf_range:
            best, worst = codec.crf_range[0], codec.crf_range[-1]
            faults.append(f"crf {self.crf} is out of range for {self.codec}: {best} (best) to {worst}")
        if self.preset is not None and self.preset not in codec.presets:
            cure = f"choose one of {', '.join(codec.presets)}" if codec.presets else "leave it out"
            faults.append(f"{self.codec} has no preset {self.preset!r}; {cure}")
        return faults
