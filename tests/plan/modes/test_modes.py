"""The table of modes; and what a mode is, by one that is made here and put into it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Annotated, ClassVar, Literal, get_args

import jsonschema
import pytest
import yaml
from pydantic import Field

from render.errors import SpecError
from render.models import describe
from render.plan import Chunk, Machine, Plan, Settings, resolve
from render.plan.chunks import tiles
from render.plan.modes import MODES
from render.plan.timeline import Pin, Timeline, Track
from render.spec import MODES as SPECS
from render.spec import JobSpec, Mistake, dump, json_schema, validate
from render.spec.document import parse
from render.spec.fields import Section
from render.spec.other_tools import NOT_BUILT

DICE = """\
version: 1
name: dice
mode: dice
model: testcard
throws: [{pips: 3, times: 2}, {pips: 6}]
"""


class Throw(Section):
    pips: Annotated[int, Field(ge=1, le=6)]
    times: int = 1


class DiceSpec(JobSpec):
    """A frame for every throw, whose pips are its seed."""

    mode: Literal["dice"]
    throws: Annotated[tuple[Throw, ...], Field(strict=False)]
    template: ClassVar[str] = DICE

    @property
    def num_frames(self) -> int:
        return sum(throw.times for throw in self.throws)

    @property
    def num_keyframes(self) -> int:
        return len(self.throws)

    def mistakes(self) -> Iterator[Mistake]:
        if not self.num_frames:
            yield ("throws",), "no throw, no film"


def timeline(spec: DiceSpec) -> Timeline:
    pips = [throw.pips for throw in spec.throws for _ in range(throw.times)]
    return Timeline(
        spec.num_frames,
        prompt=Track([Pin(0, "dice", "hold", 0)]),
        negative=Track([Pin(0, "", "hold", 0)]),
        seed=Track([Pin(frame, seed, "hold", frame) for frame, seed in enumerate(pips)]),
        guidance=Track([Pin(0, spec.guidance, "hold", 0)]),
    )


def chunks(spec: DiceSpec, settings: Settings) -> tuple[Chunk, ...]:
    return tiles(spec.num_frames, settings.chunk)


@pytest.fixture
def dice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two rows of the mode."""
    monkeypatch.setitem(SPECS, "dice", DiceSpec)
    monkeypatch.setitem(MODES, "dice", SimpleNamespace(timeline=timeline, chunks=chunks))


def spec_of(*assignments: str) -> JobSpec:
    document = parse(DICE, name="dice.yaml")
    for assignment in assignments:
        document.override(assignment)
    return validate(document)


def test_every_mode_has_its_spec_and_its_plan() -> None:
    assert list(MODES) == list(SPECS)
    assert {get_args(spec.model_fields["mode"].annotation) for spec in SPECS.values()} == {(mode,) for mode in SPECS}
    assert not set(MODES) & set(NOT_BUILT)


@pytest.mark.usefixtures("dice")
def test_a_plan_of_a_new_mode(machine: Machine) -> None:
    spec, model = spec_of("farm.chunk=2"), describe("testcard")
    plan = Plan(spec, resolve(spec, machine, model), model)
    assert plan.chunks == (Chunk(0, 2), Chunk(2, 3))
    assert [plan.timeline.state(index).seed.start for index in range(spec.num_frames)] == [3, 3, 6]
    assert Plan.from_json(plan.to_json()) == plan
    again = spec_of("farm.chunk=2", "throws[1].pips=5")
    assert plan.rerun(again).digest != plan.digest


@pytest.mark.usefixtures("dice")
def test_a_new_mode_reads_back_what_it_writes() -> None:
    assert validate(parse(dump(spec_of()), name="again")) == spec_of()


@pytest.mark.usefixtures("dice")
@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("throws=[]", "throws: no throw, no film"),
        ("throws[0].pip=3", "throws[0].pip: unknown key; did you mean 'pips'?"),
        ("throws[0].pips=7", "throws[0].pips: 7: write 6 or less"),
        ("loop=true", "loop: unknown key"),
        ("steps=1001", "steps: 1001: write 1000 or less"),
        ("mode=dic", "mode: 'dic'; did you mean 'dice'?; write one of: MODES"),
        ("mode=animate", "mode: 'animate' is not built yet; this version has: MODES"),
    ],
    ids=lambda value: value.partition("=")[0],
)
def test_a_new_mode_refuses_in_the_same_words(assignment: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(assignment)
    assert message.replace("MODES", ", ".join(SPECS)) in str(caught.value)


@pytest.mark.usefixtures("dice")
def test_the_schema_knows_all_modes() -> None:
    schema = jsonschema.Draft202012Validator(json.loads(json_schema()))
    data = yaml.safe_load(DICE)
    assert schema.is_valid(data)
    assert schema.is_valid(yaml.safe_load(SPECS["dream"].template))
    for change in ({"mode": "dream"}, {"throws": [{"pips": 7}]}, {"sampler": "eular"}, {"output": {"codec": "h266"}}):
        assert not schema.is_valid(data | change), change


def test_a_job_is_written_in_the_order_of_its_template(spec_of: Callable[..., JobSpec]) -> None:
    written = list(yaml.safe_load(dump(spec_of("frames=null", "duration=1s", "seed=1"))))
    sampling = ["sampler", "steps", "guidance", "negative", "seed"]
    walk = ["prompt_walk", "loop", "keyframes"]
    header, footer = ["version", "name", "mode", "model", "size", "fps"], ["engine", "farm", "output"]
    assert written == [*header, "duration", *sampling, *walk, *footer]
