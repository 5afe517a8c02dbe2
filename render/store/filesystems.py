"""Where a run directory is -> the store that opens it. The only file that knows fsspec, and it imports it late.

Credentials are found by the stores' own conventions (environment, ``~/.aws``, ``gcloud auth`` …); this file neither
takes nor prints any.
"""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from render.errors import SpecError, StoreError, pip_install
from render.spec import Location
from render.store.base import Store
from render.store.disk import DiskStore
from render.store.object_errors import one_line, store_errors
from render.store.object_store import ObjectStore

__all__ = ["open_store", "unusable"]

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}  # of this package
UNFIT = {
    "file": "write the folder itself",
    "local": "write the folder itself",
    "memory": "it dies with the process",
    **dict.fromkeys(("http", "https", "data", "git", "github", "tar", "reference"), "it cannot be written"),
    **dict.fromkeys(("zip", "libarchive", "dir", "generic", "asynclocal"), "it is no store"),
    **dict.fromkeys(("blockcache", "cached", "filecache", "simplecache"), "what others write must be seen"),
}
S3_OPTIONS = {  # botocore's own would wait a minute for each of five attempts; ``object_store.py`` is patient itself
    "config_kwargs": {"connect_timeout": 10, "read_timeout": 60, "retries": {"mode": "standard", "max_attempts": 2}}
}
OPTIONS: Mapping[str, dict[str, Any]] = {"s3": S3_OPTIONS, "s3a": S3_OPTIONS}
OPENERS: Mapping[str, Callable[[Any], Store]] = {"": DiskStore}
"""Stores of our own by the scheme of their address, a folder's first. Of all others fsspec is asked."""


def open_store(location: Location) -> Store:
    """The store at a location. Raises SpecError for an address that ``unusable`` refuses, StoreError for a store that
    wants to know more than its own tools' settings say."""
    return OPENERS.get(_scheme(location), _open_filesystem)(location)


def unusable(url: str) -> str | None:
    """Why run directories cannot lie at this address, with the cure; None where they can. Asks no network."""
    scheme = _scheme(url)
    if scheme in OPENERS:
        return None
    if scheme in UNFIT:
        return f"{url}: {scheme}:// is no place for a run directory: {UNFIT[scheme]}"
    try:
        from fsspec.registry import known_implementations, registry
    except ImportError:
        extra = EXTRAS.get(scheme, "s3")
        return f"{url}: object stores need fsspec; {pip_install(f'[{extra}]')}"
    if scheme in registry:
        return None
    if scheme not in known_implementations:
        return f"{url}: unknown kind of store {scheme}://; for example s3://bucket/films or gs://bucket/films"
    package = known_implementations[scheme]["class"].split(".")[0]
    if find_spec(package) is None:
        wanted = f"[{EXTRAS[scheme]}]" if scheme in EXTRAS else package
        return f"{url}: {scheme}:// needs the package {package}; {pip_install(wanted)}"
    return None


def _open_filesystem(url: str) -> ObjectStore:
    if refusal := unusable(url):
        raise SpecError(refusal)
    from fsspec import get_filesystem_class

    scheme = _scheme(url)
    fresh = {"skip_instance_cache": True, "use_listings_cache": False}  # what others write must be seen
    with store_errors(url):
        try:
            filesystem = get_filesystem_class(scheme)(**fresh, **OPTIONS.get(scheme, {}))
        except (ImportError, TypeError, ValueError) as error:
            raise StoreError(
                f"{url}: cannot be opened ({one_line(str(error))}); set it up as for the store's own tools"
            ) from None
        return ObjectStore(url, filesystem)


def _scheme(location: Location) -> str:
    """What stands before ``://``; empty for a folder."""
    return "" if isinstance(location, Path) else location.split("://", 1)[0]
