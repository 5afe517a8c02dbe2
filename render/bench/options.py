"""What ``render bench`` was asked for: words of the command line -> checked values. Raises SpecError for mistakes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from render.errors import SpecError
from render.spec import SAMPLERS, Size, no_such_name

__all__ = ["BACKENDS", "DTYPES", "Options", "batches", "existing", "names", "share", "size"]

BACKENDS = ("eager", "compile", "onnx")
DTYPES = ("fp32", "bf16", "fp16")
MAX_BATCH = 256
MAX_FRAMES = 10_000


@dataclass(frozen=True)
class Options:
    """What to measure and how much of it. ``dtypes`` empty: float32 and the 16 bits that the device is fast in.

    ``frames``: length of the film rendered end to end. ``quick``: seconds a table instead of minutes, noisier.
    """

    model: str = "demo"
    size: str | None = None
    steps: int = 20
    sampler: str = "dpm++2m"
    guidance: float = 7.5
    backends: tuple[str, ...] = ("eager", "compile")
    dtypes: tuple[str, ...] = ()
    batches: tuple[int, ...] = (1, 16)
    frames: int = 32
    rounds: int = 3
    quick: bool = False
    baselines: bool = True

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise SpecError(f"--sampler {self.sampler}: {no_such_name('sampler', self.sampler, SAMPLERS)}")
        _within("--steps", self.steps, 1, 1000)
        _within("--frames", self.frames, 1, MAX_FRAMES)
        _within("--rounds", self.rounds, 1, 100)
        if not 1 <= self.guidance <= 100:
            raise SpecError(f"--guidance {self.guidance:g}: must be from 1 (no guidance) to 100")


def _within(option: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise SpecError(f"{option} {value}: must be from {least} to {most:,}")


def size(text: str | None) -> str | None:
    """``512x512``, or None for the model's own."""
    if text is None:
        return None
    try:
        return str(Size.parse(text))
    except ValueError as error:
        raise SpecError(f"--size {error}") from None


def names(option: str, text: str, known: Iterable[str]) -> tuple[str, ...]:
    """``eager,compile``: names out of ``known``, each once, in the order given."""
    known, found = list(known), [part.strip() for part in text.split(",")]
    kind = option.removeprefix("--").removesuffix("s")
    for name in found:
        if name not in known:
            raise SpecError(f"{option} {text}: {no_such_name(kind, name, known)}")
    return tuple(dict.fromkeys(found))


def batches(text: str) -> tuple[int, ...]:
    """``1,8,16``, ascending, each once."""
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"\d{1,4}", part) and 1 <= int(part) <= MAX_BATCH for part in parts):
        raise SpecError(f"--batches {text}: write numbers from 1 to {MAX_BATCH}, for example 1,8,16")
    return tuple(sorted({int(part) for part in parts}))


def share(text: str) -> float:
    """``10%`` or ``0.1`` -> 0.1."""
    match = re.fullmatch(r"(\d{1,4}(?:\.\d{1,4})?)\s*(%?)", text.strip())
    if not match:
        raise SpecError(f"--threshold {text}: write a share, for example 10% or 0.1")
    return float(match[1]) / (100 if match[2] else 1)


def existing(option: str, path: Path) -> Path:
    """A file that is there."""
    if not path.is_file():
        raise SpecError(f"{option} {path}: no such file")
    return path
