"""What ``report.json`` holds, type by type: plain data that JSON gives back equal.

Names that end in ``_s`` are seconds. ``began_s``, ``ended_s`` and ``time_s`` count since the first run began, which is
``began``, in seconds since 1970. ``run`` is an index of ``runs``, ``chunk`` a chunk's name.
"""

from typing import Any, NotRequired, TypedDict

from render.plan import Part

__all__ = [
    "Bar",
    "Failure",
    "Film",
    "FrameNote",
    "Job",
    "Loss",
    "Piece",
    "Problems",
    "Report",
    "RunTimes",
    "Seconds",
    "Where",
    "WorkerTimes",
]


class Setting(TypedDict):
    """A value that every worker used, and why; no reason where the job says it."""

    value: Any
    reason: str | None


class Job(TypedDict):
    """What was to be rendered. ``spec`` and ``spec_yaml`` say the same, every default written out; ``model`` has name,
    family, and the digests ``fingerprint`` and ``revision`` of its files."""

    name: str
    digest: str
    spec: dict[str, Any]
    spec_yaml: str
    settings: dict[str, Setting]
    model: dict[str, str | None]


class Film(TypedDict):
    """``name`` is None while there is none; ``fps`` may be a fraction."""

    name: str | None
    fps: str
    duration_s: float


class RunTimes(TypedDict):
    """One life of the driver."""

    began_s: float
    ended_s: float
    finished: bool
    frames: int


class StageSeconds(TypedDict):
    """The sum over all workers, and the mean over all frames."""

    part: Part
    sum_s: float
    mean_s: float


class Seconds(TypedDict):
    """Where every second went. An image's seconds are of one worker: ``rendering`` with its model loaded,
    ``with_start`` with the loading shared among all its frames."""

    seconds_per_image: dict[str, float]
    stages: dict[str, StageSeconds]


class WorkerTimes(TypedDict):
    """What one worker did in all runs; ``failed_s`` went into attempts that came to nothing."""

    name: str
    device: str
    chunks: int
    frames: int
    frames_per_s: float
    start_s: float
    busy_s: float
    failed_s: float
    idle_s: float
    idle_share: float


class Bar(TypedDict):
    """A chunk on the timeline; ``start_s`` were spent loading before it began."""

    run: int
    worker: str
    chunk: str
    began_s: float
    ended_s: float
    start_s: float


class Where(TypedDict):
    """When something was logged, and of which worker."""

    run: int
    time_s: float
    worker: str | None


class Piece(TypedDict):
    """The chunk that a worker had, and since when."""

    chunk: str
    began_s: float


class Failure(Where, Piece):
    """A failed attempt; ``mended``: the chunk was rendered later."""

    cause: str
    mended: bool


class Loss(Where):
    """A lost worker, with the chunk it had where it was preempted: the cluster took it away."""

    chunk: NotRequired[str]
    began_s: NotRequired[float]
    cause: str
    preempted: bool


class Damage(TypedDict):
    """A segment whose bytes were not what was committed."""

    run: int
    time_s: float
    chunk: str


class Problems(TypedDict):
    """What went otherwise than planned, by the log."""

    failures: list[Failure]
    workers_lost: list[Loss]
    damaged: list[Damage]
    warnings: list[str]


class FrameNote(TypedDict):
    """Something to be said of one frame."""

    frame: int
    kind: str
    text: str
    chunk: str
    worker: str


class Report(Job, Seconds, Problems):
    """All of it. ``frames`` and ``chunks``: ``rendered`` of ``total``; ``wall_s``: the sum over the runs without the
    time between them; ``bytes``: of all segments; ``remarks``: what a reader must know of the whole film."""

    report_version: int
    film: Film
    complete: bool
    frames: dict[str, int]
    chunks: dict[str, int]
    bytes: int
    began: float
    wall_s: float
    runs: list[RunTimes]
    workers: list[WorkerTimes]
    timeline: list[Bar]
    notes: list[FrameNote]
    versions: dict[str, list[str]]
    sampler_tables: list[str]
    remarks: list[str]
