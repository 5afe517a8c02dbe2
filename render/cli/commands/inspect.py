"""``render inspect``: the job spec that a film was made from; it travels in the film."""

import argparse
import contextlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from render.cli.streams import speaks_unicode
from render.errors import SpecError, VideoError, shown
from render.report import count
from render.spec import JobSpec, Location, dump, read_back
from render.spec.location import parse_location, split_location
from render.store import RunDir

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
    summary = inspect(options.film, ascii_only=not (options.json or speaks_unicode(sys.stdout)))
    if options.json:
        print(json.dumps(asdict(summary)))
    else:
        facts = (count(summary.frames, "frame"), summary.size, summary.codec, f"plan {summary.digest}")
        print(f"# {shown(summary.film)}: {', '.join(facts)}")
        print(summary.spec, end="")
    return 0


def inspect(film: Location, *, ascii_only: bool = False) -> FilmSummary:
    """The job spec, digest and measures of a film. What it carries comes from anywhere: only a spec is taken for one.

    Raises VideoError for a file that is no film of ours. ``ascii_only``: the spec's other characters are escaped.
    """
    from render.video.provenance import probe_film

    with _local(film) as path:
        found = probe_film(path)
    spec = _spec(film, found.facts.get("render-spec"))
    fps = found.fps or spec.fps.value
    frames = round(found.duration_s * fps)  # an animation shows a frame that is like the one before as that one, longer
    return FilmSummary(
        film=str(film),
        frames=frames or spec.num_frames,  # and one in which nothing moves as a still
        size=f"{found.width}x{found.height}",
        fps=str(fps),
        codec=found.codec,
        digest=_digest(found.facts.get("render-digest", "")),
        spec=dump(spec, ascii_only=ascii_only),
    )


def _spec(film: Location, text: str | None) -> JobSpec:
    if text is None:
        raise VideoError(f"{film}: carries no job spec; it was not made by render, or a tool dropped its metadata")
    try:
        return read_back(text, "its job spec")
    except SpecError as error:
        first = str(error).partition("\n")[0]
        raise VideoError(f"{film}: was made by another version of render, or tampered with: {first}") from None


def _digest(text: str) -> str | None:
    return text if re.fullmatch("[0-9a-f]{64}", text) else None


@contextlib.contextmanager
def _local(film: Location) -> Iterator[Path]:
    """A local path of the film."""
    if isinstance(film, Path):
        yield film
        return
    folder, name = split_location(film)
    with contextlib.closing(RunDir(folder)) as rundir:
        if rundir.size(name) is None:
            raise VideoError(f"{film}: no such film")
        yield rundir.fetch(name)
