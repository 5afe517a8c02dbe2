"""Segments in any order -> the film: ordered, gapless, verified, and only then in its place.

The reducer trusts nothing: it checks the chunks against the plan, every segment's sum before joining, and the frame
count of what it wrote. It ends with a whole film or with an error; there is no third way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from render.errors import RunDirError, VideoError
from render.picture import Pixels
from render.plan import Chunk, Plan
from render.record import Record
from render.rundir import RunDir
from render.spec import JobSpec, dump

__all__ = ["damaged", "film_name", "film_stands", "make_film", "ordered", "write_film"]


def film_name(plan: Plan) -> str | None:
    """The film's name in the run directory, None for a job that wants none."""
    video = plan.spec.output.video
    return f"video.{video}" if video else None


def ordered(plan: Plan, records: Mapping[Chunk, Record]) -> list[Record]:
    """The records of all chunks in the order of the film. Raises RunDirError that names what is missing or foreign."""
    missing = [chunk for chunk in plan.chunks if chunk not in records]
    if missing:
        named = ", ".join(str(chunk) for chunk in missing[:5]) + (" …" if len(missing) > 5 else "")
        raise RunDirError(f"{len(missing)} of {len(plan.chunks)} chunks are missing: {named}")
    in_order = [records[chunk] for chunk in plan.chunks]
    for record in in_order:
        if record.digest != plan.digest:
            raise RunDirError(f"{record.chunk}: was rendered for another plan ({record.digest[:12]})")
        if len(record.pictures) != len(record.chunk.frames):
            raise RunDirError(f"{record.chunk}: its done record tells of {len(record.pictures)} pictures")
    if sum(len(record.pictures) for record in in_order) != plan.spec.num_frames:
        raise RunDirError("the chunks do not add up to the film")
    return in_order


def damaged(rundir: RunDir, records: Iterable[Record]) -> list[Record]:
    """The records whose segment's bytes are not what was committed: bit rot, a half-copied directory."""
    records = list(records)
    rundir.fetch_all(record.file for record in records if record.file)
    return [record for record in records if not rundir.intact(record)]


def film_stands(plan: Plan, rundir: RunDir) -> bool:
    """Whether a whole film of this plan lies in its place."""
    from render.video import probe

    name = film_name(plan)
    if name is None:
        return True
    size = rundir.size(name)
    if size is None:
        return False
    told, animation = _bytes_of(name, plan, rundir), name.endswith((".gif", ".webp"))
    if animation or (told is not None and isinstance(rundir.place(name), str)):
        return size == told  # the frames of an animation cannot be counted exactly; a film far away is not downloaded
    try:
        film = probe(rundir.fetch(name))
    except VideoError:
        return False
    return film.frames == plan.spec.num_frames and film.metadata.get("render-digest") == plan.digest


def _bytes_of(name: str, plan: Plan, rundir: RunDir) -> int | None:
    """The size of the plan's film as the last run published it here."""
    wanted = ("run-finished", name, plan.digest)
    finished = [
        event for event in rundir.events() if (event["event"], event.get("film"), event.get("digest")) == wanted
    ]
    return finished[-1].get("bytes") if finished else None


def make_film(plan: Plan, rundir: RunDir, records: Mapping[Chunk, Record]) -> Path | None:
    """Join all segments, verify the frame count, bring the film to its place; None for a job that wants none.

    Returns a local path of it; in an object store that is a copy, there until the directory's lock is released.
    Raises RunDirError for a gap, VideoError for segments that do not fit together; the film's place stays as it was.
    """
    name = film_name(plan)
    in_order = ordered(plan, records)
    if name is None:
        return None
    segments = rundir.fetch_all(str(record.file) for record in in_order)
    beside = rundir.scratch(name)
    metadata = {
        "title": plan.spec.name,
        "comment": "rendered by render; `render inspect` prints the job spec",
        "render-digest": plan.digest,
    }
    try:
        write_film(plan, segments, beside, metadata)
        return rundir.publish(beside, name)
    finally:
        beside.unlink(missing_ok=True)


def write_film(plan: Plan, segments: Sequence[Path], target: Path, metadata: Mapping[str, str]) -> None:
    """Join the segments of all chunks, in order, into ``target``; the job spec goes into the metadata as well.

    Raises VideoError for segments that do not fit together, and for a film that is not as long as planned.
    """
    if target.suffix in (".gif", ".webp"):
        from render.animation import write_animation

        written = write_animation(target, _frames(segments), plan.spec.fps.value)
    else:
        from render.film import join

        counts = [len(chunk.frames) for chunk in plan.chunks]
        told = {**metadata, "render-spec": dump(_without_place(plan.spec))}
        written = join(segments, counts, target, plan.video, told).frames
    if written != plan.spec.num_frames:
        raise VideoError(f"the film came out with {written} frames instead of {plan.spec.num_frames}")


def _without_place(spec: JobSpec) -> JobSpec:
    """The spec without its run directory: where a film was made concerns nobody who gets it."""
    return spec.model_copy(update={"output": spec.output.model_copy(update={"dir": None})})


def _frames(segments: Iterable[Path]) -> Iterator[Pixels]:
    from render.video import decode

    for segment in segments:
        yield from decode(segment)
