"""The journal: one text in numbered parts, of which only the last is written again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.store import journal
from render.store.journal import Journal


class Parts(dict[str, bytes]):
    """A folder of objects that counts how much is put."""

    put_bytes = 0

    def put(self, name: str, data: bytes) -> None:
        assert data.startswith(self.get(name, b"")), "a part only grows"
        self[name] = data
        self.put_bytes += len(data)

    def open(self) -> Journal:
        """What a new run does."""
        return Journal("log", lambda: len(self), self.put)

    def text(self) -> bytes:
        return b"".join(self[name] for name in sorted(self))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """``clock(5)`` lets seconds pass."""
    now = [100.0]
    monkeypatch.setattr("render.store.journal.time.monotonic", lambda: now[0])

    def passes(seconds: float) -> None:
        now[0] += seconds

    return passes


def test_lines_rest_for_seconds_only(clock: Callable[[float], None]) -> None:
    parts = Parts()
    one = parts.open()
    one.append([b"a\n"])
    one.append([b"b\n"])
    assert parts.text() == b"a\n", "the first at once, the next within seconds"
    clock(journal.FLUSH_S)
    one.append([b"c\n"])
    assert parts == {"log/000000.jsonl": b"a\nb\nc\n"}
    one.append([b"d\n"])
    one.flush()
    assert parts.text() == b"a\nb\nc\nd\n"
    put = parts.put_bytes
    one.flush()
    assert parts.put_bytes == put, "nothing new, nothing put"


@given(runs=st.lists(st.lists(st.integers(1, 60)), max_size=6))
def test_any_runs_read_as_one_text(runs: list[list[int]]) -> None:
    parts, told = Parts(), b""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "PART_BYTES", 100)
        for run in runs:
            one = parts.open()
            for length in run:
                line = b"x" * length + b"\n"
                told += line
                one.append([line])
            one.flush()
        assert parts.text() == told
        assert all(len(data) <= 100 for data in parts.values())


def test_a_long_log_costs_what_it_holds(clock: Callable[[float], None]) -> None:
    """A night's log, put away every few seconds, is not written again as a whole each time."""
    parts = Parts()
    one = parts.open()
    for _ in range(20_000):
        clock(1.0)
        one.append([b"x" * 99 + b"\n"])
    assert len(parts.text()) >= 20_000 * 100 - 1000
    assert parts.put_bytes < 20_000 / journal.FLUSH_S * journal.PART_BYTES
