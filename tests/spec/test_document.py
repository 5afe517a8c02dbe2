"""YAML in, plain data and line numbers out; everything beyond plain data is refused with the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from render.errors import SpecError
from render.spec.document import MAX_BYTES, parse, read

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def refusal(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse(text, name="job.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("0:30", "0:30"),
        ("128x128", "128x128"),
        ("007", 7),
        ("1_000", "1_000"),
        ("0x1f", "0x1f"),
        ("1e3", 1000.0),
        (".5", 0.5),
        (".nan", ".nan"),
        ("2024-01-01", "2024-01-01"),
        ("~", None),
        ("", None),
        ("True", True),
        ("'7'", "7"),
        ("<<", "<<"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    found = parse(f"key: {text}", name="job.yaml").data["key"]
    assert (found, type(found)) == (value, type(value))


def test_every_value_has_its_line() -> None:
    document = parse("a: 1\nb:\n  - x\n  - {c: 2,\n     d: 3}\n", name="job.yaml")
    wanted = {("a",): 1, ("b",): 2, ("b", 0): 3, ("b", 1): 4, ("b", 1, "d"): 5, (): 1}
    assert {path: document.lines[path] for path in wanted} == wanted
    assert document.where(("b", 1, "missing")) == "job.yaml:4"


def test_an_empty_file_is_no_data() -> None:
    assert parse("# nothing\n", name="job.yaml").data is None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("a: 1\na: 2\n", 2, "the key 'a' stands twice; the first is on line 1", id="duplicate"),
        pytest.param("a: 1\nb: [1,\n", 3, "not valid YAML", id="syntax"),
        pytest.param("a: 1\nb: !!python/name:os.system x\n", 2, "the tag .* is not allowed", id="tag"),
        pytest.param("a: 1\nb: !!set {x}\n", 2, "the tag .* is not allowed", id="set"),
        pytest.param("a: 1\n? [x]\n: 2\n", 2, "a key must be a plain word", id="key"),
        pytest.param("a: 1\nb: &b\n  - *b\n", 2, "an alias that contains itself", id="recursion"),
        pytest.param(BOMB, 2, "unfolds into more than 200,000 values", id="bomb"),
        pytest.param("a:\n  " + "[" * 30 + "]" * 30, 2, "nested more than 20 levels deep", id="deep"),
        pytest.param("a: 1\n---\nb: 2\n", 2, "found another document", id="two documents"),
        pytest.param("a: 1\nb: \x07\n", 2, r"the character '\\x07' is not allowed", id="control character"),
        pytest.param("a: *nobody\n", 1, "undefined alias", id="alias"),
    ],
)
def test_refusals_name_the_line(text: str, line: int, words: str) -> None:
    message = refusal(text)
    assert message.startswith("job.yaml:"), message
    if words != "unfolds into more than 200,000 values":  # where it bursts is the builder's affair
        assert message.startswith(f"job.yaml:{line}: "), message
    with pytest.raises(SpecError, match=words):
        parse(text, name="job.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("a: 1\nb: " + "[" * 900_000, "job.yaml:2: nested more than 20 levels deep", id="deep"),
        pytest.param("? " * 500_000, "job.yaml:1: nested more than 20 levels deep", id="keys in keys"),
        pytest.param("a: " + "x" * 20_001, "job.yaml:1: a text of 20,001 characters", id="long text"),
        pytest.param(
            f"[{'1,' * 500_000}]", "job.yaml:1: holds more than 400,000 values", id="many", marks=pytest.mark.long
        ),
        pytest.param(f"{{? {'x' * 20_001} : 1}}", "job.yaml:1: a text of 20,001 characters", id="long key"),
    ],
)
def test_too_much_is_refused_where_it_is_met(text: str, words: str) -> None:
    assert refusal(text).startswith(words)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        pytest.param(b"a: 1\nb: \xff\n", ":2: not UTF-8 text", id="latin-1"),
        pytest.param(b"#" * (MAX_BYTES + 1), "larger than 1024 KiB", id="large"),
    ],
)
def test_files_that_are_no_spec(raw: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(raw)
    with pytest.raises(SpecError, match=words):
        read(path)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes("\ufeffa: ü\n".encode())
    assert read(path).data == {"a": "ü"}


@pytest.mark.parametrize("name", ["missing.yaml", "."], ids=["missing", "folder"])
def test_unreadable_files_are_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=str(tmp_path)):
        read(tmp_path / name)


def test_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").symlink_to("gone.yaml")
    with pytest.raises(SpecError, match=r"job.yaml: is a link to 'gone.yaml', which is not there"):
        read(tmp_path / "job.yaml")


@pytest.mark.parametrize(
    ("assignment", "data"),
    [
        ("a=2", {"a": 2, "b": [{"c": 1}]}),
        ("b[0].c=x", {"a": 1, "b": [{"c": "x"}]}),
        ("new.deep=[1, 2]", {"a": 1, "b": [{"c": 1}], "new": {"deep": [1, 2]}}),
        ("a=null", {"a": None, "b": [{"c": 1}]}),
        ("a=x=y", {"a": "x=y", "b": [{"c": 1}]}),
    ],
)
def test_overrides(assignment: str, data: object) -> None:
    document = parse("{a: 1, b: [{c: 1}]}", name="job.yaml")
    document.override(assignment)
    assert document.data == data


TEXTS = (
    *("portrait #masterpiece", "#1", "a, b: c", "[a", "{red|blue} sun", "*stars*", "> x", "|", "!x", "!!str", "&a b"),
    *("it's a #1", "a #b's", "a castle, oil", "say: 'x'"),
)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("key", ["prompt", "output.dir", "model"])
def test_a_text_of_an_override_is_taken_as_it_stands(key: str, text: str) -> None:
    document = parse("a: 1", name="job.yaml")
    document.override(f"{key}={text}")
    data = document.data["output"] if key == "output.dir" else document.data
    assert data[key.removeprefix("output.")] == text
    assert document.where((*key.split("."),)) == f"--set {key}={text}"


@pytest.mark.parametrize(
    ("assignment", "value"),
    [('prompt="a # b"', "a # b"), ("prompt='it''s'", "it's"), ("prompt=7", 7), ("prompt=~", None)],
)
def test_what_yaml_reads_of_an_override_stays(assignment: str, value: object) -> None:
    document = parse("a: 1", name="job.yaml")
    document.override(assignment)
    assert document.data["prompt"] == value


@pytest.mark.parametrize("assignment", ["steps=#3", "steps=20 #30", "engine={batch: 2} # x", 'prompt="a" # b'])
def test_an_override_ends_in_no_comment(assignment: str) -> None:
    with pytest.raises(
        SpecError, match=r"^--set .*: '#.*' is a comment in YAML; leave it out, or put the text in quotes"
    ):
        parse("a: 1", name="job.yaml").override(assignment)


@pytest.mark.parametrize("text", ["\x1b[3m", "\ud800", "x" * 20_001])
def test_a_text_of_an_override_is_checked_as_one_of_a_file(text: str) -> None:
    with pytest.raises(SpecError):
        parse("a: 1", name="job.yaml").override(f"prompt=[{text}")


@pytest.mark.parametrize(
    "assignment", ["a", "=1", "a b=1", "a[x]=1", "b[7]=1", "a.b=1", "a=[", "b.c=1", "a[0]=1", "a=", "a= "]
)
def test_malformed_overrides_are_refused_by_name(assignment: str) -> None:
    document = parse("{a: 1, b: [{c: 1}]}", name="job.yaml")
    with pytest.raises(SpecError, match=r"^--set "):
        document.override(assignment)


def test_where_prefers_the_override_that_replaced_the_line() -> None:
    document = parse("a: 1\nb:\n  - {c: 1}\n", name="job.yaml")
    document.override("b=[{c: 2}]")
    assert document.where(("b", 0, "c")) == "--set b=[{c: 2}]"
    document.override("b[0].c=3")
    assert document.where(("b", 0, "c")) == "--set b[0].c=3"
    document.override("b=[]")
    assert document.where(("b", 0, "c")) == "--set b=[]"
    assert document.where(("a",)) == "job.yaml:1"
