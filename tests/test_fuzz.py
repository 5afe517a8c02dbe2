"""A share of the fuzzer's cases; `make fuzz` runs a hundred thousand."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests import fuzz


@pytest.mark.parametrize("cases", [200, pytest.param(2_000, marks=pytest.mark.slow)])
def test_mutated_specs_load_or_are_refused(cases: int) -> None:
    figures = fuzz.run(range(cases))
    assert not figures.failed, figures.failed[0]
    assert figures.outcomes["loaded"] > cases / 40
    assert figures.outcomes["refused"] > cases / 2


def test_a_case_is_its_number() -> None:
    assert [fuzz.case(number) for number in range(20)] == [fuzz.case(number) for number in range(20)]
    assert len({fuzz.case(number) for number in range(200)}) > 190


@pytest.mark.parametrize(
    ("breaks", "reason"),
    [
        pytest.param(lambda: 1 / 0, "ZeroDivisionError", id="error"),
        pytest.param(lambda: time.sleep(9), "hang", id="hang"),
    ],
)
def test_what_must_not_be_is_found(breaks: Callable[[], object], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "LIMIT_S", 0.05)
    monkeypatch.setattr(fuzz, "load", lambda _path: breaks())
    figures = fuzz.run(range(3, 4))
    assert [(number, told.split(":")[0]) for number, told in figures.failed] == [(3, reason)]
