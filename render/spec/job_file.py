"""A job file -> ``JobSpec``: read, overridden, validated by its mode, or refused; and back to YAML.

Refusals name the file, the line and the field, and say what would be right. Reads no model, no GPU, no run
directory: what can be known from the text alone is checked here, and nothing else.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from render.errors import SpecError
from render.spec import document
from render.spec.document import Document
from render.spec.explain import empty, explained
from render.spec.keys import Keys
from render.spec.location import folder_mistake, is_url
from render.spec.mistakes import spec_error
from render.spec.modes import MODES
from render.spec.prompt_syntax import syntax_mistakes
from render.spec.rules import contradictions
from render.spec.samplers import SAMPLERS
from render.spec.schema import JobSpec
from render.spec.yaml_reader import KeyPath, to_yaml
from render.video.codecs import CODECS

__all__ = ["JobFile", "dump", "json_schema", "load", "read_back", "setting", "validate"]


@dataclass(frozen=True)
class JobFile:
    """A job spec together with the text it was read from, so that later refusals can name the line as well."""

    spec: JobSpec
    source: Document

    def mistake(self, path: KeyPath, message: str) -> SpecError:
        """A SpecError about the value at ``path``, for what only the disk or the network can tell."""
        return spec_error(self.source, [(path, message)])


def load(path: Path, overrides: Iterable[str] = ()) -> JobFile:
    """Read a job spec, of ``STDIN`` from standard input, and apply ``--set`` overrides.

    Raises SpecError with one line a mistake.
    """
    source = document.read(path)
    if isinstance(source.data, dict):
        if path != document.STDIN:
            source.data.setdefault("name", path.stem)
        for assignment in overrides:
            source.override(assignment)
    spec = validate(source)
    mistakes = list(syntax_mistakes(source.data))
    folder = spec.output.dir
    if folder and not is_url(folder) and (mistake := folder_mistake(folder)):
        mistakes.append((("output", "dir"), mistake))
    if mistakes:
        raise spec_error(source, mistakes)  # here, not in `validate`: plans that were made of such specs are read
    return JobFile(spec, source)


def validate(source: Document) -> JobSpec:
    """Validate a parsed document. Raises SpecError with one line a mistake, in the order of the file's lines."""
    if not isinstance(source.data, Mapping):
        raise SpecError(f"{source.name}: a job spec is a mapping of keys; `render new dream` prints one to start from")
    mode = str(source.data.get("mode"))
    kind = MODES.get(mode, MODES["dream"])  # an unknown mode is one mistake: the others are named as well
    mistakes: dict[KeyPath, str] = {}
    try:
        spec = kind.model_validate(source.data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        mistakes = dict(explained(details, source.data, Keys(kind), MODES, source.rests))
    mistakes |= {path: empty(path) for path in source.empty if not mistakes.get(path, "").startswith("unknown")}
    if found := list(mistakes.items()) or list(contradictions(spec)):
        raise spec_error(source, found)
    return spec


def read_back(text: str, name: str) -> JobSpec:
    """The spec in a text of ``dump`` that came from elsewhere, with a film. Raises SpecError under ``name``."""
    if len(text) > document.MAX_BYTES:
        raise SpecError(f"{name}: larger than {document.MAX_BYTES // 1024} KiB; a job spec is a short text")
    return validate(document.parse(text, name=name))


def setting(word: str) -> str | None:
    """The key of job specs that an option of this name would set; None where there is none."""
    return next((key for kind in MODES.values() if (key := Keys(kind).setting(word))), None)


def dump(spec: JobSpec, *, ascii_only: bool = False) -> str:
    """The spec as YAML with every default written out; ``load`` reads it back to an equal spec."""
    return to_yaml(spec.model_dump(mode="json"), ascii_only=ascii_only)


def json_schema() -> str:
    """JSON Schema of a job spec (draft 2020-12), for editors that complete and check YAML."""
    schema = TypeAdapter(reduce(or_, MODES.values())).json_schema()
    for job in (schema, *schema["$defs"].values()):  # one mode is the schema itself, several are among its definitions
        properties = job.get("properties", {})
        if "sampler" in properties:
            properties["sampler"]["enum"] = sorted(SAMPLERS)
            job["required"] = [key for key in job["required"] if key != "name"]  # left out, it is the file's stem
    schema["$defs"]["OutputSpec"]["properties"]["codec"]["enum"] = sorted(CODECS)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "render job spec"
    schema["description"] = "One job: what to render, how, on what, and where to put it."
    return json.dumps(schema, indent=2)
