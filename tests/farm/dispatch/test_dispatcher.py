"""The dispatcher's rules, one by one and under random failures."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.farm.base import Resources
from render.farm.dispatch.chunk_queue import (
    DEADLINE_FACTOR,
    FIRST_DEADLINE_S,
    FREE_LOSSES,
    SHORTEST_DEADLINE_S,
    ChunkQueue,
    RetryPolicy,
)
from render.farm.dispatch.dispatcher import RETIRE_AFTER, Dispatcher
from render.farm.dispatch.state import Ask, Open, Send
from render.plan import Chunk

CHUNKS = [Chunk(start, start + 8) for start in range(0, 80, 8)]


CPU, GPU = Resources(gpu=False), Resources(gpu=True)


class OneJob:
    """A dispatcher with one job, whose workers have its plan open as soon as they are told to."""

    def __init__(self, chunks: Iterable[Chunk], workers: str = "", **limits: Any) -> None:
        self.made = Dispatcher()
        self.made.add_job(0, CPU)
        self.ledger = ChunkQueue(chunks, RetryPolicy(**limits))
        self.made.submit(0, self.ledger)
        for name in workers:
            self.add_worker(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.made, name)

    def add_worker(self, name: str) -> None:
        self.made.add_worker(name, CPU)

    def assign(self, now: float, starting: int = 0) -> list[tuple[str, Chunk]]:
        sent = []
        while steps := self.made.assign(now, {CPU: starting}):
            for step in steps:
                if isinstance(step, Send):
                    sent.append((step.worker, step.chunk))
                else:
                    self.made.opened(step.worker)
        return sent

    def completed(self, name: str, chunk: Chunk, now: float) -> None:
        self.made.completed(name, chunk, now)
        self.made.committed(0, 0)


def dispatcher(chunks: int, workers: str, **limits: Any) -> OneJob:
    return OneJob(CHUNKS[:chunks], workers, **limits)


def test_every_worker_gets_one_before_any_gets_a_second() -> None:
    a, b, c, d, *_ = CHUNKS
    assert dispatcher(10, "xy").assign(0.0) == [("x", a), ("y", b), ("x", c), ("y", d)]


def test_chunks_go_out_in_order_whatever_order_they_came_in() -> None:
    made = OneJob(reversed(CHUNKS), "x")
    assert [chunk for _, chunk in made.assign(0.0)] == CHUNKS[:2]


def test_a_worker_is_refilled_when_it_is_through_with_one() -> None:
    made = dispatcher(4, "x")
    assert made.assign(0.0) == [("x", CHUNKS[0]), ("x", CHUNKS[1])]
    assert made.assign(0.0) == []
    made.completed("x", CHUNKS[0], 1.0)
    assert made.assign(1.0) == [("x", CHUNKS[2])]
    assert (made.ledger.num_done, made.ledger.waiting, made.ledger.finished) == (1, 1, False)


def test_a_failed_chunk_goes_to_another_worker() -> None:
    made = dispatcher(1, "xy")
    made.assign(0.0)
    made.failed("x", CHUNKS[0], "oops", 1.0)
    assert made.assign(1.0) == [("y", CHUNKS[0])]
    assert made.ledger.retries == 1


def test_the_last_worker_standing_may_try_again() -> None:
    made = dispatcher(1, "x")
    for attempt in range(3):
        assert made.assign(0.0) == [("x", CHUNKS[0])]
        assert not made.ledger.finished
        made.failed("x", CHUNKS[0], f"oops {attempt}", 1.0)
    assert made.ledger.finished
    assert [failure.cause for failure in made.ledger.given_up[CHUNKS[0]]] == ["oops 0", "oops 1", "oops 2"]
    assert made.ledger.num_done == 0


def test_only_the_executing_chunk_is_charged_for_a_death() -> None:
    made = dispatcher(3, "xy", attempts=1)
    made.assign(0.0)
    assert made.held("x") == [CHUNKS[0], CHUNKS[2]]
    made.lost("x", "killed")
    assert list(made.ledger.given_up) == [CHUNKS[0]]
    assert made.ledger.waiting == 1
    assert not made.knows("x")


def test_preemption_is_free() -> None:
    made = dispatcher(1, "", attempts=1)
    for name in "abcdef":
        made.add_worker(name)
        assert made.assign(0.0) == [(name, CHUNKS[0])]
        made.lost(name, "preempted", charge=False)
    assert (made.ledger.given_up, made.ledger.retries, made.ledger.waiting) == ({}, 0, 1)


def test_a_death_with_nothing_to_do_is_charged_to_no_one() -> None:
    made = dispatcher(1, "xy")
    made.assign(0.0)
    made.lost("y", "killed")
    assert made.ledger.retries == 0


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
    assert [name for name, _ in made.overdue(FIRST_DEADLINE_S + 1)] == ["x", "y"]
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
    assert made.overdue(15.5) == [("x", 5.5)]


def test_an_idle_worker_is_never_overdue() -> None:
    assert dispatcher(0, "x").overdue(1e9) == []


@pytest.mark.parametrize("chunks", [0, 1])
def test_no_chunks_are_finished_at_once(chunks: int) -> None:
    assert dispatcher(chunks, "x").ledger.finished == (chunks == 0)


class Books:
    """Plays a farm at random against a dispatcher and keeps its own books."""

    def __init__(self, chunks: int, workers: int, attempts: int, dice: random.Random) -> None:
        self.attempts, self.dice, self.born = attempts, dice, 0
        self.made = OneJob(CHUNKS[:chunks], attempts=attempts)
        self.done: list[Chunk] = []
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
        assert chunk not in self.done
        assert chunk not in self.made.ledger.given_up
        match self.dice.choice(["done", "done", "failed", "died", "preempted"]):
            case "done":
                self.made.completed(name, chunk, 0.0)
                self.done.append(chunk)
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
    books = Books(chunks, workers, attempts, dice)
    made = books.made
    for _ in range(10_000):
        if made.ledger.finished:
            break
        books.send()
        books.happen()
    assert made.ledger.finished
    assert sorted([*books.done, *made.ledger.given_up]) == CHUNKS[:chunks], (
        "each done or given up, never both, never twice"
    )
    for chunk, charged in books.charges.items():
        assert len(charged) <= attempts
        assert books.executions[chunk] <= attempts
        assert (len(charged) == attempts) == (chunk in made.ledger.given_up)
    assert made.ledger.retries == sum(len(charged) for charged in books.charges.values())


def test_a_chunk_that_failed_everywhere_waits_for_a_worker_that_is_starting() -> None:
    made = dispatcher(1, "x")
    made.assign(0.0)
    made.failed("x", CHUNKS[0], "oops", 0.0)
    assert made.assign(0.0, starting=1) == []
    assert made.assign(0.0) == [("x", CHUNKS[0])]


def test_a_chunk_that_failed_is_rendered_alone() -> None:
    """A worker begins a chunk while it encodes the one before: of two, either may have killed it."""
    dispatcher = OneJob([Chunk(start, start + 1) for start in range(4)], "a")
    assert dispatcher.assign(0.0) == [("a", Chunk(0, 1)), ("a", Chunk(1, 2))]
    dispatcher.lost("a", "killed")
    dispatcher.add_worker("b")
    assert dispatcher.assign(1.0) == [("b", Chunk(0, 1))]
    dispatcher.completed("b", Chunk(0, 1), 2.0)
    assert dispatcher.assign(2.0) == [("b", Chunk(1, 2)), ("b", Chunk(2, 3))]


def test_a_chunk_that_loses_machine_after_machine_is_charged_in_the_end() -> None:
    made = dispatcher(1, "", attempts=1)
    for place in range(FREE_LOSSES + 1):
        assert not made.ledger.given_up
        made.add_worker(f"w{place}")
        made.assign(0.0)
        made.lost(f"w{place}", "its node died", charge=False)
    assert list(made.ledger.given_up) == [CHUNKS[0]]


def test_too_many_failed_chunks_end_the_job() -> None:
    made = dispatcher(10, "", attempts=1, max_failed=2)
    for place in range(3):
        made.add_worker(f"w{place}")
        made.assign(0.0)
        made.lost(f"w{place}", "killed")
    assert made.ledger.finished
    assert (len(made.ledger.given_up), made.ledger.abandoned) == (3, 7)


def test_a_slow_worker_leaves_the_last_chunks_to_faster_ones() -> None:
    """x takes 10 s a chunk, y 1 s: of the last four chunks x would still be at its first when y is through."""
    made = dispatcher(8, "xy")
    assert made.assign(0.0) == [("x", CHUNKS[0]), ("y", CHUNKS[1]), ("x", CHUNKS[2]), ("y", CHUNKS[3])]
    for now, chunk in enumerate((CHUNKS[1], CHUNKS[3]), start=1):
        made.completed("y", chunk, float(now))
        assert [name for name, _ in made.assign(float(now))] == ["y"]
    made.completed("x", CHUNKS[0], 10.0)
    made.made._workers["y"].since = 9.5  # half way through its chunk
    assert made.assign(10.0) == [], "two chunks wait, and y has done both before x begins them"
    made.completed("y", CHUNKS[4], 10.5)
    assert [name for name, _ in made.assign(10.5)] == ["y"]


def test_a_slow_worker_takes_over_at_once_when_the_faster_ones_are_gone() -> None:
    made = dispatcher(8, "xy")
    made.assign(0.0)
    for now, chunk in enumerate((CHUNKS[1], CHUNKS[3]), start=1):
        made.completed("y", chunk, float(now))
        made.assign(float(now))
    made.completed("x", CHUNKS[0], 10.0)
    made.made._workers["y"].since = 9.5
    assert made.assign(10.0) == []
    made.lost("y", "its node died", charge=False)
    assert [name for name, _ in made.assign(10.0)] == ["x"]


def test_equal_workers_are_never_kept_waiting() -> None:
    made = dispatcher(5, "xyz")
    made.assign(0.0)
    for name, now in (("x", 1.0), ("y", 1.01), ("z", 1.02)):
        made.completed(name, made.held(name)[0], now)
        made.assign(now)
    assert [len(made.held(name)) for name in "xyz"] == [1, 1, 0]
    assert made.ledger.waiting == 0


def jobs(*priorities: int, kinds: tuple[Resources, ...] = (), models: tuple[str, ...] = ()) -> Dispatcher:
    """A dispatcher with jobs of four chunks each."""
    made = Dispatcher()
    for number, priority in enumerate(priorities):
        made.add_job(number, kinds[number] if kinds else CPU, priority)
        made.submit(number, ChunkQueue(CHUNKS[:4], RetryPolicy()), model=models[number] if models else "m")
    return made


def opened_in_turn(made: Dispatcher) -> list[int]:
    """The jobs whose plans worker x opens, in order, until all are done."""
    order = []
    while steps := made.assign(0.0):
        for step in steps:
            if isinstance(step, Open):
                order.append(step.job)
                made.opened("x")
            elif isinstance(step, Send):
                made.completed("x", step.chunk, 1.0)
                made.committed(step.job, 0)
    return order


def test_jobs_go_by_priority_then_in_order() -> None:
    made = jobs(0, 5, 5)
    made.add_worker("x", CPU)
    assert made.assign(0.0) == [Open("x", 1)]
    made.opened("x")
    assert opened_in_turn(made) == [2, 0]


def test_a_worker_stays_with_its_plan_then_with_its_model() -> None:
    made = jobs(0, 0, 0, models=("a", "b", "a"))
    made.add_worker("x", CPU)
    assert opened_in_turn(made) == [0, 2, 1]


def test_a_job_of_more_weight_does_not_wait_behind_a_second_chunk() -> None:
    made = jobs(0)
    made.add_worker("x", CPU)
    made.assign(0.0)
    made.opened("x")
    made.assign(0.0)
    made.add_job(1, CPU, 1)
    made.ask(1)
    made.completed("x", CHUNKS[0], 1.0)
    assert made.assign(1.0) == [], "no second chunk is queued"
    made.completed("x", CHUNKS[1], 2.0)
    assert made.assign(2.0) == [Ask("x", 1)]


def test_a_worker_gets_only_jobs_of_its_kind() -> None:
    made = jobs(0, 0, kinds=(GPU, CPU))
    made.add_worker("x", CPU)
    assert made.assign(0.0) == [Open("x", 1)]
    assert made.demand() == {GPU: 4, CPU: 4}


def test_no_more_workers_than_the_job_wants() -> None:
    made = Dispatcher()
    made.add_job(0, CPU)
    made.submit(0, ChunkQueue(CHUNKS, RetryPolicy()), max_workers=1)
    for name in "xy":
        made.add_worker(name, CPU)
    assert made.demand() == {CPU: 1}
    assert made.assign(0.0) == [Open("x", 0)]
    made.opened("x")
    assert {step.worker for step in made.assign(0.0)} == {"x"}


def test_chunks_of_a_job_that_left_count_for_nobody() -> None:
    made = jobs(0, 0)
    made.add_worker("x", CPU)
    made.assign(0.0)
    made.opened("x")
    made.assign(0.0)
    made.remove_job(0)
    assert made.held("x") == CHUNKS[:2]
    assert made.assign(0.0) == [], "its queue has to empty first"
    made.completed("x", CHUNKS[0], 1.0)
    made.failed("x", CHUNKS[1], "oops", 2.0)
    assert made.assign(2.0) == [Open("x", 1)]


def test_draining_hands_out_nothing_more() -> None:
    made = dispatcher(4, "x")
    made.assign(0.0)
    made.drain()
    assert made.held("x") == CHUNKS[:2], "what a worker holds may still be done"
    made.completed("x", CHUNKS[0], 1.0)
    assert made.assign(1.0) == []
    made.lost("x", "drained", charge=False)
    assert made.ledger.finished
    assert (made.ledger.num_done, made.ledger.abandoned, made.ledger.retries) == (1, 3, 0)


@pytest.mark.parametrize("end", ["failed", "lost", "preempted"])
def test_a_drain_ends_whatever_becomes_of_the_last_chunk(end: str) -> None:
    made = dispatcher(1, "x")
    made.assign(0.0)
    made.drain()
    if end == "failed":
        made.failed("x", CHUNKS[0], "oops", 1.0)
    else:
        made.lost("x", end, charge=end == "lost")
    assert made.ledger.finished
    assert made.ledger.abandoned == 1


def test_a_job_that_never_completes_anything_is_not_tried_to_the_end() -> None:
    made = dispatcher(10, "", attempts=1, max_failed=9, max_failed_first=2)
    for place in range(3):
        made.add_worker(f"w{place}")
        made.assign(0.0)
        made.lost(f"w{place}", "killed")
    assert (len(made.ledger.given_up), made.ledger.abandoned) == (3, 7)


def test_a_kind_of_more_weight_gets_the_place_of_others() -> None:
    made = jobs(0, 5, kinds=(CPU, GPU))
    made.add_worker("x", CPU)
    assert made.assign(0.0, claims={GPU: 5}) == []
    assert made.assign(0.0, claims={GPU: 0}) == [Open("x", 0)]
    assert made.claims({GPU}) == {GPU: 5}
