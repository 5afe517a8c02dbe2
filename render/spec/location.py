"""Where a run directory is: a folder, or a prefix in an object store. Parsed and checked as text; reaches neither."""

import os
import re
from pathlib import Path

from render.errors import SpecError

__all__ = [
    "Location",
    "folder_mistake",
    "home_mistake",
    "is_url",
    "join_location",
    "parse_location",
    "split_location",
    "url_mistake",
]

Location = Path | str
"""A folder as ``Path``, an object store's prefix as its URL (``s3://bucket/prefix``), which carries no credentials."""

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
VARIABLE = re.compile(r"\$\{?\w|\$\(|`|%[A-Za-z_]\w*%")  # of shells, and of Windows
BLANK = re.compile(r"\{\{[^{}]*\}\}|<[\w -]+>|%\(\w+\)s")  # of templates, and of examples in manuals
FILE = re.compile(r"file:/+", re.IGNORECASE)
QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“", "‘": "’"}
DRIVE = re.compile(r"[A-Za-z]:([\\/]|$)")
MAX_NAME_BYTES = 255  # of one file or folder: what the file systems of Linux and macOS take
SPECIAL = "?#*[]{}\\"  # queries, which may carry signatures, and what file systems would take for patterns


def is_url(text: str) -> bool:
    """Whether the text is the address of an object store, not a folder."""
    return URL.match(text) is not None


def parse_location(text: str) -> Location:
    """The location a user means; ``~`` is home. Raises SpecError for an address that cannot be one."""
    if not is_url(text):
        return Path(os.path.expanduser(text))
    if mistake := url_mistake(text):
        raise SpecError(mistake)
    return text.rstrip("/")


def folder_mistake(text: str) -> str | None:
    """Why nobody can mean a folder of this name, with the cure; None where somebody can. Looks at the text alone."""
    if not text.isprintable():
        return f"{text!r} holds a character that no folder's name should have"
    if VARIABLE.search(text):
        return f"{text}: variables are not filled in here; write the folder itself, ~ is your home"
    if blank := BLANK.search(text):
        return f"{text}: {blank[0]} is to be filled in; write the folder itself"
    if FILE.match(text):
        return f"{text}: an address; write the path itself, {_path_in(text)}"
    if name := next((name for name in (text, *text.split("/")) if _is_quoted(name)), None):
        return f"{text}: the quotes are part of the name; write {name[1:-1]}"
    if DRIVE.match(text) or "\\" in text:
        return f"{text}: a path of Windows; write one of this machine, with / (in WSL C:\\films is /mnt/c/films)"
    for name in text.split("/"):
        if name != name.strip():
            return f"{text!r}: {name!r} begins or ends with a space; leave the space out"
        if (size := len(name.encode(errors="surrogateescape"))) > MAX_NAME_BYTES:
            return f"{name[:20]}…: a name of {size} bytes; file systems take {MAX_NAME_BYTES}: choose a shorter one"
    return None


def _is_quoted(name: str) -> bool:
    return len(name) > 2 and QUOTES.get(name[0]) == name[-1]


def _path_in(address: str) -> str:
    """The path that ``file:///tmp/x`` names."""
    return "/" + FILE.sub("", address)


def home_mistake(text: str) -> str | None:
    """Why ``~`` or ``~name`` is nobody's home on this machine; None where it is, and for any other beginning."""
    if not text.startswith("~") or os.path.expanduser(text) != text:
        return None
    user = text.partition("/")[0]
    return (
        f"{text}: this machine knows no home {user}; write the folder itself"
        if user != "~"
        else (f"{text}: nobody's home is known here; set HOME, or write the folder itself")
    )


def join_location(location: Location, name: str) -> Location:
    """Where a file in a location is."""
    return location / name if isinstance(location, Path) else f"{location}/{name}"


def split_location(location: Location) -> tuple[Location, str]:
    """The location a file lies in, and its name."""
    if isinstance(location, Path):
        return location.parent, location.name
    folder, _, name = location.rpartition("/")
    return folder, name


def url_mistake(url: str) -> str | None:
    """What is wrong with an object store's address; None where nothing is. Never repeats what may be a secret."""
    scheme, rest = url.split("://", 1)
    bucket, _, prefix = rest.partition("/")
    if "@" in rest or ":" in bucket:
        return (
            f"{scheme}://…: an address holds no user, password or port; credentials and endpoints come from "
            "where the store's own tools look for them (environment, ~/.aws, …)"
        )
    if any(character in url for character in SPECIAL):
        return f"{scheme}://…: an address holds none of {' '.join(SPECIAL)}"
    if not bucket and FILE.match(url):
        return f"{url}: write the path itself, {_path_in(url)}"
    if not bucket:
        return f"{scheme}://: name the bucket, for example {scheme}://bucket/films/evening"
    if any(part in (".", "..") for part in prefix.split("/")):
        return f"{url}: write the address without . and .."
    return None
