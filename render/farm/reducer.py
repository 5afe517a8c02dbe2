"""Segments in any order -> the film: ordered, gapless, verified, and only then where it counts.

The reducer trusts nothing: it checks the chunks against the plan, every segment's sum before joining, and the frame
count of what it wrote. It ends with a whole film or with an error; there is no third way.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from render.errors import RunDirError, VideoError
from render.plan import Chunk, Plan, film_name
from render.report import count, logged_bytes
from render.spec import JobSpec, dump
from render.store import Record, RunDir, temporary_folder
from render.video.codecs import ANIMATIONS
from render.video.overlay import write_text
from render.video.pixels import Pixels

__all__ = [
    "damaged",
    "film_stands",
    "gaps_name",
    "make_film",
    "make_film_with_gaps",
    "marked",
    "ordered",
    "valid_records",
    "write_film",
]

STRIPE = 1 / 8  # of the height of a picture that marks a gap


def valid_records(plan: Plan, rundir: RunDir, chunks: Iterable[Chunk]) -> dict[Chunk, Record]:
    """The records of those chunks, in their order, that count for this plan and hold the stills it asks for."""
    found, suffix = rundir.records(), plan.spec.output.frames
    return {
        chunk: record
        for chunk in chunks
        if (record := found.get(chunk)) and record.digest == plan.digest and suffix in (None, record.stills)
    }


def ordered(plan: Plan, records: Mapping[Chunk, Record]) -> list[Record]:
    """The records of all chunks in the order of the film. Raises RunDirError that names what is missing or foreign."""
    missing = [chunk for chunk in plan.chunks if chunk not in records]
    if missing:
        named = ", ".join(str(chunk) for chunk in missing[:5]) + (" …" if len(missing) > 5 else "")
        raise RunDirError(f"missing: {len(missing)} of {count(len(plan.chunks), 'chunk')}, {named}")
    in_order = [records[chunk] for chunk in plan.chunks]
    for record in in_order:
        if record.digest != plan.digest:
            raise RunDirError(f"{record.chunk}: was rendered for another plan ({record.digest[:12]})")
        if len(record.pictures) != len(record.chunk.frames):
            raise RunDirError(f"{record.chunk}: its done record tells of {count(len(record.pictures), 'picture')}")
    if sum(len(record.pictures) for record in in_order) != plan.spec.num_frames:
        raise RunDirError("the chunks do not add up to the film")
    return in_order


def damaged(rundir: RunDir, records: Iterable[Record]) -> list[Record]:
    """The records whose segment's bytes are not what was committed: bit rot, a half-copied directory."""
    records = list(records)
    rundir.fetch_all(record.file for record in records if record.file)
    return [record for record in records if not rundir.intact(record)]


def film_stands(plan: Plan, rundir: RunDir) -> bool:
    """Whether a whole film of this plan lies where it counts."""
    from render.video.reader import probe

    name = film_name(plan)
    if name is None:
        return True
    size = rundir.size(name)
    if size is None:
        return False
    logged, animation = logged_bytes(plan, rundir.events()), name.endswith(ANIMATIONS)
    if animation or (logged is not None and isinstance(rundir.location(name), str)):
        return size == logged  # frames of an animation cannot be counted exactly; a film in a store is not downloaded
    try:
        film = probe(rundir.fetch(name))
    except VideoError:
        return False
    return film.frames == plan.spec.num_frames and film.metadata.get("render-digest") == plan.digest


def make_film(plan: Plan, rundir: RunDir, records: Mapping[Chunk, Record]) -> Path | None:
    """Join all segments, verify the frame count, publish the film; None for a job that wants none.

    Returns a local path of it; in an object store that is a copy, there until the directory's lock is released.
    Raises RunDirError for a gap, VideoError for segments that do not fit together; an older film stays as it was.
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
    described = {**metadata, "render-spec": dump(_without_location(plan.spec))}
    if target.suffix[1:] in ANIMATIONS:
        from render.video.animation import write_animation

        written = write_animation(target, _frames(segments), plan.spec.fps.value, facts=described)
    else:
        from render.video.join import join

        counts = [len(chunk.frames) for chunk in plan.chunks]
        written = join(segments, counts, target, plan.video, described).frames
    if written != plan.spec.num_frames:
        raise VideoError(f"the film came out with {count(written, 'frame')} instead of {plan.spec.num_frames}")


def _without_location(spec: JobSpec) -> JobSpec:
    """The spec without its run directory: where a film was made concerns nobody who gets it."""
    return spec.model_copy(update={"output": spec.output.model_copy(update={"dir": None})})


def _frames(segments: Iterable[Path]) -> Iterator[Pixels]:
    from render.video.reader import decode

    for segment in segments:
        yield from decode(segment)


def gaps_name(plan: Plan) -> str | None:
    """``video.gaps.mp4``; None for a job that wants no film."""
    name = film_name(plan)
    return name.replace("video.", "video.gaps.") if name else None


def make_film_with_gaps(plan: Plan, rundir: RunDir, records: Mapping[Chunk, Record]) -> str | None:
    """Join what is there, with marked frames where chunks are missing; the name of the film, None where there is none.

    As long as the whole film, frame for frame. Raises VideoError, StoreError.
    """
    name = gaps_name(plan)
    if name is None or not records:
        return None
    there = dict(zip(records, rundir.fetch_all(str(record.file) for record in records.values()), strict=True))
    missing = [chunk for chunk in plan.chunks if chunk not in records]
    with temporary_folder("gaps") as folder:
        there |= {chunk: _marked_segment(plan, chunk, Path(folder)) for chunk in missing}
        beside = rundir.scratch(name)
        try:
            write_film(
                plan,
                [there[chunk] for chunk in plan.chunks],
                beside,
                {
                    "title": f"{plan.spec.name} (with gaps)",
                    "comment": f"frames are missing in this film: {', '.join(chunk.name for chunk in missing)}",
                },
            )
            rundir.publish(beside, name)
        finally:
            beside.unlink(missing_ok=True)
    return name


def _marked_segment(plan: Plan, chunk: Chunk, folder: Path) -> Path:
    from render.video.segment import SegmentWriter

    path = folder / f"{chunk.name}{plan.video.suffix}"
    with path.open("wb") as file, SegmentWriter(file, plan.video) as writer:
        for index in chunk.frames:
            writer.write(marked(index, plan.settings.width, plan.settings.height))
    return path


def marked(index: int, width: int, height: int) -> Pixels:
    """The picture in place of frame ``index``: (height, width, 3), grey stripes and which frame is missing."""
    rows, columns = np.mgrid[:height, :width]
    stripes = (rows + columns) // max(int(height * STRIPE), 1) % 2
    card = np.repeat((48 + 48 * stripes).astype(np.uint8)[..., None], 3, axis=2)
    write_text(card, f"frame {index} is missing")
    return card
