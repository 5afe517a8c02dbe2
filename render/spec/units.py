"""The small values of a job spec that have a notation of their own: ``128x128``, ``4s``, ``24000/1001``.

Each type is frozen, writes itself back as it was read, and plugs into pydantic and its JSON Schema.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from render.spec.forms import number_meant
from render.spec.shown import shown

__all__ = ["MAX_FRAMES", "Rate", "Size", "Time"]

MAX_FRAMES = 1_000_000  # eleven hours at 24 frames a second; more is a typing mistake, or several jobs
MAX_SECONDS = 1_000_000


class _Notation:
    """What the three types share: validated from YAML by ``parse``, written back by ``plain``."""

    schema: ClassVar[JsonSchemaValue]

    @classmethod
    def parse(cls, value: object) -> Self:
        raise NotImplementedError

    def plain(self) -> int | str:
        """What stands in YAML; ``parse`` reads it back to an equal value."""
        return str(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(cls.plain)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return dict(cls.schema)


@dataclass(frozen=True)
class Size(_Notation):
    """Width and height of a picture in pixels, multiples of 8 because the VAE works in 8x8 blocks."""

    width: int
    height: int

    schema: ClassVar[JsonSchemaValue] = {"type": "string", "pattern": r"^\d+x\d+$", "examples": ["512x512", "1024x576"]}
    smallest: ClassVar[int] = 64
    largest: ClassVar[int] = 4096

    @classmethod
    def parse(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        match = re.fullmatch(r"(\d{1,6})\s*[xX×]\s*(\d{1,6})", value.strip()) if isinstance(value, str) else None
        if not match:
            raise ValueError(f"{shown(value)} is not a size; write width x height in pixels, {_size_meant(value)}")
        size = cls(int(match[1]), int(match[2]))
        for side, pixels in (("width", size.width), ("height", size.height)):
            if not cls.smallest <= pixels <= cls.largest:
                raise ValueError(f"{size}: the {side} must be from {cls.smallest} to {cls.largest} pixels")
            if pixels % 8:
                near = (pixels + 4) // 8 * 8
                raise ValueError(f"{size}: the {side} must be a multiple of 8; the nearest is {near}")
        return size

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def _size_meant(value: object) -> str:
    """``512``, ``[512, 768]``, ``512*768`` as a size; else an example."""
    numbers = value if isinstance(value, list) else re.split(r"\D{1,6}", str(value).strip()[:40])
    sides = [str(number) for number in numbers if re.fullmatch(r"\d{1,5}", str(number))]
    near = [(int(side) + 4) // 8 * 8 for side in sides]
    if len(sides) != len(numbers) or len(sides) not in (1, 2):
        return "for example 512x512"
    if not all(Size.smallest <= side <= Size.largest for side in near):
        return "for example 512x512, or 1024x576"
    return f"{near[0]}x{near[-1]}"


@dataclass(frozen=True)
class Rate(_Notation):
    """Frames per second, exact: ``24``, ``23.976`` (read as 24000/1001) or ``30000/1001``."""

    value: Fraction

    schema: ClassVar[JsonSchemaValue] = {
        "anyOf": [{"type": "number", "minimum": 1, "maximum": 240}, {"type": "string"}],
        "examples": [24, 30, "24000/1001"],
    }

    @classmethod
    def parse(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        rate = _fraction(value)
        if rate is None:
            meant = _rate_meant(value) or "for example 24, 29.97 or 30000/1001"
            raise ValueError(f"{shown(value)} is not a frame rate; write {meant}")
        if not 1 <= rate <= 240:
            raise ValueError(f"{value}: the frame rate must be from 1 to 240 frames per second")
        return cls(_ntsc(rate))

    def plain(self) -> int | str:
        return int(self.value) if self.value.denominator == 1 else str(self.value)

    def __str__(self) -> str:
        return str(self.value)


def _rate_meant(value: object) -> str | None:
    """``24 fps``, ``23,976`` as a rate, also by its exact name; None where it is none."""
    meant = number_meant(value, whole=False)
    rate = _fraction(meant.partition(" ")[0]) if meant else None
    exact = _ntsc(rate) if rate else None
    return f"{meant} or {exact}" if exact and exact != rate else meant


def _fraction(value: object) -> Fraction | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return Fraction(str(value)) if abs(value) < 1e9 else None
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}(/[1-9]\d{0,8}|\.\d{1,9})?", value.strip()):
        return Fraction(value.strip())
    return None


def _ntsc(rate: Fraction) -> Fraction:
    """The exact n*1000/1001 rate that 23.976, 29.97, 59.94 … abbreviate; other rates pass through."""
    exact = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
    return exact if rate.denominator > 1 and abs(exact - rate) < Fraction(1, 100) else rate


_UNITS = {"ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60), "h": Fraction(3600)}


@dataclass(frozen=True)
class Time(_Notation):
    """A point or length of film time: a whole number of frames, or seconds that become frames by rounding once."""

    frames: int | None
    seconds: Fraction | None
    text: str

    schema: ClassVar[JsonSchemaValue] = {
        "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}],
        "examples": [96, "4s", "1m30s", "1:30"],
        "description": "a frame number, or a time: 4s, 250ms, 1m30s, 1:30",
    }

    @classmethod
    def parse(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            if value > MAX_FRAMES:
                raise ValueError(f"frame {value} is beyond the limit of {MAX_FRAMES:,} frames a job")
            return cls(value, None, str(value))
        seconds = _seconds(value.strip()) if isinstance(value, str) else None
        if seconds is None:
            meant = _time_meant(value) or "a whole frame number, or for example 4s, 250ms, 1m30s, 1:30"
            raise ValueError(f"{shown(value)} is not a time; write {meant}")
        if seconds > MAX_SECONDS:
            raise ValueError(f"{value} is beyond the limit of {MAX_SECONDS:,} seconds")
        return cls(None, seconds, str(value).strip())

    def at(self, rate: Rate) -> int:
        """The frame number at ``rate``; exactly half a frame rounds up."""
        if self.frames is not None:
            return self.frames
        assert self.seconds is not None
        return int(self.seconds * rate.value + Fraction(1, 2))

    def plain(self) -> int | str:
        return self.text if self.frames is None else self.frames

    def __str__(self) -> str:
        return self.text


def _time_meant(value: object) -> str | None:
    """``2.5``, ``20 sec``, ``'48'`` as a time: what has no unit is a frame where it is whole, else seconds."""
    text = str(value).strip().lower()
    if match := re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*(s|m|h)(?:ec|econd|in|inute|our|r)s?", text):
        return f"{match[1]}{match[2]}"
    if isinstance(value, float) and value > 0:
        return f"{value:g}s for seconds, or a whole frame number"
    if isinstance(value, str) and text.isdecimal():
        return f"{number_meant(value, whole=True)} for a frame, or {text}s for seconds"
    if match := re.fullmatch(r"(\d{1,9})\s*(?:f|fr|frames?)", text):
        return f"{match[1]}, a frame number without a unit"
    return None


def _seconds(text: str) -> Fraction | None:
    if match := re.fullmatch(r"(?:(\d{1,4}):)?(\d{1,6}):(\d{1,2}(?:\.\d{1,6})?)", text):
        hours, minutes, seconds = match.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + Fraction(seconds)
    parts = re.findall(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h)", text)
    if not parts or re.sub(r"\d{1,9}(?:\.\d{1,9})?\s*(?:ms|s|m|h)\s*", "", text):
        return None
    return sum((Fraction(number) * _UNITS[unit] for number, unit in parts), Fraction(0))
