"""The dispatcher's rules, one by one and under random failures."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.dispatch import DEADLINE_FACTOR, FIRST_DEADLINE_S, RETIRE_AFTER, SHORTEST_DEADLINE_S, Dispatcher
from render.plan import Chunk

CHUNKS = [Chunk(start, start + 8) for start in range(0, 80, 8)]


def dispatcher(chunks: int, workers: str, *, attempts: int = 3, deadline_s: float | None = None) -> Dispatcher:
    made = Dispatcher(CHUNKS[:chunks], attempts=attempts, deadline_s=deadline_s)
    for name in workers:
        made.add_worker(name)
    return made


def test_every_worker_gets_one_before_any_gets_a_second() -> None:
    a, b, c, d, *_ = CHUNKS
    assert dispatcher(10, "xy").assign(0.0) == [("x", a), ("y", b), ("x", c), ("y", d)]


def test_chunks_go_out_in_order_whatever_order_they_came_in() -> None:
    made = Dispatcher(reversed(CHUNKS), attempts=3)
    made.add_worker("x")
    assert [chunk for _, chunk in made.assign(0.0)] == CHUNKS[:2]


def test_a_worker_is_refilled_when_it_is_through_with_one() -> None:
    made = dispatcher(4, "x")
    assert made.assign(0.0) == [("x", CHUNKS[0]), ("x", CHUNKS[1])]
    assert made.assign(0.0) == []
    made.completed("x", CHUNKS[0], 1.0)
    assert made.assign(1.0) == [("x", CHUNKS[2])]
    assert (made.done, made.waiting, made.finished) == ([CHUNKS[0]], 1, False)


def test_a_failed_chunk_goes_to_another_worker() -> None:
    made = dispatcher(1, "xy")
    made.assign(0.0)
    made.failed("x", CHUNKS[0], "oops", 1.0)
    assert made.assign(1.0) == [("y", CHUNKS[0])]
    assert made.retries == 1


def test_the_last_worker_standing_may_try_again() -> None:
    made = dispatcher(1, "x")
    for attempt in range(3):
        assert made.assign(0.0) == [("x", CHUNKS[0])]
        assert not made.finished
        made.failed("x", CHUNKS[0], f"oops {attempt}", 1.0)
    assert made.finished
    assert [failure.cause for failure in made.given_up[CHUNKS[0]]] == ["oops 0", "oops 1", "oops 2"]
    assert made.done == []


def test_only_the_executing_chunk_is_charged_for_a_death() -> None:
    made = dispatcher(3, "xy", attempts=1)
    made.assign(0.0)
    assert made.held("x") == [CHUNKS[0], CHUNKS[2]]
    made.lost("x", "killed")
    assert list(made.given_up) == [CHUNKS[0]]
    assert made.waiting == 1
    assert not made.knows("x")


def test_preemption_is_free() -> None:
    made = dispatcher(1, "", attempts=1)
    for name in "abcdef":
        made.add_worker(name)
        assert made.assign(0.0) == [(name, CHUNKS[0])]
        made.lost(name, "preempted", charge=False)
    assert (made.given_up, made.retries, made.waiting) == ({}, 0, 1)


def test_a_death_with_nothing_to_do_is_charged_to_no_one() -> None:
    made = dispatcher(1, "xy")
    made.assign(0.0)
    made.lost("y", "killed")
    assert made.retries == 0


def test_a_worker_that_fails_many_chunks_is_retired() -> None:
    made = dispatcher(10, "xy")
    for place in range(RETIRE_AFTER):
        assert not made.retired("x")
        made.assign(0.0)
        made.failed("x", made.held("x")[0], f"oops {place}", 0.0)
    assert made.retired("x")
    assert made.held("x") == []
    assert made.workers == ["y"]
    assert {name for name, _ in made.assign(0.0)} <= {"y"}


def test_the_first_deadline_is_long_and_the_next_follow_what_was_measured() -> None:
    made = dispatcher(10, "xy")
    made.assign(0.0)
    assert made.overdue(FIRST_DEADLINE_S) == []
    assert [(name, chunk) for name, chunk, _ in made.overdue(FIRST_DEADLINE_S + 1)] == [
        ("x", CHUNKS[0]),
        ("y", CHUNKS[1]),
    ]
    made.completed("x", CHUNKS[0], 100.0)
    assert made.overdue(DEADLINE_FACTOR * 100.0 + 100) == []
    assert [name for name, *_ in made.overdue(DEADLINE_FACTOR * 100.0 + 101)] == ["x"], "y is not measured yet"
    assert [name for name, *_ in made.overdue(FIRST_DEADLINE_S + 1)] == ["x", "y"]
    made.completed("y", CHUNKS[1], 200.0)
    assert [name for name, *_ in made.overdue(DEADLINE_FACTOR * 200.0 + 101)] == ["x"], "y began its next at 200"
    assert [name for name, *_ in made.overdue(DEADLINE_FACTOR * 200.0 + 201)] == ["x", "y"]


def test_quick_chunks_do_not_make_impatient() -> None:
    made = dispatcher(10, "x")
    made.assign(0.0)
    made.completed("x", CHUNKS[0], 0.01)
    assert made.overdue(SHORTEST_DEADLINE_S) == []
    assert len(made.overdue(SHORTEST_DEADLINE_S + 1)) == 1


def test_a_deadline_that_is_given_counts() -> None:
    made = dispatcher(1, "x", deadline_s=5.0)
    made.assign(10.0)
    assert made.overdue(15.0) == []
    assert made.overdue(15.5) == [("x", CHUNKS[0], 5.5)]


def test_an_idle_worker_is_never_overdue() -> None:
    assert dispatcher(0, "x").overdue(1e9) == []


@pytest.mark.parametrize("chunks", [0, 1])
def test_no_chunks_are_finished_at_once(chunks: int) -> None:
    assert dispatcher(chunks, "x").finished == (chunks == 0)


class Ledger:
    """Plays a farm at random against a dispatcher and keeps its own books."""

    def __init__(self, chunks: int, workers: int, attempts: int, dice: random.Random) -> None:
        self.attempts, self.dice, self.born = attempts, dice, 0
        self.made = Dispatcher(CHUNKS[:chunks], attempts=attempts)
        self.charges: dict[Chunk, list[str]] = {chunk: [] for chunk in CHUNKS[:chunks]}
        self.executions: dict[Chunk, int] = dict.fromkeys(CHUNKS[:chunks], 0)
        for _ in range(workers):
            self.add()

    def add(self) -> None:
        self.made.add_worker(f"w{self.born}")
        self.born += 1

    def send(self) -> None:
        live = self.made.workers
        for name, chunk in self.made.assign(0.0):
            others = [other for other in live if other not in self.charges[chunk]]
            assert name not in self.charges[chunk] or not others, f"{chunk} failed on {name}, and {others} were there"
            assert len(self.made.held(name)) <= 2
        held = [chunk for name in self.made.workers for chunk in self.made.held(name)]
        assert len(held) == len(set(held)), "no chunk is with two workers"

    def happen(self) -> None:
        """Something happens to a busy worker."""
        name = self.dice.choice([name for name in self.made.workers if self.made.held(name)])
        chunk = self.made.held(name)[0]
        self.executions[chunk] += 1
        assert chunk not in self.made.done
        assert chunk not in self.made.given_up
        match self.dice.choice(["done", "done", "failed", "died", "preempted"]):
            case "done":
                self.made.completed(name, chunk, 0.0)
            case "failed":
                self.charges[chunk].append(name)
                self.made.failed(name, chunk, "oops", 0.0)
                if self.made.retired(name):
                    self.made.lost(name, "retired", charge=False)
            case "died":
                self.charges[chunk].append(name)
                self.made.lost(name, "killed")
            case "preempted":
                self.executions[chunk] -= 1
                self.made.lost(name, "preempted", charge=False)
        while not self.made.workers or self.dice.random() < 0.2:
            self.add()


@given(
    chunks=st.integers(0, 10),
    workers=st.integers(1, 5),
    attempts=st.integers(1, 5),
    dice=st.randoms(use_true_random=False),
)
def test_nothing_is_lost_under_random_failures(chunks: int, workers: int, attempts: int, dice: random.Random) -> None:
    ledger = Ledger(chunks, workers, attempts, dice)
    made = ledger.made
    for _ in range(10_000):
        if made.finished:
            break
        ledger.send()
        ledger.happen()
    assert made.finished
    assert sorted([*made.done, *made.given_up]) == CHUNKS[:chunks], "each done or given up, never both, never twice"
    for chunk, charged in ledger.charges.items():
        assert len(charged) <= attempts
        assert ledger.executions[chunk] <= attempts
        assert (len(charged) == attempts) == (chunk in made.given_up)
    assert made.retries == sum(len(charged) for charged in ledger.charges.values())


def test_a_chunk_that_failed_everywhere_waits_for_a_worker_that_is_starting() -> None:
    made = dispatcher(1, "x")
    made.assign(0.0)
    made.failed("x", CHUNKS[0], "oops", 0.0)
    assert made.assign(0.0, starting=1) == []
    assert made.assign(0.0) == [("x", CHUNKS[0])]


def test_a_chunk_that_failed_is_rendered_alone() -> None:
    """A worker begins a chunk while it encodes the one before: of two, either may have killed it."""
    dispatcher = Dispatcher([Chunk(start, start + 1) for start in range(4)], attempts=3)
    dispatcher.add_worker("a")
    assert dispatcher.assign(0.0) == [("a", Chunk(0, 1)), ("a", Chunk(1, 2))]
    dispatcher.lost("a", "killed")
    dispatcher.add_worker("b")
    assert dispatcher.assign(1.0) == [("b", Chunk(0, 1))]
    dispatcher.completed("b", Chunk(0, 1), 2.0)
    assert dispatcher.assign(2.0) == [("b", Chunk(1, 2)), ("b", Chunk(2, 3))]
