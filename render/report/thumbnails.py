"""The story of one job: load -> plan -> dispatch -> reduce -> report."""

from __future__ import annotations

from render.store import Record, RunDir

THUMBNAILS = 24  # on the report's contact sheet


def decode_thumbnails(rundir: RunDir, records: list[Record]) -> list[tuple[int, bytes]]:
    """(frame index, JPEG) of evenly spaced frames, decoded from the segments that hold them."""
    from itertools import islice

    from render.video.reader import decode
    from render.video.stills import encode_still

    total = records[-1].chunk.stop if records else 0
    wanted = sorted({round(place * (total - 1) / max(THUMBNAILS - 1, 1)) for place in range(THUMBNAILS)})
    found = []
    for record in records:
        inside = [index for index in wanted if index in record.chunk.frames]
        if inside:
            frames = islice(decode(rundir.fetch(str(record.file))), inside[-1] - record.chunk.start + 1)
            pictures = {record.chunk.start + place: pixels for place, pixels in enumerate(frames)}
            found += [(index, encode_still(pictures[index], ".jpg", 85)) for index in inside]
    return found
