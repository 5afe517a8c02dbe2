"""YAML text -> plain data and the line of every value; and back.

Job specs are untrusted text. What YAML can do beyond plain data is refused: tags, recursion, aliases that
unfold into millions of values, duplicate keys; and so is what no spec needs: deep nesting, endless words. Merge keys
(``<<: *name``) are read as YAML 1.1 has them: what stands beside them wins. Knows no file and no job.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from render.errors import SpecError
from render.spec.quotes import KEYFRAME_KEYS, TEXTS, text_cure
from render.spec.shown import one_line, shown
from render.spec.yaml_scanner import MAX_DEPTH, MAX_VALUES, TOO_DEEP, compose, core_schema

__all__ = ["Key", "KeyPath", "PlainData", "from_yaml", "to_yaml"]

MAX_CHARS = 20_000  # of one word or text; the longest that a spec knows are prompts and paths of 4,000
MAX_UNQUOTED = 20  # lines without quotes in one message

Key = str | int
KeyPath = tuple[Key, ...]


@dataclass
class PlainData:
    """What a text holds. ``lines``: of the path of every value and key, from 1. ``empty``: keys with nothing behind.

    ``rests``: keys in braces that may be the rest of a text without quotes (``{prompt: a castle, oil: 8k}``), each with
    its cure; whoever knows the keys knows which are.
    """

    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    empty: set[KeyPath] = field(default_factory=set)
    rests: dict[KeyPath, str] = field(default_factory=dict)


def from_yaml(text: str, name: str) -> PlainData:
    """Plain dicts, lists and scalars, and where they stand. Raises SpecError that names ``name`` and the line."""
    node = compose(text, name)
    builder = _Builder(name, text)
    builder.found.data = None if node is None else builder.build(node, ())
    if builder.unquoted:
        raise SpecError("\n".join(builder.unquoted[:MAX_UNQUOTED]))
    return builder.found


def to_yaml(data: Mapping[str, Any], *, ascii_only: bool = False) -> str:
    """Plain data as YAML that ``from_yaml`` reads back to the same."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=not ascii_only, width=120))


@core_schema
class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or 1.2 takes for something else than text."""


class _Builder:
    """Turns composed nodes into plain data while counting what it makes."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.found = PlainData()
        self.unquoted: list[str] = []  # a message a text
        self.values = 0
        self.open: set[int] = set()

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        line = node.start_mark.line + 1
        self.found.lines.setdefault(path, line)
        self._count(1, line)
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
            return self._scalar(node, line)
        raise self._error(line, f"the tag {node.tag!r} is not allowed; a job spec holds plain text and numbers")

    def _scalar(self, node: yaml.ScalarNode, line: int) -> Any:
        self._check_length(node)
        text = self._whole(node.value, line)
        try:
            return _SCALARS[node.tag](text)
        except ValueError:  # only a tag of the user's own leads here: !!int four
            raise self._error(line, f"{text!r} is not what its tag says; write it without a tag") from None

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        built: dict[str, Any] = {}
        self._note_rests(node, path)
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if self._lacks_quotes(node, key_node, value_node):
                break
            if key in built:
                first = self.found.lines[(*path, key)]
                message = f"the key {key!r} stands twice; the first is on line {first}"
                raise self._error(key_node.start_mark.line + 1, message)
            if not _is_merge(key_node):
                built[key] = self._pair(key_node, value_node, (*path, key))
        for merge in [value for key, value in node.value if _is_merge(key)]:
            for key_node, value_node in self._merged(merge, 0):
                key = self._key(key_node)
                if key not in built:
                    built[key] = self._pair(key_node, value_node, (*path, key))
        return built

    def _pair(self, key_node: yaml.Node, value_node: yaml.Node, path: KeyPath) -> Any:
        self.found.lines[path] = key_node.start_mark.line + 1
        if _is_empty(value_node):
            self.found.empty.add(path)
        if path[-1] in TEXTS:
            self._look_for_hash(value_node)
        return self.build(value_node, path)

    def _look_for_hash(self, node: yaml.Node) -> None:
        """``portrait #1``: what follows the # is no part of the text, and who writes it without a space means it."""
        rest = self.text[node.end_mark.index : node.end_mark.index + 200].partition("\n")[0]
        if isinstance(node, yaml.ScalarNode) and node.style is None and re.match(r"\s*#[^\s#]", rest):
            message = f"{rest.strip()!r} is a comment in YAML: put the text in quotes, or a space behind the #"
            self.unquoted.append(f"{self.name}:{node.end_mark.line + 1}: {one_line(message)}")

    def _key(self, node: yaml.Node) -> str:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.ScalarNode) or node.tag not in _SCALARS:
            raise self._error(line, "a key must be a plain word")
        self._check_length(node)
        return self._whole(node.value, line)

    def _merged(self, node: yaml.Node, depth: int) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """The pairs that ``<<: *name`` or a list of such brings, those that win first."""
        line = node.start_mark.line + 1
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(source, yaml.MappingNode):
                raise self._error(line, "<< takes the keys of another section: <<: *name, with &name before that one")
            if id(source) in self.open:
                raise self._error(line, "an alias that contains itself")
            if depth > MAX_DEPTH:
                raise self._error(line, TOO_DEEP)
            self._count(1 + len(source.value), line)
            self.open.add(id(source))
            yield from [pair for pair in source.value if not _is_merge(pair[0])]
            for key_node, value_node in source.value:
                if _is_merge(key_node):
                    yield from self._merged(value_node, depth + 1)
            self.open.remove(id(source))

    def _lacks_quotes(self, node: yaml.MappingNode, key: yaml.ScalarNode, value: yaml.Node) -> bool:
        """Whether a key in braces is the rest of a text that a comma has ended: ``{prompt: a castle, oil}``."""
        start, end = key.end_mark.index, value.start_mark.index
        if not node.flow_style or ":" in self.text[start:end] or not _is_empty(value):
            return False
        line = key.start_mark.line + 1
        glued = re.fullmatch(r"(\w{1,40}):(\S.{0,200})", key.value)
        if glued and (glued[1] in KEYFRAME_KEYS or not _follows_text(node, key)):
            cure = f"a space is missing behind the colon; write {glued[1]}: {glued[2]}"
            self.unquoted.append(f"{self.name}:{line}: {one_line(f'{shown(key.value)}: {cure}')}")
            return True
        message = one_line(f"{shown(key.value)}: {text_cure(self._source(node))}")
        self.unquoted.append(f"{self.name}:{line}: {message}")
        return True

    def _note_rests(self, node: yaml.MappingNode, path: KeyPath) -> None:
        """Remember the keys in braces behind a text without quotes."""
        pairs = [pair for pair in node.value if isinstance(pair[0], yaml.ScalarNode)] if node.flow_style else []
        loose = (index for index, (key, value) in enumerate(pairs) if key.value in TEXTS and _is_plain(value))
        rests = [key.value for key, _ in pairs[next(loose, len(pairs)) :] if key.value not in KEYFRAME_KEYS]
        if rests:
            cure = text_cure(self._source(node))
            self.found.rests |= {(*path, rest): cure for rest in rests}

    def _source(self, node: yaml.Node) -> str:
        """What stands in the text, on one line."""
        return " ".join(self.text[node.start_mark.index : node.end_mark.index].split())

    def _whole(self, text: str, line: int) -> str:
        r"""A text with the surrogate pairs that JSON writes (``\ud83d\ude00``) as the characters they mean."""
        if text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text):
            return text
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise self._error(line, "half of a surrogate pair; write the character itself, or both halves") from None

    def _count(self, more: int, line: int) -> None:
        self.values += more
        if self.values > MAX_VALUES:
            message = f"unfolds into more than {MAX_VALUES:,} values (aliases repeat them); write it plainly"
            raise self._error(line, message)

    def _check_length(self, node: yaml.ScalarNode) -> None:
        if len(node.value) > MAX_CHARS:
            raise self._error(
                node.start_mark.line + 1, f"a text of {len(node.value):,} characters; at most {MAX_CHARS:,} are read"
            )

    def _error(self, line: int, message: str) -> SpecError:
        return SpecError(f"{self.name}:{line}: {one_line(message)}")


_SCALARS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:null": lambda _text: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:str": str,
}


def _is_merge(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.value == "<<" and key.style is None


def _follows_text(node: yaml.MappingNode, key: yaml.Node) -> bool:
    """Whether a text without quotes stands before the key in its braces."""
    before = [pair for pair in node.value if pair[0].start_mark.index < key.start_mark.index]
    return any(name.value in TEXTS and _is_plain(value) for name, value in before)


def _is_plain(value: yaml.Node) -> bool:
    return isinstance(value, yaml.ScalarNode) and value.style is None


def _is_empty(value: yaml.Node) -> bool:
    """Whether nothing stands there, not even null."""
    return isinstance(value, yaml.ScalarNode) and value.value == "" and value.style is None
