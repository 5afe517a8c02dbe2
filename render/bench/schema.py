"""What ``report.json`` of a benchmark holds, type by type: plain data that JSON gives back equal.

Names that end in ``_s`` are seconds. A ``case`` is a ``Case`` as plain data; None stands for what was not measured.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired

from typing_extensions import TypedDict  # the standard library's cannot be validated before Python 3.12

__all__ = ["Cause", "Distances", "Failed", "Film", "FilmEntry", "Report", "Result", "Times"]

Case = Mapping[str, Any]


class Distances(TypedDict, total=False):
    """How far pictures are from others. PSNR, of all and of the worst one, is None where they are equal."""

    psnr_db: float | None
    worst_psnr_db: float | None
    ssim: float
    structure_distance: float


class Result(Distances):
    """One measured case. ``mfu``: FLOPs of the picture by the measured peak's, a share; ``of_floor``: how near the
    fused floor it is, 1 being there; ``stages_s`` are of one image. Bytes are peaks above the level before.

    In the table of accuracy, ``against`` is what its pictures and its speed are compared with.
    """

    name: str
    case: Case
    pictures: int
    seconds_per_image: float
    rounds_s: list[float]
    tflop_per_image: float | None
    mfu: float | None
    floor_s: float | None
    of_floor: float | None
    stages_s: dict[str, float]
    start_s: dict[str, float]
    opening_bytes: int
    rendering_bytes: int
    against: NotRequired[str]
    times_as_fast: NotRequired[float]


class Times(TypedDict):
    """How many times as fast, over the rounds."""

    median: float
    least: float
    most: float


class Cause(TypedDict):
    """What makes it fast: against the case before, against the first one, and the same change alone."""

    cause: str
    after: str
    seconds_per_image: float | None
    times: Times | None
    so_far: Times | None
    alone: Times | None


class Film(TypedDict):
    """A film, end to end, ``film_s`` without the start."""

    start_s: float
    film_s: float
    idle_share: float | None
    stages_s: dict[str, float]
    frames: int
    frames_per_s: float
    case: Case


class FilmEntry(Film):
    """One way of making a film; ``best_is_times_as_fast``: ours against it, without the starts."""

    name: str
    best_is_times_as_fast: Times | None


class Failed(TypedDict):
    """What could not be measured, and why."""

    name: str
    reason: str
    case: Case | None


class Report(TypedDict):
    """All of it; a table is there from the beginning and filled when it is measured.

    ``peaks``: the device at its best by dtype; ``parts``: the ``seconds`` of each part of an image alone, and their
    ``case``; ``seconds``: it all took.
    """

    bench_version: int
    made: str
    options: Mapping[str, Any]
    machine: Mapping[str, Any]
    model: Mapping[str, Any]
    results: Sequence[Result]
    causes: Sequence[Cause]
    accuracy: list[Result]
    variations: list[Result]
    films: Sequence[FilmEntry]
    failed: list[Failed]
    peaks: dict[str, dict[str, float]]
    parts: Mapping[str, Mapping[str, Any]]
    seconds: NotRequired[float]
