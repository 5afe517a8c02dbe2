"""A job spec as plain data that knows where each of its values was written: a line of the file, or a ``--set``.

Reads the file and applies the overrides. Knows nothing of what the values mean.
"""

import codecs
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from render.errors import SpecError, redacted, shown
from render.spec.foreign import data_kind, file_kind, text_kind
from render.spec.quotes import TEXTS, comment_in
from render.spec.yaml_reader import Key, KeyPath, from_yaml

__all__ = ["STDIN", "Document", "name_of", "parse", "read"]

STDIN = Path("-")
"""In the place of a file: standard input."""
MAX_BYTES = 1 << 20  # a spec of ten thousand keyframes with long prompts is about 1 MB; a megabyte of text is no spec
PLAIN = (*TEXTS, "dir", "name", "model", "tiny_vae")
"""Keys that take a text: of ``--set`` as it stands, where YAML would cut it or make keys of it."""
MAX_SHOWN = 100  # characters of a --set in a message


@dataclass
class Document:
    """A parsed YAML file. ``lines`` maps the path of every value and key to its line, counted from 1.

    ``empty``: keys behind which nothing stands. ``rests``: keys that may be the rest of a text, and the cure.
    ``overridden``: what ``--set`` wrote, and where.
    """

    name: str
    data: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)
    empty: set[KeyPath] = field(default_factory=set)
    rests: dict[KeyPath, str] = field(default_factory=dict)
    overridden: dict[KeyPath, str] = field(default_factory=dict)

    def where(self, path: KeyPath) -> str:
        """Where the value at ``path``, or its nearest parent, was written: ``job.yaml:7`` or ``--set steps=0``."""
        parents = [path[:end] for end in range(len(path), -1, -1)]
        if over := next((parent for parent in parents if parent in self.overridden), None):
            # what --set wrote has replaced all that the file says below it
            return _shown(redacted(self.overridden[over], strict=True))
        line = self.line(path)
        return f"{self.name}:{line}" if line else self.name

    def line(self, path: KeyPath) -> int:
        """The line in the file of the value at ``path`` or of its nearest parent; 0 where the file has none."""
        return next((self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines), 0)

    def override(self, assignment: str) -> None:
        """Apply one ``--set key.path=value``; the value is YAML. Raises SpecError for a malformed assignment."""
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise SpecError(f"{_shown(assignment)}: write it as key=value, for example --set steps=8")
        path = _key_path(key.strip(), assignment)
        value = _value(text.strip(), str(path[-1]), _shown(assignment))
        if text.strip() == "" or (value.data is None and () in value.empty):
            texts = f"; an empty text is --set '{key}=\"\"'" if path[-1] in TEXTS else ""
            raise SpecError(f"{_shown(assignment)}: no value stands behind the =; write one, or null for none{texts}")
        _assign(self.data, path, value.data, assignment)
        for below in [other for other in self.overridden if other[: len(path)] == path]:
            del self.overridden[below]
        self.empty = {other for other in self.empty if other[: len(path)] != path}
        self.empty |= {(*path, *other) for other in value.empty}
        self.rests |= {(*path, *other): cure for other, cure in value.rests.items()}
        self.overridden[path] = assignment


def read(path: Path) -> Document:
    """Read and parse a YAML file. Raises SpecError when it is missing, too large, not UTF-8, not plain YAML, or the
    file of another tool."""
    name = name_of(path)
    text = _text(path, name)
    if kind := text_kind(text):
        raise SpecError(f"{name}: {kind}")
    source = parse(text, name=name)
    if kind := data_kind(source.data):
        raise SpecError(f"{name}: {kind}")
    return source


def _text(path: Path, name: str) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its mark, as some shells of Windows write what is redirected.

    Raises SpecError when it is missing, too large, or no text.
    """
    raw = _bytes(path)
    if kind := file_kind(raw):
        raise SpecError(f"{name}: {kind}")
    if len(raw) > MAX_BYTES:
        raise SpecError(f"{name}: larger than {MAX_BYTES // 1024} KiB; a job spec is a short text file")
    marked = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0" in raw and not marked:
        raise SpecError(f"{name}: not UTF-8 text, but bytes, or UTF-16 without its mark; save the file as UTF-8")
    try:
        return raw.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SpecError(f"{name}:{line}: not UTF-8 text; save the file as UTF-8") from None


def name_of(path: Path) -> str:
    """What messages call a job file, on one line."""
    return "<stdin>" if path == STDIN else shown(path)


def _bytes(path: Path) -> bytes:
    """At most one byte more than a spec may have."""
    try:
        if path == STDIN:
            return sys.stdin.buffer.read(MAX_BYTES + 1) if sys.stdin else b""
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        cause = f"is a link to {os.readlink(path)!r}, which is not there" if path.is_symlink() else "no such file"
        raise SpecError(f"{name_of(path)}: {cause}") from None
    except OSError as error:
        raise SpecError(f"{name_of(path)}: cannot be read: {error.strerror}") from None


def parse(text: str, *, name: str) -> Document:
    """Parse YAML text into plain dicts, lists and scalars. Raises SpecError that names ``name`` and the line."""
    found = from_yaml(text, name)
    return Document(name, found.data, found.lines, found.empty, found.rests)


def _value(text: str, key: str, name: str) -> Document:
    """The value of a ``--set`` for ``key``. Raises SpecError where YAML cannot read it, or would drop the end of it."""
    comment = comment_in(text)
    if key in PLAIN and text[:1] not in ("", '"', "'"):
        try:
            data = parse(text, name=name).data
            taken = comment is None and not isinstance(data, dict) and (data is None or text[0] not in "!&|>")
        except SpecError:
            taken = False
        if not taken:
            return parse("'" + text.replace("'", "''") + "'", name=name)
    if comment:
        raise SpecError(f"{name}: {comment!r} is a comment in YAML; leave it out, or put the text in quotes")
    return parse(text, name=name)


def _shown(assignment: str) -> str:
    """A ``--set`` as messages begin with it."""
    return f"--set {assignment if len(assignment) <= MAX_SHOWN else f'{assignment[:MAX_SHOWN]}…'}"


_STEP = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)((?:\[\d{1,6}\])*)")


def _key_path(text: str, assignment: str) -> KeyPath:
    """``keyframes[1].prompt`` -> ``("keyframes", 1, "prompt")``."""
    path: list[Key] = []
    for step in text.split("."):
        match = _STEP.fullmatch(step)
        if not match:
            raise SpecError(f"{_shown(assignment)}: {text!r} is not a key path; write it like keyframes[1].prompt")
        path.append(match[1])
        path.extend(int(index) for index in re.findall(r"\d+", match[2]))
    return tuple(path)


def _assign(data: Any, path: KeyPath, value: Any, assignment: str) -> None:
    for depth, key in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(key, int):
            if not isinstance(data, Sequence) or isinstance(data, str) or key >= len(data):
                raise SpecError(f"{_shown(assignment)}: there is no item [{key}] to set")
        elif not isinstance(data, Mapping):
            raise SpecError(f"{_shown(assignment)}: {key!r} stands under something that has no keys")
        if last:
            data[key] = value
        else:
            if isinstance(key, str) and data.get(key) is None:
                data[key] = {}
            data = data[key]
