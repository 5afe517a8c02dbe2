"""``render inspect``: the job spec that a film was made from; it travels in the film."""

from __future__ import annotations

import argparse
import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from render.errors import VideoError
from render.spec import Location
from render.spec.location import parse_location, split_location
from render.store import RunDir

if TYPE_CHECKING:
    from render.video.reader import VideoInfo

__all__ = ["EXAMPLES", "FilmSummary", "add", "inspect", "run"]

EXAMPLES = "example: render inspect video.mp4 > job.yaml"


@dataclass(frozen=True)
class FilmSummary:
    """What a film says of itself; these names and values are the JSON of ``render inspect``. ``spec`` is YAML."""

    film: str
    frames: int
    size: str
    fps: str
    codec: str
    digest: str | None
    spec: str


def add(parser: argparse.ArgumentParser) -> None:
    """Which film."""
    parser.add_argument("film", type=parse_location, help="a file, or s3://bucket/prefix/video.mp4")
    parser.set_defaults(only_prints=True)


def run(options: argparse.Namespace) -> int:
    """Print the spec, below a comment with the film's measures."""
    summary = inspect(options.film)
    if options.json:
        print(json.dumps(asdict(summary)))
    else:
        facts = (f"{summary.frames} frames", summary.size, summary.codec, f"plan {summary.digest}")
        print(f"# {summary.film}: {', '.join(facts)}")
        print(summary.spec, end="")
    return 0


def inspect(film: Location) -> FilmSummary:
    """The job spec, digest and measures of a film. Raises VideoError for a file that is no film of ours."""
    found = _probe(film)
    spec = found.metadata.get("render-spec")
    if spec is None:
        raise VideoError(f"{film}: carries no job spec; it was not made by render, or a tool dropped its metadata")
    return FilmSummary(
        film=str(film),
        frames=found.frames,
        size=f"{found.width}x{found.height}",
        fps=str(found.fps),
        codec=found.codec,
        digest=found.metadata.get("render-digest"),
        spec=spec,
    )


def _probe(film: Location) -> VideoInfo:
    from render.video.reader import probe

    if isinstance(film, Path):
        return probe(film)
    folder, name = split_location(film)
    with contextlib.closing(RunDir(folder)) as rundir:
        if rundir.size(name) is None:
            raise VideoError(f"{film}: no such film")
        return probe(rundir.fetch(name))
