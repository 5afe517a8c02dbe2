"""The colours of the picture maker: sky gradients, light and tints for each time of day. RGB in [0, 1], sRGB values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Rgb = tuple[float, float, float]


def _rgb(code: str) -> Rgb:
    """`"ff8000"` as three numbers in [0, 1]."""
    return int(code[0:2], 16) / 255, int(code[2:4], 16) / 255, int(code[4:6], 16) / 255


@dataclass(frozen=True)
class Light:
    """One time of day. `sky` runs from the zenith down to the horizon; `tint` multiplies everything on the ground."""

    sky: tuple[Rgb, Rgb, Rgb, Rgb]
    tint: Rgb
    haze: float  # how much of the farthest layer is air, 0 to 1
    cloud: Rgb
    glow: float  # strength of the halo around the body
    lamps: float  # share of the city's windows that are lit
    stars: int


SKY_STOPS: Final = (0.0, 0.25, 0.5, 0.72)  # heights of the four sky colours, from the top

# Each time has a hue and a brightness of its own, so that a look at the sky is enough to tell it.
LIGHTS: Final = {
    "dawn": Light(
        sky=(_rgb("7fabd4"), _rgb("bfc6de"), _rgb("f6d3c4"), _rgb("ffd29a")),
        tint=(0.98, 0.88, 0.86),
        haze=0.58,
        cloud=_rgb("fff0dc"),
        glow=0.42,
        lamps=0.12,
        stars=0,
    ),
    "noon": Light(
        sky=(_rgb("1f6fd0"), _rgb("3f92e4"), _rgb("78b9f0"), _rgb("b4dcf6")),
        tint=(1.06, 1.06, 1.02),
        haze=0.42,
        cloud=_rgb("e4f1fb"),
        glow=0.30,
        lamps=0.0,
        stars=0,
    ),
    "dusk": Light(
        sky=(_rgb("2a1f55"), _rgb("5c2b73"), _rgb("ad4565"), _rgb("f2863f")),
        tint=(0.72, 0.58, 0.68),
        haze=0.44,
        cloud=_rgb("d8607a"),
        glow=0.48,
        lamps=0.35,
        stars=12,
    ),
    "night": Light(
        sky=(_rgb("040817"), _rgb("08122b"), _rgb("0f2142"), _rgb("24446e")),
        tint=(0.50, 0.53, 0.66),
        haze=0.46,
        cloud=_rgb("2a3d62"),
        glow=0.38,
        lamps=0.5,
        stars=60,
    ),
}

BODIES: Final = {
    "red": _rgb("e8261e"),
    "golden": _rgb("ffc21a"),
    "white": _rgb("fffdf4"),
    "pink": _rgb("ff7cc6"),
}

GROUNDS: Final = {
    "blue": _rgb("2f62c4"),
    "green": _rgb("3f9a3c"),
    "violet": _rgb("8446c6"),
    "red": _rgb("c43a30"),
    "golden": _rgb("dca52c"),
    "grey": _rgb("84888e"),
}

LAMP: Final = _rgb("ffd873")
SNOW: Final = _rgb("fbfbff")
