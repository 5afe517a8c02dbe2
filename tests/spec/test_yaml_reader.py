"""What other writers of YAML and JSON do to a job file: tabs, surrogate pairs, merge keys, encodings, empty values."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from render.errors import SpecError
from render.spec import load, validate
from render.spec.document import parse, read

JOB = {
    "version": 1,
    "name": "j",
    "mode": "dream",
    "model": "testcard",
    "keyframes": [{"at": 0, "prompt": 'a 😀 sun / "é"\tx'}],
}


def refusal(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse(text, name="job.yaml")
    return str(caught.value)


@pytest.mark.parametrize("indent", [None, 2, "\t"], ids=["one line", "blanks", "tabs"])
@pytest.mark.parametrize("ascii_only", [True, False], ids=["escapes", "as it is"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("separators", [None, (",", ":")], ids=["spaced", "dense"])
def test_json_is_a_job_file(
    indent: int | str | None, ascii_only: bool, end: str, separators: tuple[str, str] | None, tmp_path: Path
) -> None:
    text = json.dumps(JOB, indent=indent, ensure_ascii=ascii_only, separators=separators)
    (tmp_path / "job.json").write_bytes(text.replace("\n", end).replace(" / ", " \\/ ").encode())
    assert read(tmp_path / "job.json").data == JOB
    assert load(tmp_path / "job.json").spec.num_frames == 1


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00", "\\ude00\\ud83d"])
def test_half_a_surrogate_pair_is_no_character(half: str) -> None:
    message = "job.yaml:2: half of a surrogate pair; write the character itself, or both halves"
    assert refusal(f'a: 1\nb: "{half} sun"\n') == message
    assert refusal(f'a: 1\n"{half}": 1\n') == message


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a:\t1\nb:\tx\ty\t\n", {"a": 1, "b": "x\ty"}),
        ("a:\t# nothing\n  - 1\n-\t2".replace("\n-\t2", ""), {"a": [1]}),
        ("a:\n  -\tx\n  -\ty\t# z\n", {"a": ["x", "y"]}),
        ("a: {\n\tb: 1,\n\t\tc: [1,\t2]\n\t}\n", {"a": {"b": 1, "c": [1, 2]}}),
    ],
)
def test_tabs_between_words(text: str, data: object) -> None:
    assert parse(text, name="x").data == data


@pytest.mark.parametrize(("text", "line"), [("a:\n\tb: 1\n", 2), ("\ta: 1\n", 1), ("a:\n  b: 1\n  \tc: 2\n", 3)])
def test_tabs_do_not_indent(text: str, line: int) -> None:
    assert refusal(text) == f"job.yaml:{line}: indented with a tab, which YAML does not take; write spaces"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version:1\nname: x\n", "1: a space is missing behind the colon; write version: 1"),
        ("version： 1\nname: x\n", "1: a space is missing behind the colon; write version: 1"),
        ("a: 1\n\nsteps 8\n\nname: x\n", "3: a colon is missing; write steps: 8"),
        ("a: 1\nsteps=8\nname: x\n", "2: a colon is missing; write steps: 8"),
        ("a:\n- at: 0\n- at 4\n  b: 1\n", "3: a colon is missing; write - at: 4"),
        ("a:\n  - at: 0, ease: in\n", "2: several keys on one line stand in braces; write - {at: 0, ease: in}"),
        ("a:\n  - {at:0, b: 1}\n", "2: 'at:0': a space is missing behind the colon; write at: 0"),
        ("a: 1\n b: 2\n", "2: not valid YAML: mapping values are not allowed here; is the line indented too far?"),
        ("farm: workers: 4\n", "1: not valid YAML: mapping values are not allowed here"),
        (
            "a: {b: 1\n",
            "2: not valid YAML: expected ',' or '}', but got '<stream end>'; is the bracket of line 1 closed",
        ),
        (
            'a: 1\nb: "x\n',
            "3: not valid YAML: found unexpected end of stream; the quote that begins on line 2 is never",
        ),
        (
            'a: "C:\\dreams"\n',
            "1: not valid YAML: found unknown escape character 'd'; in double quotes \\ begins an escape",
        ),
        ("a: 1\n---\nb: 2\n", "2: not valid YAML: found another document; a job file holds one job"),
        (
            "a: *nobody\n",
            "1: not valid YAML: found undefined alias 'nobody'; * begins an alias in YAML: quote the text",
        ),
    ],
)
def test_what_is_no_yaml_has_a_cure(text: str, message: str) -> None:
    assert refusal(text).startswith(f"job.yaml:{message}")


MERGED = """\
version: 1
name: m
mode: dream
model: testcard
keyframes:
  - &first {at: 0, prompt: "a", seed: 7, ease: in-out}
  - {<<: *first, at: 4, prompt: "b"}
  - {at: 8, <<: [*first, {seed: 9, hold: 2}], ease: hold}
  - {<<: [{seed: 5}, *first], at: 12}
  - at: 16
    <<: {<<: *first, seed: 3}
"""


def test_merge_keys() -> None:
    keyframes = validate(parse(MERGED, name="job.yaml")).model_dump()["keyframes"]
    assert [(key["prompt"], key["seed"], key["ease"]) for key in keyframes] == [
        ("a", 7, "in-out"),
        ("b", 7, "in-out"),
        ("a", 7, "hold"),
        ("a", 5, "in-out"),
        ("a", 3, "in-out"),
    ]
    assert [key["at"] for key in keyframes] == [0, 4, 8, 12, 16]


def test_a_quoted_merge_key_is_a_key() -> None:
    assert parse("a: &a {x: 1}\nb: {'<<': *a}\n", name="x").data["b"] == {"<<": {"x": 1}}


def test_mistakes_in_what_is_merged_are_named_where_they_stand() -> None:
    with pytest.raises(SpecError) as caught:
        validate(parse(MERGED.replace("seed: 7", "sed: 7"), name="job.yaml"))
    assert str(caught.value).splitlines()[1] == "job.yaml:6: keyframes[1].sed: unknown key; did you mean 'seed'?"


NINE = ", ".join(["*a{0}"] * 9)
WIDE = "".join(f"k{index}: 1, " for index in range(500))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("a: {<<: 5}\n", "1: << takes the keys of another section: <<: *name, with", id="number"),
        pytest.param("a: {<<: [x]}\n", "1: << takes the keys of another section", id="word"),
        pytest.param("a: &a\n  x: 1\n  <<: *a\n", "1: an alias that contains itself", id="itself"),
        pytest.param("a: {<<: {? [x] : 1}}\n", "1: a key must be a plain word", id="key"),
        pytest.param("a: {<<: {x: 1}, x: 2, x: 3}\n", "1: the key 'x' stands twice", id="twice"),
        pytest.param(
            "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{NINE.format(n - 1)}]}}\n" for n in range(1, 12)),
            "unfolds into more than 200,000 values",
            id="bomb",
        ),
        pytest.param(
            f"a: &a {{{WIDE}}}\nb: {{<<: [" + "*a, " * 5000 + "]}\n",
            "unfolds into more than 200,000 values",
            id="wide",
        ),
        pytest.param(
            "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 5000)),
            "nested more than 20 levels deep",
            id="chain",
        ),
    ],
)
def test_merges_have_bounds(text: str, words: str) -> None:
    began = time.process_time()
    assert words in refusal(text)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("\ufeffa: ü\n".encode("utf-16-le"), id="little"),
        pytest.param("\ufeffa: ü\n".encode("utf-16-be"), id="big"),
        pytest.param("\ufeffa: ü\r\n".encode(), id="utf-8"),
    ],
)
def test_files_of_windows(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_bytes(raw)
    assert read(tmp_path / "job.yaml").data == {"a": "ü"}


@pytest.mark.parametrize(
    "raw", ["a: ü\n".encode("utf-16-le"), "\ufeffa: 1\n".encode("utf-16-le") + b"\x00", b"\xff\xfe\x00\xd8a\x00"]
)
def test_bytes_that_are_no_text(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_bytes(raw)
    with pytest.raises(SpecError, match=r"not UTF-8 text.*save the file as UTF-8"):
        read(tmp_path / "job.yaml")


EMPTY = "version: 1\nname: e\nmode: dream\nmodel: testcard\nkeyframes:\n  - {at: 0, prompt: 'a'}\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("frames:", "frames: is empty; write a value, or leave the key out"),
        ("frames:   # all of them", "frames: is empty; write a value, or leave the key out"),
        ("engine:", "engine: is empty; write a value, or leave the key out"),
        ("output: {frames: , video: mp4}", "output.frames: is empty; write a value, or leave the key out"),
        ("output: {dir: ''}", "output.dir: is empty; write a folder, or leave the key out for out/<name>"),
        ("output: {dir: ' '}", "output.dir: is empty; write a folder, or leave the key out for out/<name>"),
        ("output: {preset: ''}", "output.preset: is empty; write the name of a preset"),
        ("engine: {tiny_vae: '  '}", "engine.tiny_vae: is empty; write a hub id or a folder, or leave the key out"),
        ("negative:", 'negative: is empty; write a value, or leave the key out; an empty text is ""'),
        ("seed:", "seed: is empty; a film needs a seed it can be made again with; here is a fresh one: seed: "),
        ("sampler: ''", "sampler: is empty; write the name of a sampler"),
        ("size: ''", "size: '' is not a size"),
        ("fps: ''", "fps: '' is not a frame rate"),
        ("duration: ''", "duration: '' is not a time"),
    ],
)
def test_empty_values_are_refused(line: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        validate(parse(EMPTY + line + "\n", name="job.yaml"))
    assert str(caught.value).startswith(f"job.yaml:7: {words}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["name", "model"])
@pytest.mark.parametrize("value", ["''", "'  '", ""])
def test_what_must_be_there_is_not_empty(key: str, value: str) -> None:
    text = EMPTY.replace({"name": "name: e", "model": "model: testcard"}[key], f"{key}: {value}")
    with pytest.raises(SpecError, match=f"{key}: (is empty; write|'.*': at most 100 letters)"):
        validate(parse(text, name="job.yaml"))


def test_empty_texts_and_nulls_mean_something() -> None:
    spec = validate(parse(EMPTY.replace("'a'", "''") + "negative: ''\nframes: null\n", name="job.yaml"))
    assert (spec.negative, spec.num_frames) == ("", 1)


def test_an_override_fills_what_is_empty_and_may_not_be_empty_itself() -> None:
    document = parse(EMPTY + "frames:\nengine: {batch: }\n", name="job.yaml")
    document.override("frames=3")
    document.override("engine={batch: 2}")
    assert validate(document).num_frames == 3
    document.override("farm={chunk: }")
    with pytest.raises(SpecError, match=r"--set farm=\{chunk: \}: farm.chunk: is empty"):
        validate(document)
    with pytest.raises(SpecError, match="""an empty text is --set 'negative=""'"""):
        document.override("negative=")
