"""Names of files and folders on the command line: as paths, or refused. Makes and opens nothing."""

import os
from pathlib import Path

from render.errors import SpecError, StoreError, redacted, shown

__all__ = ["check_working_folder", "given_file", "given_folder", "given_job"]


def check_working_folder() -> None:
    """Raise StoreError where the folder is gone in which the command was started: all other names begin there."""
    try:
        os.getcwd()
    except OSError as error:
        raise StoreError(
            f"the folder in which this was started is gone ({error.strerror}); cd to one that is there"
        ) from None


def given_job(text: str) -> Path:
    """A job file, a directory of them, or ``-`` for standard input. A file of that name is written ``./-``."""
    path = Path(os.path.expanduser(text))
    return path.absolute() if str(path) == "-" and text != "-" else path


def given_folder(text: str) -> Path:
    """A folder to be written: ``~`` is home, however it was quoted. Raises SpecError where it cannot be one."""
    from render.store import obstacle

    path = _path(text)
    if mistake := obstacle(path):
        raise SpecError(f"{mistake}; choose another folder")
    return path


def given_file(text: str) -> Path:
    """The same for a file: its folder has to be possible, and it may be there already."""
    from render.store import obstacle

    path = _path(text)
    if mistake := obstacle(path.parent):
        raise SpecError(f"{mistake}; choose another folder")
    if os.path.isdir(path):
        raise SpecError(f"{shown(path)}: is a folder; name a file")
    return path


def _path(text: str) -> Path:
    from render.spec.location import (  # with pydantic behind it: only where it is needed
        folder_mistake,
        home_mistake,
        is_url,
    )

    if mistake := folder_mistake(text) or home_mistake(text):
        raise SpecError(mistake)
    if is_url(text):
        raise SpecError(f"{redacted(text, strict=True)}: an address of a store; write a path of this machine")
    path = Path(os.path.expanduser(text))
    return path if path.name else path.absolute()  # . has no name, and no neighbours
