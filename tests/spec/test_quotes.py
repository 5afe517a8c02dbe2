"""Prompts without quotes are shown with them; those that need none stay as they are."""

from __future__ import annotations

import time

import pytest
import yaml

from render.errors import SpecError
from render.spec import Keyframe, validate
from render.spec.document import parse
from render.spec.quotes import KEYFRAME_KEYS, apart, quoted, with_quotes

HEAD = "version: 1\nname: two\nmode: dream\nmodel: testcard\nkeyframes:\n"


def test_the_keys_beside_a_prompt_are_those_of_a_keyframe() -> None:
    assert set(KEYFRAME_KEYS) == set(Keyframe.model_fields)


FLOW = {
    "a castle, oil on canvas": '"a castle, oil on canvas"',
    "a castle: at dawn": '"a castle: at dawn"',
    "a castle, style: cubism, 8k": '"a castle, style: cubism, 8k"',
    "[castle], oil": '"[castle], oil"',
    "{red|blue} sun": '"{red|blue} sun"',
    "*stars* above": '"*stars* above"',
    "@someone": '"@someone"',
    "`x`": '"`x`"',
    "%d suns, red": '"%d suns, red"',
    '"red" sun, oil': "'\"red\" sun, oil'",
    "“a castle, oil”": '"a castle, oil"',
    "a walk, hold, still": '"a walk, hold, still"',
    "it's a castle, oil": '"it\'s a castle, oil"',
}


@pytest.mark.parametrize(("text", "cure"), FLOW.items(), ids=FLOW)
def test_in_braces(text: str, cure: str) -> None:
    line = f"  - {{at: 0, prompt: {text}, seed: 7}}"
    with pytest.raises(SpecError) as caught:
        validate(parse(f"{HEAD}{line}\n", name="job.yaml"))
    shown = "{at: 0, prompt: " + cure + ", seed: 7}"
    assert str(caught.value).startswith("job.yaml:6: ")
    assert f"write {shown}" in str(caught.value).replace("write - ", "write ")
    spec = validate(parse(f"{HEAD}  - {shown}\n", name="job.yaml"))
    assert spec.model_dump()["keyframes"][0]["prompt"] == yaml.safe_load(cure), "the cure cures"


RESTS = {
    "a castle, oil painting: masterpiece": "a castle, oil painting: masterpiece",
    "a castle, f/1.8: bokeh": "a castle, f/1.8: bokeh",
    "a castle, 8k: yes": "a castle, 8k: yes",
    "a castle, 35mm: 1": "a castle, 35mm: 1",
    "a castle, oil: thick, light: soft": "a castle, oil: thick, light: soft",
}


@pytest.mark.parametrize("key", ["prompt", "negative"])
@pytest.mark.parametrize(("text", "whole"), RESTS.items(), ids=RESTS)
def test_a_rest_with_a_value(text: str, whole: str, key: str) -> None:
    shown = f'{{at: 0, {key}: "{whole}", seed: 7}}'
    with pytest.raises(SpecError) as caught:
        validate(parse(f"{HEAD}  - {{at: 0, {key}: {text}, seed: 7}}\n", name="job.yaml"))
    message = str(caught.value).splitlines()[0]
    assert message.endswith(f"unknown key; a comma ends a text that has no quotes; write {shown}")
    assert "mended by the same quotes" in str(caught.value) or text.count(",") == 1
    other = ', prompt: "x"}' if key == "negative" else "}"
    spec = validate(parse(f"{HEAD}  - {shown[:-1]}{other}\n", name="job.yaml"))
    assert spec.model_dump()["keyframes"][0][key] == whole, "the cure cures"


def test_a_key_of_other_tools_behind_a_text_may_be_either() -> None:
    for rest, words in {
        "sead: 7": "unknown key; did you mean 'seed'?",
        "cfg_scale: 7": "unknown key; write guidance",
        "angle: low": 'leave it out; or a comma ends a text that has no quotes; write {at: 0, prompt: "a, angle: low"}',
    }.items():
        with pytest.raises(SpecError) as caught:
            validate(parse(f"{HEAD}  - {{at: 0, prompt: a, {rest}}}\n", name="job.yaml"))
        assert str(caught.value).endswith(words)
    with pytest.raises(SpecError, match="unknown key; the keys of keyframes: at"):
        validate(parse(f'{HEAD}  - {{at: 0, prompt: "a", oil: x}}\n', name="job.yaml"))


GLUED = {
    '{at: 0, prompt:"a castle"}': 'a space is missing behind the colon; write prompt: "a castle"',
    "{at: 0, prompt: a, seed:7}": "a space is missing behind the colon; write seed: 7",
    "{at: 0, prompt: a, oil:canvas}": 'ends a text that has no quotes; write {at: 0, prompt: "a, oil:canvas"}',
}


@pytest.mark.parametrize(("line", "cure"), GLUED.items(), ids=GLUED)
def test_a_colon_without_a_space(line: str, cure: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(f"{HEAD}  - {line}\n", name="job.yaml")
    assert str(caught.value).endswith(cure)


APART = {
    '{at: 0, prompt: "a" seed: 1}': '{at: 0, prompt: "a", seed: 1}',
    "{at: 0, prompt: 'a' seed: 1}": "{at: 0, prompt: 'a', seed: 1}",
    '{at: 0, prompt: "a" negative: "b"}': '{at: 0, prompt: "a", negative: "b"}',
    '{at: 0 prompt: "a"}': '{at: 0, prompt: "a"}',
    '{at: 0, prompt: "a", seed: 1 hold: 1}': '{at: 0, prompt: "a", seed: 1, hold: 1}',
    "{at: 0, prompt: a castle seed: 1}": "{at: 0, prompt: a castle, seed: 1}",
    "{at: 0, prompt: a castle, oil seed: 1}": '{at: 0, prompt: "a castle, oil", seed: 1}',
    '{at: 0, prompt: "at dawn seed: 1" guidance: 7}': '{at: 0, prompt: "at dawn seed: 1", guidance: 7}',
}


@pytest.mark.parametrize(("line", "cure"), APART.items(), ids=APART)
def test_a_comma_that_is_missing(line: str, cure: str) -> None:
    with pytest.raises(SpecError) as caught:
        validate(parse(f"{HEAD}  - {line}\n", name="job.yaml"))
    assert str(caught.value).startswith("job.yaml:6: ")
    assert str(caught.value).replace("write - ", "write ").endswith(f"a comma is missing; write {cure}")
    validate(parse(f"{HEAD}  - {cure}\n", name="job.yaml"))


@pytest.mark.parametrize("line", ['prompt: "a" seed: 1', "prompt: a castle seed: 1"])
def test_two_keys_on_a_line_of_their_own(line: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(f"{HEAD}  - at: 0\n    {line}\n", name="job.yaml")
    parts = line.replace(" seed", " and seed")
    assert str(caught.value) == f"job.yaml:7: two keys stand on one line; write each on a line of its own: {parts}"


BLOCK = {
    "a castle: at dawn": '"a castle: at dawn"',
    "[castle], oil": '"[castle], oil"',
    "*stars*, oil": '"*stars*, oil"',
    '"red" sun': "'\"red\" sun'",
    "'it's a sun'": '"it\'s a sun"',
    '"a castle': '"a castle"',
    "!important sun: x": '"!important sun: x"',
}


@pytest.mark.parametrize(("text", "cure"), BLOCK.items(), ids=BLOCK)
def test_on_a_line_of_its_own(text: str, cure: str) -> None:
    with pytest.raises(SpecError) as caught:
        validate(parse(f"{HEAD}  - at: 0\n    prompt: {text}\n    seed: 7\n", name="job.yaml"))
    assert f"prompt: {cure}" in str(caught.value)
    assert str(caught.value).startswith("job.yaml:7: ")


@pytest.mark.parametrize(
    "line",
    [
        "- {at: 0, prompt: a castle, seed: 7}",
        '- {at: 0, prompt: "a castle, oil: x", seed: 7}',
        "- {at: 0, prompt: 'a castle, it''s oil', negative: \"x\"}",
        "prompt: a castle, oil",
        "negative: blurry, text  # what must not be seen",
        "steps: 20",
        "",
    ],
)
def test_what_needs_none_stays(line: str) -> None:
    assert with_quotes(line) is None


def test_all_prompts_without_quotes_are_named_at_once() -> None:
    text = HEAD + "  - {at: 0, prompt: a, b}\n  - {at: 1, prompt: c,\n     d, seed: 1}\n"
    with pytest.raises(SpecError) as caught:
        parse(text, name="job.yaml")
    assert str(caught.value).splitlines() == [
        "job.yaml:6: 'b': a comma ends a text that has no quotes; write {at: 0, prompt: \"a, b\"}",
        "job.yaml:8: 'd': a comma ends a text that has no quotes; write {at: 1, prompt: \"c, d\", seed: 1}",
    ]


@pytest.mark.parametrize("text", ["portrait #1 fan", "#sunset over the sea"])
def test_a_hash_ends_no_prompt_in_silence(text: str) -> None:
    with pytest.raises(SpecError, match=r"job.yaml:7: '#.*' is a comment in YAML: put the text in quotes"):
        parse(f"{HEAD}  - at: 0\n    prompt: {text}\n", name="job.yaml")
    assert parse("prompt: sunset # a comment\n", name="job.yaml").data == {"prompt": "sunset"}
    assert parse(f"prompt: '{text}'\n", name="job.yaml").data == {"prompt": text}


def test_an_anchor_ends_no_prompt_in_silence() -> None:
    with pytest.raises(
        SpecError, match=r"job.yaml:2: &sun names a text for \*sun, which stands nowhere; quote the text"
    ):
        parse("a: 1\nprompt: &sun red\n", name="job.yaml")
    assert parse("a: &sun red\nb: *sun\n", name="job.yaml").data == {"a": "red", "b": "red"}


@pytest.mark.parametrize("text", ['say "x"', "back\\slash", "it's", "both 's and \"s", "plain", "“typographic”"])
def test_quoted_text_reads_back(text: str) -> None:
    assert parse(f"a: {quoted(text)}", name="x").data["a"] == text.strip("“”")


def test_a_line_of_any_kind_takes_no_time() -> None:
    began = time.process_time()
    for filler in (" ", ",", "{", "prompt: ", ", at", '"', "'", "\\", "prompt: x,", " seed: 1", "  "):
        with_quotes("- {at: 0, prompt: x" + filler * (5900 // len(filler)))
        apart("- {at: 0, prompt: x" + filler * (5900 // len(filler)))
    assert time.process_time() - began < 5
