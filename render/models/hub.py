"""Models on the Hugging Face hub: what a repository holds, and from its name to a folder in the local cache.

Nobody else asks the hub. Whatever keeps it from answering becomes one sentence with the cure.
"""

import contextlib
import errno
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from render.errors import ModelError

__all__ = ["Tell", "UnreachableError", "cached_folder", "fetch", "repository_files"]

T = TypeVar("T")
Tell = Callable[[str], None]
"""Hears in a few words how far a fetch is, every second."""

TELL_EVERY_S = 1.0
ASK_S = 10.0
"""For the list of a repository's files. The client's own calls wait and try again for half a minute."""
AGAIN = "run the same command again, files that came whole are kept"


class UnreachableError(ModelError):
    """The hub does not answer: what is in the local cache may do."""


def cached_folder(repository: str, revision: str | None, index: str) -> Path | None:
    """The snapshot in the hub's cache that has ``index``, None where there is none. Asks nobody."""
    from huggingface_hub import try_to_load_from_cache

    found = _translated(repository, lambda: try_to_load_from_cache(repository, index, revision=revision))
    return Path(found).parent if isinstance(found, str) else None


def repository_files(repository: str, revision: str | None) -> dict[str, int]:
    """The paths of all files in a repository, with their bytes. Raises UnreachableError, ModelError."""
    from huggingface_hub import HfApi

    info = _translated(
        repository, lambda: HfApi().model_info(repository, revision=revision, timeout=ASK_S, files_metadata=True)
    )
    return {sibling.rfilename: sibling.size or 0 for sibling in info.siblings or ()}


def fetch(repository: str, revision: str | None, files: Mapping[str, int], tell: Tell | None = None) -> Path:
    """The snapshot in the hub's cache, with ``files`` (and their bytes) in it; what is there is not fetched again.

    A connection that breaks off is taken up again by the hub's client, a few times. Raises UnreachableError,
    ModelError.
    """
    from huggingface_hub import snapshot_download

    missing = {path: size for path, size in files.items() if cached_folder(repository, revision, path) is None}
    with _told(repository, sum(missing.values()), tell if missing else None):
        fetched = _translated(
            repository, lambda: snapshot_download(repository, revision=revision, allow_patterns=list(files))
        )
    return Path(fetched)


@contextlib.contextmanager
def _told(repository: str, total: int, tell: Tell | None) -> Iterator[None]:
    """Within, ``tell`` hears every second how much has come of ``total`` bytes, by what lies in the cache."""
    if tell is None:
        yield
        return
    before, done = _bytes_here(repository), threading.Event()

    def say() -> None:
        here = min(max(_bytes_here(repository) - before, 0), total)
        unit, name = (1e9, "GB") if total >= 1e9 else (1e6, "MB")
        tell(f"fetching {repository}: {here / unit:.1f} of {total / unit:.1f} {name}")

    def watch() -> None:
        while not done.wait(TELL_EVERY_S):
            say()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    say()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    say()


def _bytes_here(repository: str) -> int:
    """What lies in the cache of a repository, of files that are still coming too."""
    found = 0
    for path in (Path(_cache()) / f"models--{repository.replace('/', '--')}" / "blobs").glob("*"):
        with contextlib.suppress(OSError):  # come whole meanwhile, under another name
            found += path.stat().st_size
    return found


def _translated(repository: str, call: Callable[[], T]) -> T:
    """What ``call`` returns, or what went wrong in our words."""
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars, logging

    logging.set_verbosity_error()  # it tells of every try
    if constants.HF_HUB_DISABLE_PROGRESS_BARS is not False:  # else somebody wants them
        disable_progress_bars()
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - which HTTP library fails, and how, depends on the client's version
        raise _refusal(repository, error) from None


def _refusal(repository: str, error: Exception) -> ModelError:
    kinds, name = set(_kinds(error)), repr(repository)
    status = getattr(getattr(error, "response", None), "status_code", None)
    if "GatedRepoError" in kinds:
        page = f"{_endpoint()}/{repository}"
        return ModelError(
            f"{name}: its authors want to be asked first: open {page}, accept their terms, then `hf auth login` "
            "with a token of that account"
        )
    if kinds & {"RepositoryNotFoundError", "RevisionNotFoundError"}:
        return ModelError(f"{name}: the hub knows no such model or revision, or it needs a token (`hf auth login`)")
    if "HFValidationError" in kinds:
        return ModelError(f"{name}: is no name that the hub allows; write org/name, or the path of a folder")
    if status in (401, 403):
        return ModelError(
            f"{name}: the hub refuses your token ({status}); see `hf auth whoami`, log in with `hf auth login`"
        )
    if cause := _disk(error):
        return ModelError(f"{name}: cannot be written into the hub's cache ({_cache()}): {cause}")
    return UnreachableError(f"{name} is not in the local cache and cannot be fetched: {_silence(error, kinds, status)}")


def _silence(error: Exception, kinds: set[str], status: int | None) -> str:
    """Why the hub did not give it, and what helps."""
    where = _endpoint()
    if "OfflineModeIsEnabled" in kinds:
        return "HF_HUB_OFFLINE is set; unset it, or give the folder of a downloaded model"
    if status == 404:
        return f"{where} answers with status 404, as no hub does; look at HF_ENDPOINT"
    if status is not None:
        return f"{where} answers with status {status}; try again later"
    if kinds & {"RemoteProtocolError", "ChunkedEncodingError", "IncompleteRead", "ReadError", "XetDownloadError"}:
        return f"the connection to {where} broke off; {AGAIN}"
    if kinds & {"TimeoutException", "Timeout", "TimeoutError"}:
        return f"{where} did not answer in time; {AGAIN}"
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{where} cannot be reached ({reason}); try again online, or give the folder of a downloaded model"


def _disk(error: BaseException) -> str | None:
    """What the disk said, where it was the disk."""
    cures = {
        errno.ENOSPC: "the disk is full; free some space, or let HF_HOME name a folder on another one",
        errno.EDQUOT: "your quota is used up; free some space, or let HF_HOME name a folder elsewhere",
        errno.EACCES: "permission denied; let HF_HOME name a folder of yours",
        errno.ENOTDIR: "something on the way to it is a file; let HF_HOME name a folder of yours",
        errno.EROFS: "the disk is read-only; let HF_HOME name a folder elsewhere",
    }
    links = (link for link in _chain(error) if isinstance(link, OSError))
    codes = (link.errno for link in links if link.filename is not None or link.errno in (errno.ENOSPC, errno.EDQUOT))
    return next((cures[code] for code in codes if code in cures), None)  # a firewall denies permission without a file


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it."""
    link: BaseException | None = error
    for _ in range(10):
        if link is None:
            return
        yield link
        link = link.__cause__ or link.__context__


def _kinds(error: BaseException) -> Iterator[str]:
    """The names of the classes of an error and of what led to it: the client changes its HTTP library by version."""
    return (kind.__name__ for link in _chain(error) for kind in type(link).__mro__)


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _cache() -> str:
    from huggingface_hub import constants

    return str(constants.HF_HUB_CACHE)
