"""spec."""

from __future__ import annotations

from render.spec.document import Document
from render.spec.job_file import JobFile, dump, json_schema, load, validate
from render.spec.location import Location
from render.spec.mistakes import Mistake, did_you_mean
from render.spec.rules import onnx_mistakes
from render.spec.samplers import SAMPLERS, Sampler
from render.spec.schema import Ease, EngineSpec, FarmSpec, JobSpec, Keyframe, OutputSpec
from render.spec.templates import TEMPLATES
from render.spec.units import Size
from render.spec.yaml_reader import KeyPath

__all__ = [
    "SAMPLERS",
    "TEMPLATES",
    "Document",
    "Ease",
    "EngineSpec",
    "FarmSpec",
    "JobFile",
    "JobSpec",
    "KeyPath",
    "Keyframe",
    "Location",
    "Mistake",
    "OutputSpec",
    "Sampler",
    "Size",
    "did_you_mean",
    "dump",
    "json_schema",
    "load",
    "onnx_mistakes",
    "validate",
]
