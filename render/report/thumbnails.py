"""Pictures of a finished job for its page, decoded from the segments."""

from collections.abc import Sequence

from render.store import Record, RunDir

__all__ = ["decode_thumbnails"]

THUMBNAILS = 24  # on the report's contact sheet


def decode_thumbnails(rundir: RunDir, records: Sequence[Record]) -> list[tuple[int, bytes]]:
    """(frame index, JPEG) of evenly spaced frames of a film; ``records`` of its chunks in order.

    Raises VideoError, StoreError.
    """
    from itertools import islice

    from render.video.reader import decode
    from render.video.stills import encode_still

    last = records[-1].chunk.stop - 1 if records else -1
    wanted = sorted({round(number * last / (THUMBNAILS - 1)) for number in range(THUMBNAILS)})
    found = []
    for record in records:
        inside = [index for index in wanted if index in record.chunk.frames]
        if inside:
            start = record.chunk.start
            pictures = dict(enumerate(islice(decode(rundir.fetch(str(record.file))), inside[-1] - start + 1), start))
            found += [(index, encode_still(pictures[index], ".jpg", 85)) for index in inside]
    return found
