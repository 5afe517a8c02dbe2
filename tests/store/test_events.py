"""The lines of a log, as they are written and as they are read."""

from __future__ import annotations

import json

import pytest

from render.store import PROBLEMS, Event, LogEntry
from render.store.events import parse_log

FAILED = {"time": 5.25, "event": "failed", "worker": "w1", "chunk": "000004-000008", "cause": "out of luck"}


def test_a_line_and_back() -> None:
    entry = LogEntry.parse(json.dumps(FAILED))
    assert entry == LogEntry(5.25, Event.FAILED, "w1", "000004-000008", {"cause": "out of luck"})
    assert isinstance(entry.event, Event)
    assert list(entry.to_dict().items()) == list(FAILED.items())


def test_a_word_of_a_later_version_is_kept_and_is_no_problem() -> None:
    [entry] = parse_log('{"time": 1, "event": "thawed", "degrees": [3]}')
    assert (entry.event, entry.worker, entry.chunk, entry.details) == ("thawed", None, None, {"degrees": [3]})
    assert entry.event not in PROBLEMS
    assert json.dumps(entry.to_dict()) == '{"time": 1, "event": "thawed", "degrees": [3]}'


@pytest.mark.parametrize(
    "wrong",
    [
        {"time": "5"},
        {"time": None},
        {"time": float("nan")},
        {"time": 10**400},
        {"time": -1},
        {"event": 3},
        {"event": None},
        {"worker": 7},
        {"chunk": ["000004-000008"]},
        {"cause": 3},
        {"cause": None},
        {"frame": "3"},
        {"seconds": "fast"},
        {"seconds": float("inf")},
        {"seconds": float("nan")},
        {"bytes": 10**400},
        {"preempted": "no"},
        {"film": 1},
    ],
    ids=str,
)
def test_a_value_of_another_type_takes_its_line_along(wrong: dict[str, object]) -> None:
    lines = [json.dumps(values) for values in (FAILED, FAILED | wrong, FAILED)]
    assert len(parse_log("\n".join(lines))) == 2


@pytest.mark.parametrize("line", ["", "{", "[]", "5", "{}", '{"time": 1}', '{"event": "sent"}', "[" * 100_000])
def test_what_is_no_entry_is_passed_over(line: str) -> None:
    assert parse_log(f"{line}\n{json.dumps(FAILED)}\n{line}") == [LogEntry.parse(json.dumps(FAILED))]
