"""What the user writes: YAML -> ``JobSpec``, validated, frozen, or refused with the line and the cure.

Knows no model, no GPU and no run directory: what the text alone says is checked here, and nothing else.
Read job_file (the way of a file), schema and modes/ (what it may hold), rules, then explain and mistakes (how it is
refused) with the habits they know: forms, keys, other_tools, quotes, foreign. document and yaml_reader lie below.
"""

from render.spec.document import STDIN, Document, name_of
from render.spec.fields import Ease, PromptWalk
from render.spec.job_file import JobFile, dump, json_schema, load, read_back, setting, validate
from render.spec.location import Location
from render.spec.mistakes import Mistake, did_you_mean
from render.spec.model_names import model_called
from render.spec.modes import MODES
from render.spec.modes.dream import DreamSpec, Keyframe
from render.spec.other_tools import no_such_mode, no_such_name, word_called
from render.spec.rules import onnx_mistakes
from render.spec.samplers import SAMPLERS, Sampler
from render.spec.schema import EngineSpec, FarmSpec, JobSpec
from render.spec.units import Size
from render.spec.yaml_reader import KeyPath

__all__ = [
    "MODES",
    "SAMPLERS",
    "STDIN",
    "Document",
    "DreamSpec",
    "Ease",
    "EngineSpec",
    "FarmSpec",
    "JobFile",
    "JobSpec",
    "KeyPath",
    "Keyframe",
    "Location",
    "Mistake",
    "PromptWalk",
    "Sampler",
    "Size",
    "did_you_mean",
    "dump",
    "json_schema",
    "load",
    "model_called",
    "name_of",
    "no_such_mode",
    "no_such_name",
    "onnx_mistakes",
    "read_back",
    "setting",
    "validate",
    "word_called",
]
