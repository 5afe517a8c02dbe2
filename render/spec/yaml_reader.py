"""YAML text -> plain data and the line of every value; and back.

Job specs are untrusted text. What YAML can do beyond plain data is refused: tags, recursion, aliases that
unfold into millions of values, duplicate keys; and so is what no spec needs: deep nesting, endless words.
Too many values or levels end the reading where they are met, before they take time and memory. Scalars follow YAML
1.2's core schema, so ``no`` stays a word and ``0:30`` does not become the number 30. Knows no file and no job.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import yaml

from render.errors import SpecError

__all__ = ["Key", "KeyPath", "from_yaml", "to_yaml"]

MAX_VALUES = 200_000  # values after unfolding aliases: ten thousand keyframes of ten fields, twice over
MAX_NODES = 2 * MAX_VALUES  # what stands in the text: keys and values
MAX_DEPTH = 20  # a spec is four levels deep
MAX_CHARS = 20_000  # of one word or text; the longest that a spec knows are prompts and paths of 4,000

TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"

T = TypeVar("T", bound=yaml.resolver.BaseResolver)

Key = str | int
KeyPath = tuple[Key, ...]


def from_yaml(text: str, name: str) -> tuple[Any, dict[KeyPath, int]]:
    """Plain dicts, lists and scalars, and the line, counted from 1, of the path of every value and key.

    Raises SpecError that names ``name`` and the line.
    """
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
    builder = _Builder(name)
    return (None if node is None else builder.build(node, ())), builder.lines


def to_yaml(data: Mapping[str, Any], *, ascii_only: bool = False) -> str:
    """Plain data as YAML that ``from_yaml`` reads back to the same."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=not ascii_only, width=120))


class _TooMuchError(Exception):
    """``line: what``: the text goes beyond a limit. No error of YAML's."""


_CORE_SCHEMA = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]{1,300}", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
)


def _core_schema(user: type[T]) -> type[T]:
    """Give a loader or dumper the scalars of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema)."""
    for kind, pattern, first in _CORE_SCHEMA:
        user.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(f"^(?:{pattern})$"), first)
    return user


@_core_schema
class _Loader(yaml.SafeLoader):
    """Knows no other scalars, and stops at too many nodes or levels: the composer calls itself for every level."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as in the base class

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._nodes += 1
        self._depth += 1
        if self._depth > MAX_DEPTH + 1:
            raise _TooMuchError(f"{self._line()}: {TOO_DEEP}")
        if self._nodes > MAX_NODES:
            raise _TooMuchError(f"{self._line()}: holds more than {MAX_NODES:,} values")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _line(self) -> int:
        return int(self.peek_event().start_mark.line) + 1  # type: ignore[no-untyped-call]


@_core_schema
class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or 1.2 takes for something else than text."""


class _Builder:
    """Turns composed nodes into plain data while counting what it makes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[KeyPath, int] = {}
        self.values = 0
        self.open: set[int] = set()

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self.values += 1
        if self.values > MAX_VALUES:
            raise self._error(
                line, f"unfolds into more than {MAX_VALUES:,} values (aliases repeat them); write it plainly"
            )
        if len(path) > MAX_DEPTH:
            raise self._error(line, TOO_DEEP)  # through aliases
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
                    line, f"the key {key!r} stands twice; the first is on line {self.lines[(*path, key)]}"
                )
            self.lines[(*path, key)] = line
            built[key] = self.build(value_node, (*path, key))
        return built

    def _check_length(self, node: yaml.ScalarNode) -> None:
        if len(node.value) > MAX_CHARS:
            raise self._error(
                node.start_mark.line + 1, f"a text of {len(node.value):,} characters; at most {MAX_CHARS:,} are read"
            )

    def _error(self, line: int, message: str) -> SpecError:
        return SpecError(f"{self.name}:{line}: {message}")


_SCALARS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:null": lambda _text: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:str": str,
}
