"""A job spec: YAML -> ``JobSpec``, validated, frozen, with every default filled in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from render.errors import SpecError
from render.spec import document
from render.spec.document import Document
from render.spec.mistakes import explained, spec_error
from render.spec.rules import contradictions
from render.spec.samplers import SAMPLERS
from render.spec.schema import EngineSpec, FarmSpec, JobSpec, Keyframe, OutputSpec, _Section
from render.spec.yaml_reader import KeyPath, to_yaml
from render.video.codecs import CODECS

__all__ = ["JobFile", "dump", "json_schema", "load", "validate"]


@dataclass(frozen=True)
class JobFile:
    """A job spec together with the text it was read from, so that later refusals can name the line as well."""

    spec: JobSpec
    source: Document

    def mistake(self, path: KeyPath, message: str) -> SpecError:
        """A SpecError about the value at ``path``, for what only the disk or the network can tell."""
        return spec_error(self.source, [(path, message)])


def load(path: Path, overrides: Iterable[str] = ()) -> JobFile:
    """Read a job spec and apply ``--set`` overrides. Raises SpecError with one line a mistake."""
    source = document.read(path)
    if isinstance(source.data, dict):
        source.data.setdefault("name", path.stem)
        for assignment in overrides:
            source.override(assignment)
    return JobFile(validate(source), source)


def validate(source: Document) -> JobSpec:
    """Validate a parsed document. Raises SpecError with one line a mistake, in the order of the file's lines."""
    if not isinstance(source.data, Mapping):
        raise SpecError(f"{source.name}: a job spec is a mapping of keys; `render new dream` prints one to start from")
    try:
        spec = JobSpec.model_validate(source.data)
    except ValidationError as error:
        raise spec_error(source, explained(error.errors(include_url=False), source.data, _keys_at)) from None
    if mistakes := list(contradictions(spec)):
        raise spec_error(source, mistakes)
    return spec


def dump(spec: JobSpec) -> str:
    """The spec as YAML with every default written out; ``load`` reads it back to an equal spec."""
    return to_yaml(spec.model_dump(mode="json"))


def json_schema() -> str:
    """JSON Schema of a job spec (draft 2020-12), for editors that complete and check YAML."""
    schema = JobSpec.model_json_schema(mode="validation")
    schema["properties"]["sampler"]["enum"] = sorted(SAMPLERS)
    schema["$defs"]["OutputSpec"]["properties"]["codec"]["enum"] = sorted(CODECS)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "render job spec"
    schema["required"] = [key for key in schema["required"] if key != "name"]  # left out, it is the file's stem
    return json.dumps(schema, indent=2)


_SECTIONS: dict[str, type[_Section]] = {
    "engine": EngineSpec,
    "farm": FarmSpec,
    "output": OutputSpec,
    "keyframes": Keyframe,
}


def _keys_at(path: KeyPath) -> list[str]:
    section = _SECTIONS[str(path[0])] if path else JobSpec
    return list(section.model_fields)
