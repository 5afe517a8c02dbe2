"""A case: one way of rendering that is measured, as plain data. Pure: it becomes a plan, nobody is loaded here."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from render.errors import SpecError
from render.models import ModelInfo
from render.plan import Machine, Plan, resolve
from render.spec import JobFile, validate
from render.spec.document import parse

__all__ = ["Case", "job_of", "key_of", "plan_of"]

WALK = """\
version: 1
name: bench
mode: dream
fps: 24
negative: blurry
keyframes:
  - {at: 0, prompt: a big red sun on the left over violet mountains at dusk, seed: 1}
  - {at: 48, prompt: a huge white moon on the right over blue sea at night, seed: 21}
  - {at: 96, prompt: a big golden sun in the middle over green hills at noon, seed: 3}
"""


@dataclass(frozen=True)
class Case:
    """What is measured. ``renderer`` is this engine, or diffusers' pipeline (whose ``backend`` is eager or compile).

    ``model`` is the name for people; ``size`` is None for the model's own. ``switches`` are approximations: keys of a
    job's ``engine`` section and their values.
    """

    model: str
    dtype: str
    batch: int
    backend: str = "eager"
    renderer: Literal["render", "diffusers"] = "render"
    size: str | None = None
    steps: int = 20
    sampler: str = "dpm++2m"
    guidance: float = 7.5
    switches: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """``render eager bf16 batch 16, reuse_steps 2``."""
        switched = "".join(f", {name} {_plain(value)}" for name, value in self.switches.items())
        return f"{self.renderer} {self.backend} {self.dtype} batch {self.batch}{switched}"

    def __hash__(self) -> int:
        return hash(key_of(asdict(self)))


def _plain(value: Any) -> str:
    return "–".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)


def key_of(case: Mapping[str, Any]) -> str:
    """What makes two cases the same, from a case as plain data. Raises KeyError where a field is missing."""
    return json.dumps({item.name: case[item.name] for item in fields(Case)}, sort_keys=True)


def job_of(case: Case, frames: int, model: str, *assignments: str) -> JobFile:
    """The job of ``frames`` frames that does a case's work; ``model`` is where its files are. Raises SpecError."""
    source = parse(WALK, name="bench")
    source.data["keyframes"] = [keyframe for keyframe in source.data["keyframes"] if keyframe["at"] < frames]
    values = {
        "model": model,
        "size": case.size,
        "frames": frames,
        "steps": case.steps,
        "sampler": case.sampler,
        "guidance": case.guidance,
        "engine.dtype": case.dtype,
        "engine.batch": case.batch,
        "engine.backend": case.backend,
        **{f"engine.{name}": value for name, value in case.switches.items()},
    }
    for key, value in values.items():
        source.override(f"{key}={json.dumps(value)}")
    for assignment in assignments:
        source.override(assignment)
    return JobFile(validate(source), source)


def plan_of(case: Case, frames: int, model: str, machine: Machine, info: ModelInfo) -> Plan:
    """The plan of a case on ``machine``. Raises SpecError where this version cannot do it."""
    spec = job_of(case, frames, model, f"engine.device={machine.device}").spec
    plan = Plan(spec, resolve(spec, machine, info), info)
    size = plan.settings
    if size.width % info.size_step or size.height % info.size_step:
        raise SpecError(f"size: {size.width}x{size.height}: the model's sizes are multiples of {info.size_step}")
    return plan
