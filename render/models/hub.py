"""Models on the Hugging Face hub: from a repository's name to a folder in the local cache. Nobody else asks the hub."""

from collections.abc import Sequence
from pathlib import Path

from render.errors import ModelError

__all__ = ["hub_folder"]


def hub_folder(repository: str, revision: str | None, index: str, files: Sequence[str], *, download: bool) -> Path:
    """The snapshot folder in the hub's cache, with all of ``files`` (patterns) in it when ``download`` is set.

    Without ``download`` it holds the JSON files at least; ``index`` tells whether it was fetched before.
    Asks the hub once before fetching: its client retries half a minute. Raises ModelError.
    """
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    patterns = [index, *files]
    try:
        try:
            cached = hf_hub_download(repository, index, revision=revision, local_files_only=True)
        except LocalEntryNotFoundError:
            HfApi().model_info(repository, revision=revision, timeout=10)
            wanted = patterns if download else [pattern for pattern in patterns if pattern.endswith(".json")]
            return Path(snapshot_download(repository, revision=revision, allow_patterns=wanted))
        if download:
            return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
        return Path(cached).parent
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise ModelError(
            f"{repository!r}: the hub knows no such model or revision, or it needs a token (`hf auth login`)"
        ) from None
    except Exception as error:  # noqa: BLE001 - which HTTP library fails, and how, depends on the client's version
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{repository!r} is not in the local cache and cannot be fetched ({reason}); "
            "try again online, or give the folder of a downloaded model"
        ) from None
