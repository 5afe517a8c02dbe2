"""Where a Ray that is started here keeps its sockets and logs: whether it can, before it tries."""

import os
from pathlib import Path

from ray._common import utils

from render.errors import FarmError, shown
from render.store import obstacle

__all__ = ["check_scratch"]

MAX_SOCKET_BYTES = 107  # of a name: sun_path of unix(7), less its end
SOCKET = "session_2026-01-31_23-59-59_123456_4194304/sockets/plasma_store"  # the longest, under Ray's folder


def check_scratch() -> None:
    """Raise FarmError, with the cure, where Ray's temporary files have no place, or one too deep for sockets.

    Ray makes it in ``RAY_TMPDIR``, else in ``TMPDIR``, else in ``/tmp``, and what it says when it cannot is no help.
    """
    folder = Path(utils.get_default_ray_temp_dir()).absolute()
    cure = (
        "set RAY_TMPDIR to a folder of your own with a short name, /tmp/ray-$USER for example; or render with --local"
    )
    if refusal := obstacle(folder):
        raise FarmError(f"Ray has no place for its sockets and logs: {refusal}; {cure}")
    if (excess := len(os.fsencode(folder / SOCKET)) - MAX_SOCKET_BYTES) > 0:
        raise FarmError(f"Ray keeps sockets in {shown(folder)}: {excess} bytes too long for names of sockets; {cure}")
