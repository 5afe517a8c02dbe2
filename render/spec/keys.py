"""The keys that a job spec knows, section by section; and what is said of one that it does not know."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from render.spec.mistakes import did_you_mean, dotted
from render.spec.other_tools import key_called
from render.spec.yaml_reader import KeyPath

__all__ = ["Keys"]


class Keys:
    """The keys of one mode's job specs. Sections are named by their paths, without the indices of lists."""

    def __init__(self, kind: type[BaseModel]) -> None:
        self.sections: dict[KeyPath, list[str]] = {}
        self._collect(kind, ())

    def _collect(self, kind: type[BaseModel], path: KeyPath) -> None:
        self.sections[path] = list(kind.model_fields)
        for name, field in kind.model_fields.items():
            for section in _sections_in(field.annotation):
                self._collect(section, (*path, name))

    def unknown(self, found: Mapping[KeyPath, Any], rests: Mapping[KeyPath, str]) -> dict[KeyPath, str]:
        """Path -> a sentence for every unknown key. The keys of a section are listed once, where none is near.

        ``rests``: keys that are part of a text where nobody knows them, or their value is a text, and the cure.
        """
        told: set[KeyPath] = set()
        cured: set[tuple[KeyPath, str]] = set()
        messages = {}
        for path in found:
            section = tuple(key for key in path[:-1] if isinstance(key, str))
            known = self.sections[section]
            message = self._cure(str(path[-1]), section)
            words = not str(path[-1]).isidentifier()
            if path in rests and (words or not message or (isinstance(found[path], str) and "mean" not in message)):
                cure = rests[path] if (path[:-1], rests[path]) not in cured else "mended by the same quotes"
                cured.add((path[:-1], cure))
                message = f"{message}; or {cure}" if message and not words else f"; {cure}"
            if not message and section not in told:
                told.add(section)
                where = f"the keys of {dotted(section)}" if section else "the keys of a job spec"
                message = f"; {where}: {', '.join(known)}"
            messages[path] = f"unknown key{message}"
        return messages

    def setting(self, word: str) -> str | None:
        """The key, as ``--set`` takes it, that an option of this name would set: ``workers`` -> ``farm.workers``."""
        plain = word.replace("-", "_")
        sections = {path: keys for path, keys in self.sections.items() if "keyframes" not in path}
        found = {key: dotted((*path, key)) for path, keys in reversed(sections.items()) for key in keys}
        called = found.get(plain) or key_called(plain)
        return called if called and (called,) not in self.sections else None

    def _cure(self, key: str, section: KeyPath) -> str:
        """What to write instead: a key of other tools' by our name, a near one, or one of another section."""
        if key.isdecimal() and section:
            return f"; write at: {key}"
        known, called = self.sections[section], key_called(key)
        if called and (called in known or ("." in called and not section)):
            return f"; write {called}" + (", both sides in one: 512x512" if called == "size" else "")
        if section and key in self.sections[()]:
            return "; it stands at the top, without indentation"
        if home := next((other for other, keys in self.sections.items() if key in keys), None):
            return f"; it stands in {dotted(home)}"
        if near := did_you_mean(key, known):
            return near
        if called == "":
            return "; this version has nothing of the kind, leave it out"
        return f"; write {called}" if called else ""


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections in a field's type: ``tuple[Keyframe, ...]`` holds keyframes."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _sections_in(part)
