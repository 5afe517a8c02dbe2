"""YAML text -> plain data, and the line of every value in it; and back.

Job specs are untrusted text. What YAML can do beyond plain data is refused: tags, recursion, aliases that
unfold into millions of values, duplicate keys; and so is what no spec needs: megabytes, deep nesting, endless words.
Too many values or levels end the reading where they are met, before they take time and memory. Scalars follow YAML
1.2's core schema, so ``no`` stays a word and ``0:30`` does not become the number 30. Knows nothing of what the
values mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from render.errors import SpecError, redacted

__all__ = ["Document", "parse", "read", "write"]

MAX_BYTES = 1 << 20  # a spec of ten thousand keyframes with long prompts is about 1 MB; a megabyte of text is no spec
MAX_VALUES = 200_000  # values after unfolding aliases: ten thousand keyframes of ten fields, twice over
MAX_NODES = 2 * MAX_VALUES  # what stands in the text: keys and values
MAX_DEPTH = 20  # a spec is four levels deep
MAX_CHARS = 20_000  # of one word or text; the longest that a spec knows are prompts and paths of 4,000

Key = str | int
KeyPath = tuple[Key, ...]


@dataclass
class Document:
    """A parsed YAML file. ``lines`` maps the path of every value and key to its line, counted from 1."""

    name: str
    data: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)
    overridden: dict[KeyPath, str] = field(default_factory=dict)

    def where(self, path: KeyPath) -> str:
        """Where the value at ``path``, or its nearest parent, was written: ``job.yaml:7`` or ``--set steps=0``."""
        parents = [path[:end] for end in range(len(path), -1, -1)]
        if over := next((parent for parent in parents if parent in self.overridden), None):
            # what --set wrote has replaced all that the file says below it
            return f"--set {redacted(self.overridden[over], strict=True)}"
        line = self.line(path)
        return f"{self.name}:{line}" if line else self.name

    def line(self, path: KeyPath) -> int:
        """The line in the file of the value at ``path`` or of its nearest parent; 0 where the file has none."""
        return next((self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines), 0)

    def override(self, assignment: str) -> None:
        """Apply one ``--set key.path=value``; the value is YAML. Raises SpecError for a malformed assignment."""
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise SpecError(f"--set {assignment}: write it as key=value, for example --set steps=8")
        path = _key_path(key.strip(), assignment)
        _assign(self.data, path, parse(text, name=f"--set {assignment}").data, assignment)
        for below in [other for other in self.overridden if other[: len(path)] == path]:
            del self.overridden[below]
        self.overridden[path] = assignment


def read(path: Path) -> Document:
    """Read and parse a YAML file. Raises SpecError when it is missing, too large, not UTF-8 or not plain YAML."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise SpecError(f"{path}: larger than {MAX_BYTES // 1024} KiB; a job spec is a short text file")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SpecError(f"{path}:{line}: not UTF-8 text; save the file as UTF-8") from None
    return parse(text, name=str(path))


def write(data: Mapping[str, Any]) -> str:
    """Plain data as YAML that ``parse`` reads back to the same."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


def parse(text: str, *, name: str) -> Document:
    """Parse YAML text into plain dicts, lists and scalars. Raises SpecError that names ``name`` and the line."""
    document = Document(name, None)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise SpecError(f"{name}{line}: not valid YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = f":{text.count(chr(10), 0, error.position) + 1}"
        raise SpecError(
            f"{name}{line}: not valid YAML: the character {chr(int(error.character))!a} is not allowed"
        ) from None
    except _TooMuchError as error:
        raise SpecError(f"{name}:{error}") from None
    if node is not None:
        document.data = _Builder(document).build(node, ())
    return document


class _TooMuchError(Exception):
    """``line: what``: the text goes beyond a limit. No error of YAML's."""


class _Loader(yaml.SafeLoader):
    """The safe loader with the scalars of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema), which
    stops at too many nodes or levels: the composer calls itself for every level."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as in the base class

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._nodes += 1
        self._depth += 1
        if self._depth > MAX_DEPTH + 1:
            raise _TooMuchError(f"{self._line()}: {_TOO_DEEP}")
        if self._nodes > MAX_NODES:
            raise _TooMuchError(f"{self._line()}: holds more than {MAX_NODES:,} values")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _line(self) -> int:
        return int(self.peek_event().start_mark.line) + 1  # type: ignore[no-untyped-call]


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or 1.2 takes for something else than text."""


_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"


_CORE_SCHEMA = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]{1,300}", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
)
for _kind, _pattern, _first in _CORE_SCHEMA:
    for _user in (_Loader, _Dumper):
        _user.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), _first)


class _Builder:
    """Turns composed nodes into plain data while counting what it makes."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.values = 0
        self.open: set[int] = set()

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        line = node.start_mark.line + 1
        self.document.lines.setdefault(path, line)
        self.values += 1
        if self.values > MAX_VALUES:
            raise self._error(
                line, f"unfolds into more than {MAX_VALUES:,} values (aliases repeat them); write it plainly"
            )
        if len(path) > MAX_DEPTH:
            raise self._error(line, _TOO_DEEP)  # through aliases
        if id(node) in self.open:
            raise self._error(line, "an alias that contains itself")
        self.open.add(id(node))
        try:
            return self._value(node, path, line)
        finally:
            self.open.remove(id(node))

    def _value(self, node: yaml.Node, path: KeyPath, line: int) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self.build(child, (*path, index)) for index, child in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            self._check_length(node)
            try:
                return _SCALARS[node.tag](node.value)
            except ValueError:  # only a tag of the user's own leads here: !!int four
                raise self._error(line, f"{node.value!r} is not what its tag says; write it without a tag") from None
        raise self._error(line, f"the tag {node.tag!r} is not allowed; a job spec holds plain text and numbers")

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in _SCALARS:
                raise self._error(line, "a key must be a plain word")
            self._check_length(key_node)
            key = str(key_node.value)
            if key in built:
                raise self._error(
                    line, f"the key {key!r} stands twice; the first is on line {self.document.lines[(*path, key)]}"
                )
            self.document.lines[(*path, key)] = line
            built[key] = self.build(value_node, (*path, key))
        return built

    def _check_length(self, node: yaml.ScalarNode) -> None:
        if len(node.value) > MAX_CHARS:
            raise self._error(
                node.start_mark.line + 1, f"a text of {len(node.value):,} characters; at most {MAX_CHARS:,} are read"
            )

    def _error(self, line: int, message: str) -> SpecError:
        return SpecError(f"{self.document.name}:{line}: {message}")


_SCALARS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:null": lambda _text: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:str": str,
}

_STEP = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)((?:\[\d{1,6}\])*)")


def _key_path(text: str, assignment: str) -> KeyPath:
    """``keyframes[1].prompt`` -> ``("keyframes", 1, "prompt")``."""
    path: list[Key] = []
    for step in text.split("."):
        match = _STEP.fullmatch(step)
        if not match:
            raise SpecError(f"--set {assignment}: {text!r} is not a key path; write it like keyframes[1].prompt")
        path.append(match[1])
        path.extend(int(index) for index in re.findall(r"\d+", match[2]))
    return tuple(path)


def _assign(data: Any, path: KeyPath, value: Any, assignment: str) -> None:
    for depth, key in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(key, int):
            if not isinstance(data, Sequence) or isinstance(data, str) or key >= len(data):
                raise SpecError(f"--set {assignment}: there is no item [{key}] to set")
        elif not isinstance(data, Mapping):
            raise SpecError(f"--set {assignment}: {key!r} stands under something that has no keys")
        if last:
            data[key] = value
        else:
            if isinstance(key, str) and data.get(key) is None:
                data[key] = {}
            data = data[key]
