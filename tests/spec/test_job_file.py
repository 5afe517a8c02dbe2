"""Job specs: strict, frozen, and refused with the line, the field and what would be right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from render.errors import SpecError
from render.spec import MODES, JobSpec, dump, json_schema, load, validate
from render.spec.document import parse
from render.spec.mistakes import MAX_MISTAKES

Make = Callable[..., JobSpec]

ROOT = Path(__file__).parents[2]

TWO = """\
version: 1
name: two
mode: dream
model: testcard
keyframes:
  - {at: 0, prompt: a}
  - {at: 1s, prompt: b}
"""


def refusal(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        validate(parse(text, name="job.yaml"))
    return str(caught.value)


def test_defaults(spec_of: Make) -> None:
    spec = spec_of(text=TWO)
    assert (spec.num_frames, str(spec.fps), spec.steps, spec.sampler) == (25, "24", 20, "dpm++2m")
    assert spec.run_dir == Path("out/two")


def test_a_spec_is_frozen(spec_of: Make) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        spec_of().steps = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("assignments", "frames"),
    [((), 25), (("duration=2s",), 48), (("frames=30",), 30), (("fps=30000/1001",), 31), (("keyframes[1].at=7",), 8)],
    ids=["last keyframe", "duration", "frames", "rate", "frame"],
)
def test_length(assignments: tuple[str, ...], frames: int, spec_of: Make) -> None:
    assert spec_of(*assignments, text=TWO).num_frames == frames


def test_home_is_found(spec_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert spec_of("output.dir=~/films").run_dir == Path("/home/someone/films")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("stps=1", "stps: unknown key; did you mean 'steps'?"),
        ("engine.batc=1", "engine.batc: unknown key; did you mean 'batch'?"),
        ("keyframes[1].promt=1", "keyframes[1].promt: unknown key; did you mean 'prompt'?"),
        ("steps=many", "steps: 'many': write a whole number"),
        ("steps=4.5", "steps: 4.5: write a whole number"),
        ("steps=true", "steps: true: write a whole number"),
        ("steps=0", "steps: 0: write 1 or more"),
        ("seed=18446744073709551616", "seed: 18446744073709551616: write less than 18446744073709551616"),
        ("guidance=0.5", "guidance: 0.5: write 1.0 or more"),
        ("guidance=1e999", "guidance: inf"),
        ("loop=yes", "loop: 'yes': write true"),
        ("keyframes=7", "keyframes: 7: write a list"),
        ("keyframes=[]", "keyframes: []: write at least one of them"),
        ("keyframes=[x]", "keyframes[0]: 'x': write a mapping of keys"),
        ("engine=fast", "engine: 'fast': write a mapping of keys"),
        ("negative=7", 'negative: 7: write "7"'),
        ("engine.batch=x", "engine.batch: 'x': write a whole number, or auto"),
        ("engine.batch=0", "engine.batch: 0: write 1 or more, or auto"),
        ("farm.deadline=90", "farm.deadline: 90: write a length with its unit"),
        ("farm.deadline=0s", "farm.deadline: 0s: write a length with its unit"),
        ("mode=txt2img", "mode: 'txt2img' is not built yet; this version has: dream"),
        ("mode=drem", "mode: 'drem'; did you mean 'dream'?; write one of: dream"),
        ("sampler=eular", "sampler: unknown sampler 'eular'; did you mean 'euler'?; known: ddim"),
        ("output.codec=h266", "output.codec: unknown codec 'h266'; did you mean 'h265'?"),
        ("output.codec=prores", "output.video: prores does not go into mp4; write video: mov"),
        ("output.crf=52", "output.crf: 52: the crf of h264 goes from 1 (best) to 51"),
        ("output.preset=fastest", "output.preset: unknown preset 'fastest'; did you mean 'faster'?"),
        ("output.frames=tiff", "output.frames: 'tiff'; write one of: png, jpg, webp"),
        ('output.dir="a\\0b"', "output.dir: 'a\\x00b' holds a character"),
        ("name=../x", "name: '../x': at most 100 letters, digits"),
        ("name=..", "name: '..': at most 100 letters"),
        ('name="x\\n"', "name: 'x\\n': at most 100 letters"),
        ("version=2", "version: 2: write 1"),
        ("fps=23.123456789", "fps: 23123456789/1000000000 is too fine a fraction"),
        ("frames=1000001", "frames: 1000001: write 1000000 or less"),
        ("duration=0s", "duration: that makes 0 frames; a job has from 1 to 1,000,000"),
        ("duration=13h", "duration: that makes 1,123,200 frames"),
        ("loop=true", "loop: a loop needs frames or duration"),
        ("keyframes[0].at=1", "keyframes[0].at: the first keyframe stands at 1; it must stand at 0"),
        ("keyframes[1].at=0", "keyframes[1].at: 0 is frame 0, not after the one before (frame 0)"),
        ("frames=24", "keyframes[1].at: 1s is frame 24, but the film has frames 0 to 23"),
        ("keyframes[0].hold=2s", "keyframes[0].hold: 2s reaches past frame 24"),
        ("keyframes[0]={at: 0}", "keyframes[0]: the first keyframe needs a prompt"),
        ("keyframes[0]={prompt: x}", "keyframes[0].at: is missing"),
        ("engine.guidance_interval=[0.5, 0.5]", "engine.guidance_interval: it ends where it begins"),
        ("engine.guidance_interval=[0.51, 0.54]", "engine.guidance_interval: no step of 20 lies in it"),
        ("engine.guidance_interval=[0.5, 2]", "engine.guidance_interval[1]: 2: write 1.0 or less"),
        ("engine.reuse_steps=0", "engine.reuse_steps: 0: write 1 or more"),
        ("engine.quality=best", "engine.quality: 'best': write exact; the words are: exact, balanced, draft"),
        ("mode=[dream]", "mode: ['dream']"),
        ("steps={a: {b: 1}}", "steps: {'a': {'b': 1}}: write a whole number"),
        ('"\\e[31mred\\n"=1', "is not a key path"),
        ('engine={"\\e[31mred\\n": 1}', r"engine.\x1b[31mred\n: unknown key"),
        ("size=100x64", "size: 100x64: the width must be a multiple of 8; the nearest is 104"),
    ],
    ids=lambda value: value.partition(":")[0] if ": " in value else value[:40],
)
def test_refusals(assignment: str, message: str, spec_of: Make) -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(assignment, text=TWO)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value), "one mistake, one line"
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (
            ("output.video=gif", "fps=60"),
            "output.video: a GIF shows at most 50 frames a second, not 60; write video: webp",
        ),
        (("output.codec=ffv1", "output.crf=3"), "output.crf: ffv1 has no crf; leave it out"),
        (
            ("engine.reuse_steps=2", "engine.interpolate_frames=4"),
            "engine.interpolate_frames: it excludes reuse_steps; keep one of the two",
        ),
        (("frames=24", "duration=1s"), "duration: frames is given too; keep one of the two"),
        (
            ("frames=99", "keyframes=[{at: 0, prompt: a}, {at: 50}, {at: 9}]"),
            "keyframes[2].at: 9 is frame 9, not after",
        ),
        (("keyframes=[{at: 0, prompt: a}, {at: 50, hold: 3}, {at: 9}]",), "keyframes[2].at: 9 is frame 9, not after"),
    ],
    ids=["gif", "crf", "deep features", "two lengths", "order", "order without length"],
)
def test_contradictions(assignments: tuple[str, ...], message: str, spec_of: Make) -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(*assignments, text=TWO)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mistakes_come_in_the_order_of_the_file() -> None:
    text = "mode: dream\nsteps: x\nversion: 1\nname: n\nmodel: testcard\nfps: x\nkeyframes:\n  - {at: 0, prompt: 1}\n"
    assert [line.split(": ")[0] for line in refusal(text).splitlines()] == ["job.yaml:2", "job.yaml:6", "job.yaml:8"]


def test_many_mistakes_do_not_flood_the_terminal() -> None:
    text = TWO + "".join(f"  - {{at: {at}, promt: x}}\n" for at in range(30, 130))
    lines = refusal(text).splitlines()
    assert len(lines) == MAX_MISTAKES + 1
    assert lines[-1] == "… and 80 more mistakes"


@pytest.mark.parametrize("text", ["", "just words", "- a\n- b\n"], ids=["nothing", "words", "list"])
def test_what_is_no_mapping(text: str) -> None:
    assert "a job spec is a mapping of keys" in refusal(text)


def test_what_is_missing_is_named() -> None:
    assert [line.split(": ", 1)[1] for line in refusal("version: 1\n").splitlines()] == [
        "name: is missing; write the name of the job, which is also that of its folder",
        "mode: is missing; write mode: dream",
        "model: is missing; write model: demo, a hub id or a folder",
        'keyframes: is missing; write keyframes, and below it - {at: 0, prompt: "a red sun", seed: 1}',
    ]


@pytest.mark.parametrize(
    "assignments",
    [
        (),
        ("output.video=null",),
        ("output.video=mov", "output.codec=prores", "output.frames=png"),
        ("fps=23.976", "duration=1:30", "size=64x64"),
        ("keyframes[1].hold=2", "frames=40", "loop=true", "keyframes[1].ease=in-out", "farm.deadline=10m"),
        ('keyframes[0].prompt="it\'s “sün”: # 1"', "negative=no", "seed=18446744073709551615"),
        ('keyframes[0].prompt="1e9"', 'negative="-1e999"', 'model="0:30"', 'output.dir=".5"'),
    ],
    ids=["plain", "no video", "mov", "times", "walk", "texts", "texts like numbers"],
)
def test_what_is_dumped_loads_as_the_same_spec(assignments: tuple[str, ...], spec_of: Make) -> None:
    spec = spec_of(*assignments, text=TWO)
    assert validate(parse(dump(spec), name="dump.yaml")) == spec


def test_a_file_gives_its_name_to_the_job(tmp_path: Path) -> None:
    path = tmp_path / "my-walk.yaml"
    path.write_text(TWO.replace("name: two\n", ""))
    job = load(path, ["steps=3"])
    assert (job.spec.name, job.spec.steps) == ("my-walk", 3)
    assert str(job.mistake(("keyframes", 1, "at"), "is late")) == f"{path}:6: keyframes[1].at: is late"


def schema() -> jsonschema.Draft202012Validator:
    content = json.loads(json_schema())
    jsonschema.Draft202012Validator.check_schema(content)
    return jsonschema.Draft202012Validator(content)


TEXTS = {path.stem: path.read_text() for path in sorted((ROOT / "jobs").glob("*.yaml"))} | {"two": TWO}
TEXTS |= {name: mode.template for name, mode in MODES.items()}


@pytest.mark.parametrize("name", TEXTS)
def test_the_schema_accepts_what_loads(name: str) -> None:
    schema().validate(yaml.safe_load(TEXTS[name]))
    schema().validate(yaml.safe_load(dump(validate(parse(TEXTS[name], name=name)))))


@pytest.mark.parametrize(
    "change",
    [
        {"stps": 1},
        {"steps": "x"},
        {"steps": 0},
        {"size": "big"},
        {"sampler": "eular"},
        {"keyframes": []},
        {"keyframes": [{"prompt": "a"}]},
        {"output": {"codec": "h266"}},
        {"engine": {"batch": "x"}},
        {"fps": 0.5},
        {"version": 2},
    ],
    ids=str,
)
def test_the_schema_refuses_what_does_not_load(change: dict[str, object]) -> None:
    wrong = yaml.safe_load(TWO) | change
    assert not schema().is_valid(wrong)
    assert refusal(yaml.safe_dump(wrong))
