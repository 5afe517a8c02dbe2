"""What fsspec and the stores' own libraries raise -> StoreError: what happened, the cure, and no secrets.

Knows none of these libraries: their errors are known by the package they come from.
"""

import contextlib
import errno
from collections.abc import Iterator
from tempfile import gettempdir

from render.errors import StoreError, redacted

__all__ = ["StoreUnavailableError", "one_line", "store_errors"]

VENDORS = ("aiobotocore", "aiohttp", "azure", "botocore", "fsspec", "gcsfs", "google", "ocifs", "ossfs", "requests")
LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # of the disk with the temporary files: no store says that
READ_CHARS, SHOWN_CHARS = 2_000, 300  # of what a library says


class StoreUnavailableError(StoreError):
    """The store does not answer, or not now: worth another try."""


@contextlib.contextmanager
def store_errors(where: str) -> Iterator[None]:
    """Errors of a store under the name of what was read or written. A programming mistake keeps its traceback."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__module__.split(".")[0] not in VENDORS:
            raise
        lasting = _lasting(error)  # from None: the chain would show what the message leaves out
        raise (
            StoreError(f"{where}: {lasting}") if lasting else StoreUnavailableError(f"{where}: {_outage(error)}")
        ) from None


def one_line(text: str) -> str:
    """``text`` as one short line without what may be a secret."""
    text = redacted(" ".join(text[:READ_CHARS].split()), strict=True)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


def _lasting(error: Exception) -> str | None:
    """What stays so until somebody mends it, with the cure; None for what may pass."""
    text = one_line(str(error)) or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return "there is no such bucket; make it, or choose another output.dir"
    if isinstance(error, PermissionError):
        return (
            f"permission denied ({text}); give these credentials the right to list, read, write and delete there, "
            "or choose another output.dir"
        )
    if "credential" in type(error).__name__.lower():
        return (
            f"no credentials ({text}); set them up as for the store's own tools (for S3 AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or ~/.aws)"
        )
    if isinstance(error, OSError) and error.errno in LOCAL:
        return (
            f"its copy does not fit on this machine's disk of temporary files ({gettempdir()}); free some space or set "
            "TMPDIR, and run the same command again, it goes on where it stopped"
        )
    return None


def _outage(error: Exception) -> str:
    text = one_line(str(error)) or type(error).__name__
    return (
        f"the store refuses or cannot be reached ({text}); what is committed stays: when it answers again, "
        "run the same command again, it goes on where it stopped"
    )
