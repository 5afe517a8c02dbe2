"""The film of a job that failed, for who wants to see it all the same: the frames that are missing are marked.

It has a name of its own and no plan's digest, so that neither a person nor a rerun takes it for the film.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from render.picture import Pixels
from render.plan import Chunk, Plan
from render.record import Record
from render.reduce import film_name, write_film
from render.rundir import RunDir
from render.testcard import write_text

__all__ = ["gaps_name", "make_film_with_gaps", "marked"]

STRIPE = 1 / 8  # of the height


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
    with TemporaryDirectory(prefix="render-gaps-") as folder:
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
    from render.video import SegmentWriter

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
