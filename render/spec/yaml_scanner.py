"""YAML text -> its nodes, within limits; what is no YAML is refused with the line and the cure.

Scalars follow YAML 1.2's core schema, so ``no`` stays a word and ``0:30`` does not become the number 30. Too many
values or levels end the reading where they are met, before they take time and memory. Tabs may stand between words, as
YAML 1.2 and JSON have it, and may not indent. Knows no file and no job.
"""

import re
from typing import TypeVar

import yaml

from render.errors import SpecError
from render.spec.quotes import apart, with_quotes
from render.spec.shown import one_line

__all__ = ["MAX_DEPTH", "MAX_VALUES", "TOO_DEEP", "compose", "core_schema"]

MAX_VALUES = 200_000  # values after unfolding aliases: ten thousand keyframes of ten fields, twice over
MAX_NODES = 2 * MAX_VALUES  # what stands in the text: keys and values
MAX_DEPTH = 20  # a spec is four levels deep

TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"

T = TypeVar("T", bound=yaml.resolver.BaseResolver)

_CORE_SCHEMA = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]{1,300}", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
)


def compose(text: str, name: str) -> yaml.Node | None:
    """The node of the only document, None of an empty text. Raises SpecError that names ``name`` and the line."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
        loader.check_anchors()
        return node
    except yaml.MarkedYAMLError as error:
        line, said = _marked(error, text.splitlines())
        raise SpecError(f"{name}:{line}: {one_line(said)}") from None
    except yaml.reader.ReaderError as error:
        line, found = text.count("\n", 0, error.position) + 1, chr(int(error.character))
        raise SpecError(f"{name}:{line}: not valid YAML: the character {found!a} is not allowed") from None
    except _RefusedError as error:
        raise SpecError(f"{name}:{error}") from None


def core_schema(user: type[T]) -> type[T]:
    """Give a loader or dumper the scalars of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema)."""
    for kind, pattern, first in _CORE_SCHEMA:
        user.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(f"^(?:{pattern})$"), first)
    return user


class _RefusedError(Exception):
    """``line: what``: the text goes beyond a limit, or loses a word. No error of YAML's."""


@core_schema
class _Loader(yaml.SafeLoader):
    """Knows no other scalars, and stops at too many nodes or levels: the composer calls itself for every level."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as in the base class

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = self._depth = 0
        self._anchors: dict[str, int] = {}  # of texts that no alias has named yet, and their lines

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._nodes += 1
        self._depth += 1
        if self._depth > MAX_DEPTH + 1:
            raise _RefusedError(f"{self._line()}: {TOO_DEEP}")
        if self._nodes > MAX_NODES:
            raise _RefusedError(f"{self._line()}: holds more than {MAX_NODES:,} values")
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            self._anchors.pop(str(event.anchor), None)
        elif isinstance(event, yaml.ScalarEvent) and event.anchor:
            self._anchors[event.anchor] = self._line()
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def check_anchors(self) -> None:
        """Raises _RefusedError for ``prompt: &sun red``: the first word is gone, and nobody has asked for it."""
        for anchor, line in self._anchors.items():
            raise _RefusedError(f"{line}: &{anchor} names a text for *{anchor}, which stands nowhere; quote the text")

    def _line(self) -> int:
        return int(self.peek_event().start_mark.line) + 1  # type: ignore[no-untyped-call]

    def scan_to_next_token(self) -> None:
        """Past blanks, comments and line ends; and past tabs that do not indent."""
        super().scan_to_next_token()
        while self.peek() == "\t" and (self.flow_level or not self._indents()):
            while self.peek() in "\t ":
                self.forward()
            super().scan_to_next_token()

    def _indents(self) -> bool:
        """Whether the tab here stands before the first word of its line."""
        start = self.buffer.rfind("\n", 0, self.pointer) + 1
        return not self.buffer[start : self.pointer].strip()

    def scan_plain_spaces(self, indent: int, start_mark: yaml.Mark) -> list[str] | None:
        """What stands between two words of a text without quotes; the base class knows blanks only."""
        length = 0
        while self.peek(length) in "\t ":
            length += 1
        white = self.prefix(length)
        if "\t" not in white or self.peek(length) in "#\0\r\n\x85\u2028\u2029":
            return super().scan_plain_spaces(indent, start_mark)
        self.forward(length)
        return [white]


def _marked(error: yaml.MarkedYAMLError, lines: list[str]) -> tuple[int, str]:
    """Line, and what is wrong there with its cure. A line that only lacks quotes is shown with them."""
    marks = [mark for mark in (error.problem_mark, error.context_mark) if mark]
    problem, opened = (error.problem or error.context or "").removeprefix("but "), marks[-1].line + 1
    for line, text in [(mark.line + 1, lines[mark.line]) for mark in marks if mark.line < len(lines)]:
        if line == marks[0].line + 1 and re.match(r" *\t", text):
            return line, "indented with a tab, which YAML does not take; write spaces"
        if parted := apart(text):
            return line, parted
        if quoted := with_quotes(text):
            return line, f"this text needs quotes; write {quoted}"
    index = marks[0].line if problem.startswith("mapping values") else marks[-1].line + 1
    if re.match("mapping values|could not find expected ':'", problem) and (found := _lacks(lines, index)):
        return found
    cure = next((cure for sign, cure in _CURES if re.search(sign, f"{error.context} {problem}")), "")
    return marks[0].line + 1, f"not valid YAML: {problem}{cure.format(opened=opened)}"


def _lacks(lines: list[str], index: int) -> tuple[int, str] | None:
    """What the line that YAML complains about, or the one above it, lacks: a space, a colon, braces."""
    above = next((line for line in range(min(index, len(lines)) - 1, -1, -1) if lines[line].strip()), None)
    text = lines[above].strip()[:500] if above is not None else ""
    if glued := re.fullmatch(r"(?:- )?(\w{1,40})(?::|\s*：\s*)([^\s:].*)", text):
        return (above or 0) + 1, f"a space is missing behind the colon; write {glued[1]}: {glued[2]}"
    if bare := re.fullmatch(r"(- )?(\w{1,40})(?: |\s*=\s*)([\w.-]{1,40})", text):
        return (above or 0) + 1, f"a colon is missing; write {bare[1] or ''}{bare[2]}: {bare[3]}"
    line = lines[index].strip()[:500] if index < len(lines) else ""
    if re.match(r"- \w{1,40}: [^{\[\"']*, ?\w{1,40}: ", line):
        return index + 1, f"several keys on one line stand in braces; write - {{{line[2:]}}}"
    return None


_CURES = (
    (r"found unexpected end of stream", "; the quote that begins on line {opened} is never closed"),
    (r"(flow mapping|flow sequence).*but got", "; is the bracket of line {opened} closed, is a comma missing?"),
    (r"unknown escape character", r"; in double quotes \ begins an escape: write single quotes"),
    (
        r"mapping values are not allowed",
        "; is the line indented too far? a text with a colon needs quotes",
    ),
    (r"could not find expected ':'", "; every line is `key: value`, and a text of several lines needs quotes"),
    (
        r"expected <block end>",
        "; are the keys of this section indented alike? a text in quotes ends with them",
    ),
    (r"cannot start any token|(anchor|alias).*expected alphabetic", "; a text that begins with it needs quotes"),
    (r"undefined alias", "; * begins an alias in YAML: quote the text, or name with & what it stands for"),
    (r"found another document", "; a job file holds one job: write two files, without ---"),
)
"""What YAML's parser says -> what the user can do about it."""
