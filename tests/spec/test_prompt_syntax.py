"""Signs of other tools in prompts are refused by name; brackets, colons and times of day are not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from render.errors import SpecError
from render.spec import load, validate
from render.spec.document import parse
from render.spec.prompt_syntax import syntax_mistakes

JOB = """\
version: 1
name: p
mode: dream
model: testcard
keyframes:
  - {at: 0, prompt: "a"}
  - {at: 4, prompt: "TEXT"}
"""

SIGNS = {
    "a (red:1.3) sun": "'(red:1.3)': weights",
    "(a red sun : .8)": "'(a red sun : .8)': weights",
    "a (dark:-0.5) sea": "'(dark:-0.5)': weights",
    "((masterpiece)), a sun": "'((masterpiece))': weights",
    "a sun <lora:add_detail:0.8>": "'<lora:add_detail:0.8>': LoRAs",
    "<lyco:x:1> a sun": "'<lyco:x:1>': LoRAs",
    "<hypernet:x:1>": "'<hypernet:x:1>': LoRAs",
    "a [cat:dog:0.5]": "'[cat:dog:0.5]': prompts that change between steps",
    "embedding:EasyNegative, sun": "'embedding:EasyNegative': embeddings",
    "a __color__ sun": "'__color__': wildcards",
    "a __landscape/sky__": "'__landscape/sky__': wildcards",
    "(version 2:1.3)": "'(version 2:1.3)': weights",
    "a (big (red) sun:1.3)": "') sun:1.3)': weights",
    "((a) and (b))": "'((a) and (b))': weights",
    "a (blue)++ sun": "'(blue)++': weights",
    "a (blue)-- sun": "'(blue)--': weights",
    "a (blue)1.3 sun": "'(blue)1.3': weights",
    "a blue++ sun": "'blue++': weights",
    "a [castle:0.5]": "'[castle:0.5]': prompts that change between steps",
    "a [castle:10]": "'[castle:10]': prompts that change between steps",
    "a [castle::0.5]": "'[castle::0.5]': prompts that change between steps",
    "a [blue|red] sun": "'[blue|red]': alternatives",
    "a sun AND a moon": "'AND': prompts in several parts",
    "a sun, BREAK, a moon": "'BREAK': prompts in several parts",
    "a {red|blue} sun": "'{red|blue}': alternatives",
}


@pytest.mark.parametrize(("text", "words"), SIGNS.items(), ids=SIGNS)
def test_signs_are_named_with_their_line(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(JOB.replace("TEXT", text))
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "p.yaml")
    assert f"p.yaml:7: keyframes[1].prompt: {words} are not built yet, and the model would read" in str(caught.value)
    assert [path for path, _ in syntax_mistakes({"negative": text})] == [("negative",)]


@pytest.mark.parametrize(
    "text",
    [
        *("a (small) house [blue]", "(at 12:30) a sun", "photo (16:9)", "8:30 (morning)", "ratio 3:2", "snake_case__x"),
        *(
            "(note: 5)",
            "(remix:2)",
            "(ratio 1:1.85)",
            "(2.39:1)",
            "[16:9]",
            "[note: 5]",
            "SALT AND PEPPER",
            "C++",
            "18+",
        ),
        *(
            "a sign: TOM AND JERRY",
            "DO NOT BREAK IT",
            "R-AND-B",
            "BREAKING news",
            "(a) - (b)",
            "wi-fi (5)",
            "(2)",
            "a+b",
        ),
        *("a sun, oil: cubism", "I <3 suns", "a | b", "(one) (two)", "[a, b]", "{a}", "x__y", "cat:dog", ":1.3)", "(:"),
    ],
)
def test_what_is_only_text_stays(text: str) -> None:
    assert list(syntax_mistakes({"keyframes": [{"prompt": text}], "negative": text})) == []


def test_a_plan_made_with_such_a_prompt_is_still_read() -> None:
    spec = validate(parse(JOB.replace("TEXT", "a (red:1.3) sun"), name="plan.json"))
    assert spec.model_dump()["keyframes"][1]["prompt"] == "a (red:1.3) sun"


def test_no_text_takes_long() -> None:
    began = time.process_time()
    for filler in (
        "(",
        "[",
        "{",
        "<lora:",
        "(a:",
        "__",
        "embedding:",
        "[:",
        "{|",
        "(a ",
        ": ",
        "(a:1",
        "((a) ",
        "[a|",
        "AND",
        "(a a)",
        "a" * 399 + " ",
    ):
        list(syntax_mistakes({"prompt": filler * (4000 // len(filler))}))
    assert time.process_time() - began < 2
