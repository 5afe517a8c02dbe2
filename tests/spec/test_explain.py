"""What is said of values in the wrong form, of other tools' words, of keys nobody knows, and of seeds that mean any."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import get_args

import pytest

from render.errors import SpecError
from render.spec import SAMPLERS, DreamSpec, EngineSpec, JobSpec, Keyframe
from render.spec.forms import fresh_seed, number_meant, switch_meant, text_meant
from render.spec.keys import Keys
from render.spec.other_tools import _KEYS, _WORDS, key_called, word_called
from render.spec.samplers import Sampler
from render.spec.schema import OutputSpec
from render.spec.shown import shown
from render.video.codecs import CODECS

Make = Callable[..., JobSpec]

TWO = """\
version: 1
name: two
mode: dream
model: testcard
keyframes:
  - {at: 0, prompt: 'a'}
  - {at: 1s, prompt: 'b'}
"""


@pytest.fixture
def refusal(spec_of: Make) -> Callable[..., str]:
    def refused(*assignments: str) -> str:
        with pytest.raises(SpecError) as caught:
            spec_of(*assignments, text=TWO)
        return str(caught.value)

    return refused


DOUBLES = {
    ("sampler=euler", "scheduler=karras"): "scheduler: unknown key; write sampler: euler-karras",
    ("scheduler=karras",): "scheduler: unknown key; write sampler: dpm++2m-karras",
    ("sampler=euler-a", "scheduler=karras"): "write sampler: euler-a; it has no Karras variant here",
    (
        "sampler=euler-karras",
        "scheduler=karras",
    ): "scheduler: unknown key; leave it out, euler-karras has Karras sigmas",
    ("sampler=euler", "scheduler=normal"): "scheduler: unknown key; leave it out, samplers take the model's own steps",
    ("sampler=euler", "scheduler=sgm_uniform"): "steps are not built; write sampler: euler, or euler-karras for Karras",
    ("sampler=euler", "use_karras_sigmas=true"): "use_karras_sigmas: unknown key; write sampler: euler-karras",
    ("use_karras_sigmas=false",): "use_karras_sigmas: unknown key; leave it out, samplers take the model's own steps",
    ("sampler=heun", "use_beta_sigmas=true"): "beta steps are not built; write sampler: heun",
    (
        "sampler=euler",
        "scheduler=DDIMScheduler",
    ): "scheduler: unknown key; sampler stands there already, keep one of the two values there",
    ("scheduler=DDIMScheduler",): "scheduler: unknown key; write sampler",
    (
        "guidance=7",
        "cfg_scale=8",
    ): "cfg_scale: unknown key; guidance stands there already, keep one of the two values there",
}


@pytest.mark.parametrize(("assignments", "message"), DOUBLES.items(), ids=[" ".join(keys) for keys in DOUBLES])
def test_a_key_that_is_part_of_another(assignments: tuple[str, ...], message: str, refusal: Callable[..., str]) -> None:
    assert message in refusal(*assignments)
    assert "stands twice" not in refusal(*assignments)


RIGHT = {
    "version='1'": "version: '1': write 1 without quotes",
    "steps='20'": "steps: '20': write 20 without quotes",
    "steps=20.0": "steps: 20.0: write 20",
    "steps=1e2": "steps: 100.0: write 100",
    "steps=1_000": "steps: '1_000': write 1000",
    'steps="1,000"': "steps: '1,000': write 1000",
    "steps=0x10": "steps: '0x10': write 16",
    "steps=20 steps": "steps: '20 steps': write 20",
    "steps=“20”": "steps: '“20”': write 20 without quotes",
    "frames='48'": "frames: '48': write 48 without quotes",
    "seed='42'": "seed: '42': write 42 without quotes",
    "seed=1e3": "seed: 1000.0: write 1000",
    "keyframes[0].seed='42'": "keyframes[0].seed: '42': write 42 without quotes",
    "guidance='7.5'": "guidance: '7.5': write 7.5 without quotes",
    'guidance="7,5"': "guidance: '7,5': write 7.5",
    "engine.batch='8'": "engine.batch: '8': write 8 without quotes, or auto",
    "output.crf='18'": "output.crf: '18': write 18 without quotes",
    "loop='true'": "loop: 'true': write true",
    "loop=yes": "loop: 'yes': write true",
    "loop=On": "loop: 'On': write true",
    "loop=off": "loop: 'off': write false",
    "loop=1": "loop: 1: write true",
    "negative=7": 'negative: 7: write "7"',
    "negative=true": 'negative: true: write "true"',
    "keyframes[0].prompt=1984": 'keyframes[0].prompt: 1984: write "1984"',
    "keyframes[0].prompt=[a sun, oil]": "keyframes[0].prompt: ['a sun', 'oil']: write \"a sun, oil\"",
    "name=7": 'name: 7: write "7"',
    "name=my film (2)": (
        "name: 'my film (2)': at most 100 letters, digits, '.', '_' and '-', the first a letter or digit; "
        "for example my-film-2"
    ),
    'sampler=""': "sampler: is empty; write the name of a sampler, or leave the key out",
    'output.codec=" "': "output.codec: is empty; write the name of a codec, or leave the key out",
    "guidance=0.0": "guidance: 0.0: write 1.0 or more; 1 is none",
    "keyframes[0].guidance=0.5": "keyframes[0].guidance: 0.5: write 1.0 or more; 1 is none",
    "version=v1": "version: 'v1': write 1",
    "version=2": "version: 2: write 1",
    "version=true": "version: 'true': write 1",
    "fps=23,976": "fps: '23,976' is not a frame rate; write 23.976 or 24000/1001",
    "fps=29,97 fps": "fps: '29,97 fps' is not a frame rate; write for example 24, 29.97 or 30000/1001",
    "fps=24,5": "fps: '24,5' is not a frame rate; write 24.5",
    "guidance=7,500": "guidance: '7,500': write 7.500",
    "size=16:9": "size: '16:9' is not a size; write width x height in pixels, for example 512x512, or 1024x576",
    "size=500": "size: 500 is not a size; write width x height in pixels, 504x504",
    "size=[1920, 1080]": "size: [1920, 1080] is not a size; write width x height in pixels, 1920x1080",
    "sampler=3": "sampler: 3: write the name of a sampler, for example dpm++2m",
    "sampler=null": "sampler: null: write the name of a sampler, for example dpm++2m",
    "sampler=[euler, karras]": "sampler: ['euler', 'karras']: write euler-karras",
    "output.codec=264": "output.codec: 264: write the name of a codec, for example h264",
    "size=512": "size: 512 is not a size; write width x height in pixels, 512x512",
    "size=[512, 768]": "size: [512, 768] is not a size; write width x height in pixels, 512x768",
    "size=512*768": "size: '512*768' is not a size; write width x height in pixels, 512x768",
    "fps=24 fps": "fps: '24 fps' is not a frame rate; write 24",
    "fps=24fps": "fps: '24fps' is not a frame rate; write 24",
    "duration=20 sec": "duration: '20 sec' is not a time; write 20s",
    "duration=2 Minutes": "duration: '2 Minutes' is not a time; write 2m",
    "duration=2.5": "duration: 2.5 is not a time; write 2.5s for seconds, or a whole frame number",
    "duration=48 frames": "duration: '48 frames' is not a time; write 48, a frame number without a unit",
    "duration='12'": "duration: '12' is not a time; write 12 without quotes for a frame, or 12s for seconds",
    "farm.deadline=10 minutes": "farm.deadline: '10 minutes' is not a time; write 10m",
    "engine.guidance_interval=0.8": "engine.guidance_interval: 0.8: write a list, for example [0.1, 0.8]",
    "keyframes={0: a}": "keyframes: {'0': 'a'}: write a list: - {at: 0, prompt: \"a red sun\"}",
    "keyframes[1]=b": "keyframes[1]: 'b': write a mapping of keys, for example {at: 0, prompt: \"a red sun\"}",
    "output=mp4": "output: 'mp4': write a mapping of keys, for example {video: mp4}",
    "steps=.nan": "steps: '.nan': write a whole number",
    "guidance=1e999": "guidance: inf: write a number",
}


@pytest.mark.parametrize(("assignment", "message"), RIGHT.items(), ids=RIGHT)
def test_a_value_in_the_wrong_form_is_shown_in_the_right_one(
    assignment: str, message: str, refusal: Callable[..., str]
) -> None:
    assert refusal(assignment) == f"--set {assignment}: {message}"


@pytest.mark.parametrize("path", ["seed", "keyframes[1].seed"])
@pytest.mark.parametrize("value", ["-1", "-7", "random", "Random", "rand", "any", "auto", "'-1'", "''", "null"])
def test_a_seed_that_means_any_is_answered_with_a_fresh_one(
    path: str, value: str, refusal: Callable[..., str], spec_of: Make
) -> None:
    if path != "seed" and value == "null":
        assert spec_of(f"{path}=null", text=TWO), "a keyframe that pins none"
        return
    said = refusal(f"{path}={value}")
    seeds = {re.search(r"a fresh one: seed: (\d+)$", text) for text in (said, refusal(f"{path}={value}"))}
    numbers = {int(match[1]) for match in seeds if match}
    assert len(numbers) == 2, "drawn anew each time"
    assert all(0 <= number < 2**32 for number in numbers)
    assert all(spec_of(f"{path}={number}", text=TWO) for number in numbers)


def test_fresh_seeds_differ() -> None:
    assert len({fresh_seed() for _ in range(50)}) > 45


UNKNOWN = {
    "stps": "unknown key; did you mean 'steps'?",
    "cfg_scale": "unknown key; write guidance",
    "guidanceScale": "unknown key; write guidance",
    "num_inference_steps": "unknown key; write steps",
    "negative_prompt": "unknown key; write negative",
    "width": "unknown key; write size, both sides in one: 512x512",
    "prompts": "unknown key; write keyframes",
    "max_frames": "unknown key; write frames",
    "scheduler": "unknown key; write sampler",
    "outdir": "unknown key; write output.dir",
    "crf": "unknown key; it stands in output",
    "workers": "unknown key; it stands in farm",
    "batch": "unknown key; it stands in engine",
    "prompt": "unknown key; it stands in keyframes",
    "lora": "unknown key; this version has nothing of the kind, leave it out",
    "engine.steps": "unknown key; it stands at the top, without indentation",
    "keyframes[0].cfg": "unknown key; write guidance",
    "keyframes[0].x0": "unknown key; the keys of keyframes: at, prompt, negative, seed, guidance, ease, hold",
    "keyframes[0].promt": "unknown key; did you mean 'prompt'?",
}


@pytest.mark.parametrize(("key", "message"), UNKNOWN.items(), ids=UNKNOWN)
def test_an_unknown_key_is_answered_with_ours(key: str, message: str, refusal: Callable[..., str]) -> None:
    assert refusal(f"{key}=1") == f"--set {key}=1: {key}: {message}"


def test_a_number_as_a_key_is_a_place(spec_of: Make) -> None:
    with pytest.raises(SpecError, match=r"job.yaml:7: keyframes\[1\].24: unknown key; write at: 24"):
        spec_of(text=TWO.replace("{at: 1s, prompt: 'b'}", "24: 'b'"))


def test_the_keys_of_a_section_are_listed_once(refusal: Callable[..., str]) -> None:
    lines = refusal("foo=1", "bar=1", "keyframes[0].foo=1", "keyframes[1].bar=1", "stps=1").splitlines()
    assert [line.split(": ", 2)[2] for line in lines if "foo" in line or "bar" in line] == [
        "unknown key; the keys of a job spec: " + ", ".join(DreamSpec.model_fields),
        "unknown key",
        "unknown key; the keys of keyframes: at, prompt, negative, seed, guidance, ease, hold",
        "unknown key",
    ]
    assert all(len(line) < 260 for line in lines)


WORDS = {
    "engine.dtype=float16": "write fp16",
    "engine.dtype=torch.bfloat16": "write bf16",
    "engine.backend=torch.compile": "write compile",
    "engine.backend=TensorRT": "write tensorrt",
    "engine.device=gpu": "write cuda",
    "engine.device=cuda:0": "write cuda",
    "engine.attention=flash_attention_2": "write flash",
    "engine.memory=lowvram": "write low",
    "engine.quality=high": "write exact",
    "engine.quality=default": "write one of: exact",
    "engine.dtype=default": "write auto",
    "output.video=mkv": "write mp4",
    "output.video=MP4": "write mp4",
    "output.video=false": "write null",
    "output.video=none": "write null; the words are: mp4, mov, gif, webp, null",
    "output.frames=jpeg": "write jpg",
    "output.frames=true": "write png",
    "output.codec=libx264": "write h264",
    "output.codec=HEVC": "write h265",
    "output.codec=libvpx-vp9": "write vp9",
    "keyframes[0].ease=ease-in-out": "write in-out",
    "keyframes[0].ease=smooth": "write in-out",
    "prompt_walk=spherical": "write slerp",
    "mode=Dream": "write dream",
    "mode=interpolation": "write dream",
    "mode=text2img": "'text2img' is not built yet",
    "mode=deforum": "'deforum' is not built yet",
    "sampler=dpmpp_2m": "unknown sampler 'dpmpp_2m'; write dpm++2m, or dpm++2m-karras for Karras sigmas",
    "sampler=DPM++ 2M Karras": "unknown sampler 'DPM++ 2M Karras'; write dpm++2m-karras",
}


@pytest.mark.parametrize(("assignment", "message"), WORDS.items(), ids=WORDS)
def test_a_word_of_another_tool_is_answered_with_ours(
    assignment: str, message: str, refusal: Callable[..., str]
) -> None:
    assert message in refusal(assignment)


def _literals(annotation: object) -> set[str]:
    parts = get_args(annotation)
    return {part for part in parts if isinstance(part, str)}.union(*(_literals(part) for part in parts))


def test_our_words_and_keys_exist() -> None:
    fields = {**EngineSpec.model_fields, **OutputSpec.model_fields, **Keyframe.model_fields, **DreamSpec.model_fields}
    for field, words in _WORDS.items():
        known = {"codec": set(CODECS), "mode": {"dream", "txt2img", "img2img", "animate"}}.get(field)
        found = set(words) - {"null"}
        literals = _literals(OutputSpec.model_fields["frames"].annotation) if field == "frames" else None
        assert found <= (known or literals or _literals(fields[field].annotation)), field
    sections = Keys(DreamSpec).sections
    for ours in _KEYS:
        section, _, key = ours.rpartition(".")
        assert key in {*sections[tuple(section.split(".")) if section else ()], *(sections[("keyframes",)])}, ours


def test_what_nobody_calls_so() -> None:
    assert key_called("foo") is None
    assert word_called("dtype", "x", ["auto", "fp32"]) is None
    assert word_called("codec", "h264", list(CODECS)) == "write h264"


@pytest.mark.parametrize(
    ("value", "whole", "meant"),
    [
        ("9" * 400, True, None),
        ("1e400", True, None),
        ("1e400", False, None),
        ("1.5", True, None),
        (1e300, True, None),
        (True, True, None),
        (None, True, None),
        ("-3", True, "-3 without quotes"),
        (" 7 ", True, "7 without quotes"),
        ("seven", True, None),
    ],
)
def test_numbers_that_are_meant(value: object, whole: bool, meant: str | None) -> None:
    assert number_meant(value, whole=whole) == meant


def test_forms() -> None:
    assert (switch_meant("maybe"), switch_meant("No"), text_meant({}), text_meant([])) == (None, "false", None, None)
    assert (shown(None), shown(True), shown("x"), shown("y" * 99)) == ("null", "true", "'x'", "'" + "y" * 56 + "…")
    assert isinstance(next(iter(SAMPLERS.values())), Sampler)
