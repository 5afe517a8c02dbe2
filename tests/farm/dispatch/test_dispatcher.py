"""The dispatcher's rules, one by one and under random failures."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.errors import ModelError
from render.farm.base import (
    Answered,
    ChunkDone,
    ChunkFailed,
    Opened,
    Refused,
    Resources,
    WorkerInfo,
    WorkerLost,
    WorkerReady,
)
from render.farm.dispatch.actions import Action, Ask, Deliver, OpenPlan, SendChunk, StartWorker, StopWorker
from render.farm.dispatch.chunk_queue import (
    DEADLINE_FACTOR,
    FIRST_DEADLINE_S,
    FREE_LOSSES,
    SHORTEST_DEADLINE_S,
    ChunkQueue,
    RetryPolicy,
)
from render.farm.dispatch.dispatcher import Dispatcher
from render.farm.dispatch.events import Drain, Event, Requested, Tick
from render.farm.dispatch.state import StartingWorker, WorkerState
from render.farm.dispatch.supervisor import RETIRE_AFTER
from render.farm.requests import Committed, Leave, MakePlan
from render.plan import Chunk
from render.spec import JobSpec
from render.store import Record, Segment

CHUNKS = [Chunk(start, start + 8) for start in range(0, 80, 8)]


CPU, GPU = Resources(gpu=False), Resources(gpu=True)


def segment(chunk: Chunk) -> Segment:
    record = Record(
        digest="",
        chunk=chunk,
        pictures=("0" * 64,) * len(chunk.frames),
        file=None,
        bytes=0,
        sha256="",
        stills=None,
        stills_bytes={},
        worker="",
        device="",
        began=0.0,
        ended=1.0,
        timings_s={},
        versions={},
        sampler_table="",
    )
    return Segment(record, b"")


def add_job(
    made: Dispatcher,
    number: int,
    chunks: Iterable[Chunk],
    *,
    resources: Resources = CPU,
    priority: int = 0,
    model: str = "m",
    max_workers: int | None = None,
    **policy: Any,
) -> ChunkQueue:
    """A job in the midst of rendering."""
    made.add_job(number, priority)
    job = made.state.jobs[number]
    job.resources, job.settled, job.model, job.max_workers = resources, False, model, max_workers
    job.queue = ChunkQueue(chunks, RetryPolicy(**policy))
    return job.queue


def add_worker(made: Dispatcher, name: str, resources: Resources = CPU, open_job: int | None = None) -> None:
    made.state.workers[name] = WorkerState(resources, open_job=open_job)
    made.state.note_room(name)


class OneJob:
    """A dispatcher with one job, whose workers have its plan open as soon as they are told to.

    Events are handled together, when it is asked what came of them.
    """

    def __init__(self, chunks: Iterable[Chunk], workers: str = "", **policy: Any) -> None:
        self.made, self.now = Dispatcher(), 0.0
        self._queue = add_job(self.made, 0, chunks, **policy)
        for name in workers:
            add_worker(self.made, name, open_job=0)
        self.events: list[Event] = []
        self.sent: list[tuple[str, Chunk]] = []
        self.lives: list[list[str]] = []  # the workers that there were when a chunk was sent
        self.stopped: list[str] = []

    def flush(self) -> None:
        while actions := self._handle():
            for action in actions:
                match action:
                    case SendChunk(worker, _, chunk):
                        self.sent.append((worker, chunk))
                        self.lives.append(list(self.made.state.workers))
                    case OpenPlan(worker):
                        self.events.append(Answered(worker, Opened((), 0.0)))
                    case StopWorker(worker):
                        self.stopped.append(worker)

    def _handle(self) -> list[Action]:
        events, self.events = self.events, []
        actions = self.made.handle(events, self.now)
        return [action for action in actions if isinstance(action, SendChunk | OpenPlan | StopWorker)]

    @property
    def queue(self) -> ChunkQueue:
        self.flush()
        return self._queue

    @property
    def finished(self) -> bool:
        """Whether every chunk is done, given up or abandoned."""
        return not self.queue.waiting and not self.queue.executing

    @property
    def workers(self) -> list[str]:
        self.flush()
        return list(self.made.state.workers)

    def held(self, name: str) -> list[Chunk]:
        self.flush()
        return list(self.made.state.workers[name].chunks)

    def assign(self, now: float) -> list[tuple[str, Chunk]]:
        """What was sent since this was last asked."""
        self.now = now
        self.flush()
        sent, self.sent, self.lives = self.sent, [], []
        return sent

    def overdue(self, now: float) -> list[tuple[str, float]]:
        """The workers that would be stopped, and since when they do what they do."""
        self.flush()
        actions = copy.deepcopy(self.made).handle([], now)
        names = [action.name for action in actions if isinstance(action, StopWorker)]
        return [(name, now - self.made.state.workers[name].since) for name in names]

    def add_worker(self, name: str) -> None:
        self.flush()
        self.made.state.starting[name] = StartingWorker(CPU, self.now)
        self.events.append(WorkerReady(name, WorkerInfo("here", 1)))

    def starts(self, number: int) -> None:
        """So many workers are starting."""
        self.made.state.starting = {f"s{place}": StartingWorker(CPU, self.now) for place in range(number)}

    def completed(self, name: str, chunk: Chunk, now: float) -> None:
        self.flush()
        self.now = now
        self.events += [ChunkDone(name, segment(chunk)), Committed(0, 8, 0)]

    def failed(self, name: str, chunk: Chunk, cause: str, now: float) -> None:
        self.flush()
        self.now = now
        self.events.append(ChunkFailed(name, chunk, cause))

    def lost(self, name: str, cause: str, *, charge: bool = True) -> None:
        self.flush()
        self.events.append(WorkerLost(name, cause, preempted=not charge))


def dispatcher(chunks: int, workers: str, **policy: Any) -> OneJob:
    return OneJob(CHUNKS[:chunks], workers, **policy)


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
    assert (made.queue.num_done, made.queue.waiting, made.finished) == (1, 1, False)


def test_a_failed_chunk_goes_to_another_worker() -> None:
    made = dispatcher(1, "xy")
    made.assign(0.0)
    made.failed("x", CHUNKS[0], "oops", 1.0)
    assert made.assign(1.0) == [("y", CHUNKS[0])]
    assert made.queue.retries == 1


def test_the_last_worker_standing_may_try_again() -> None:
    made = dispatcher(1, "x")
    for attempt in range(3):
        assert made.assign(0.0) == [("x", CHUNKS[0])]
        assert not made.finished
        made.failed("x", CHUNKS[0], f"oops {attempt}", 1.0)
    assert made.finished
    assert [failure.cause for failure in made.queue.given_up[CHUNKS[0]]] == ["oops 0", "oops 1", "oops 2"]
    assert made.queue.num_done == 0


def test_only_the_executing_chunk_is_charged_for_a_death() -> None:
    made = dispatcher(3, "xy", attempts=1)
    made.assign(0.0)
    assert made.held("x") == [CHUNKS[0], CHUNKS[2]]
    made.lost("x", "killed")
    assert list(made.queue.given_up) == [CHUNKS[0]]
    assert made.assign(0.0)[-1] == ("y", CHUNKS[2]), "what waited behind it goes to another one"
    assert made.workers == ["y"]


def test_preemption_is_free() -> None:
    made = dispatcher(1, "", attempts=1)
    for name in "abcdef":
        made.add_worker(name)
        assert made.assign(0.0) == [(name, CHUNKS[0])]
        made.lost(name, "preempted", charge=False)
    assert (made.queue.given_up, made.queue.retries, made.queue.waiting) == ({}, 0, 1)


def test_a_death_with_nothing_to_do_is_charged_to_no_one() -> None:
    made = dispatcher(1, "xy")
    made.assign(0.0)
    made.lost("y", "killed")
    assert made.queue.retries == 0


def test_a_worker_that_fails_many_chunks_is_retired() -> None:
    made = dispatcher(10, "xy")
    for place in range(RETIRE_AFTER):
        assert "x" in made.workers
        made.assign(0.0)
        made.failed("x", made.held("x")[0], f"oops {place}", 0.0)
    assert made.workers == ["y"]
    assert made.stopped == ["x"]
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
    assert dispatcher(chunks, "x").finished == (chunks == 0)


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
        self.made.flush()
        lives = self.made.lives
        for (name, chunk), live in zip(self.made.assign(0.0), lives, strict=True):
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
        assert chunk not in self.made.queue.given_up
        match self.dice.choice(["done", "done", "failed", "died", "preempted"]):
            case "done":
                self.made.completed(name, chunk, 0.0)
                self.done.append(chunk)
            case "failed":
                self.charges[chunk].append(name)
                self.made.failed(name, chunk, "oops", 0.0)
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
        if made.finished:
            break
        books.send()
        books.happen()
    assert made.finished
    assert sorted([*books.done, *made.queue.given_up]) == CHUNKS[:chunks], (
        "each done or given up, never both, never twice"
    )
    for chunk, charged in books.charges.items():
        assert len(charged) <= attempts
        assert books.executions[chunk] <= attempts
        assert (len(charged) == attempts) == (chunk in made.queue.given_up)
    assert made.queue.retries == sum(len(charged) for charged in books.charges.values())


def test_a_chunk_that_failed_everywhere_waits_for_a_worker_that_is_starting() -> None:
    made = dispatcher(1, "x")
    made.assign(0.0)
    made.starts(1)
    made.failed("x", CHUNKS[0], "oops", 0.0)
    assert made.assign(0.0) == []
    made.starts(0)
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
        assert not made.queue.given_up
        made.add_worker(f"w{place}")
        made.assign(0.0)
        made.lost(f"w{place}", "its node died", charge=False)
    assert list(made.queue.given_up) == [CHUNKS[0]]


def test_too_many_failed_chunks_end_the_job() -> None:
    made = dispatcher(10, "", attempts=1, max_failed=2)
    for place in range(3):
        made.add_worker(f"w{place}")
        made.assign(0.0)
        made.lost(f"w{place}", "killed")
    assert made.finished
    assert (len(made.queue.given_up), made.queue.abandoned) == (3, 7)


def test_equal_workers_are_never_kept_waiting() -> None:
    made = dispatcher(5, "xyz")
    made.assign(0.0)
    for name, now in (("x", 1.0), ("y", 1.01), ("z", 1.02)):
        made.completed(name, made.held(name)[0], now)
        made.assign(now)
    assert [len(made.held(name)) for name in "xyz"] == [1, 1, 0]
    assert made.queue.waiting == 0


def jobs(*priorities: int, kinds: tuple[Resources, ...] = (), models: tuple[str, ...] = ()) -> Dispatcher:
    """A dispatcher with jobs of four chunks each."""
    made = Dispatcher()
    for number, priority in enumerate(priorities):
        resources, model = kinds[number] if kinds else CPU, models[number] if models else "m"
        add_job(made, number, CHUNKS[:4], resources=resources, priority=priority, model=model)
    return made


def steps(made: Dispatcher, *events: Event, now: float = 0.0) -> list[tuple[Any, ...]]:
    """What workers are told to do when that has happened, in short."""
    told: list[tuple[Any, ...]] = []
    for action in made.handle(events, now):
        match action:
            case Ask(worker, job) | OpenPlan(worker, job):
                told.append((type(action), worker, job))
            case SendChunk(worker, job, chunk):
                told.append((SendChunk, worker, job, chunk))
    return told


def opened_in_turn(made: Dispatcher) -> list[int]:
    """The jobs whose plans worker x opens, in order, until all are done."""
    order, told = [], steps(made)
    while told:
        events: list[Event] = []
        for kind, _, job, *chunk in told:
            if kind is OpenPlan:
                order.append(job)
                events.append(Answered("x", Opened((), 0.0)))
            else:
                events += [ChunkDone("x", segment(chunk[0])), Committed(job, 8, 0)]
        told = steps(made, *events)
    return order


OPENED = Answered("x", Opened((), 0.0))


def test_jobs_go_by_priority_then_in_order() -> None:
    made = jobs(0, 5, 5)
    add_worker(made, "x")
    assert opened_in_turn(made) == [1, 2, 0]


def test_a_worker_stays_with_its_plan_then_with_its_model() -> None:
    made = jobs(0, 0, 0, models=("a", "b", "a"))
    add_worker(made, "x")
    assert opened_in_turn(made) == [0, 2, 1]


def test_a_job_of_more_weight_does_not_wait_behind_a_second_chunk(spec_of: Callable[..., JobSpec]) -> None:
    made = jobs(0)
    add_worker(made, "x")
    steps(made)
    steps(made, OPENED)
    made.add_job(1, 1)
    question = Requested(MakePlan(1, spec_of()), CPU, 1)
    done = ChunkDone("x", segment(CHUNKS[0]))
    assert steps(made, question, done, now=1.0) == [], "no second chunk is queued"
    assert steps(made, ChunkDone("x", segment(CHUNKS[1])), now=2.0) == [(Ask, "x", 1)]


def test_a_worker_gets_only_jobs_of_its_kind() -> None:
    made = jobs(0, 0, kinds=(GPU, CPU))
    add_worker(made, "x")
    assert steps(made) == [(OpenPlan, "x", 1)]
    started = [
        action for action in made.handle([Tick({GPU: 9, CPU: 9}, set())], 1.0) if isinstance(action, StartWorker)
    ]
    assert {resources: sum(action.resources == resources for action in started) for resources in (GPU, CPU)} == {
        GPU: 4,
        CPU: 3,
    }, "one for each chunk"


def test_no_more_workers_than_the_job_wants() -> None:
    made = Dispatcher()
    add_job(made, 0, CHUNKS, max_workers=1)
    for name in "xy":
        add_worker(made, name)
    assert steps(made) == [(OpenPlan, "x", 0)]
    assert {step[1] for step in steps(made, OPENED)} == {"x"}
    assert not any(isinstance(action, StartWorker) for action in made.handle([Tick({CPU: 9}, set())], 1.0))


def test_chunks_of_a_job_that_left_count_for_nobody() -> None:
    made = jobs(0, 0)
    add_worker(made, "x")
    steps(made)
    steps(made, OPENED)
    assert steps(made, Leave(0)) == [], "its queue has to empty first"
    assert list(made.state.workers["x"].chunks) == CHUNKS[:2]
    assert steps(made, ChunkDone("x", segment(CHUNKS[0])), now=1.0) == []
    assert steps(made, ChunkFailed("x", CHUNKS[1], "oops"), now=2.0) == [(OpenPlan, "x", 1)]


def test_a_plan_opened_for_a_job_that_left_closed_the_one_before() -> None:
    """Else the first job's chunks would be rendered by the second one's plan."""
    made = jobs(0)
    add_worker(made, "x", open_job=0)
    add_worker(made, "y", open_job=0)
    steps(made)
    add_job(made, 1, CHUNKS[4:5], priority=1)
    done = [ChunkDone("x", segment(chunk)) for chunk in list(made.state.workers["x"].chunks)]
    assert steps(made, *done) == [(OpenPlan, "x", 1)]
    assert steps(made, Leave(1), WorkerLost("y", "its node died", preempted=True)) == []
    assert steps(made, OPENED) == [(OpenPlan, "x", 0)]


def test_draining_hands_out_nothing_more() -> None:
    made = dispatcher(4, "x")
    made.assign(0.0)
    made.events.append(Drain())
    assert made.held("x") == CHUNKS[:2], "what a worker holds may still be done"
    made.completed("x", CHUNKS[0], 1.0)
    assert made.assign(1.0) == []
    assert made.stopped == ["x"]
    assert made.finished
    assert (made.queue.num_done, made.queue.abandoned, made.queue.retries) == (1, 3, 0)


@pytest.mark.parametrize("end", ["failed", "lost", "preempted"])
def test_a_drain_ends_whatever_becomes_of_the_last_chunk(end: str) -> None:
    made = dispatcher(1, "x")
    made.assign(0.0)
    made.events.append(Drain())
    if end == "failed":
        made.failed("x", CHUNKS[0], "oops", 1.0)
    else:
        made.lost("x", end, charge=end == "lost")
    assert made.finished
    assert made.queue.abandoned == 1


def test_a_job_that_never_completes_anything_is_not_tried_to_the_end() -> None:
    made = dispatcher(10, "", attempts=1, max_failed=9, max_failed_first=2)
    for place in range(3):
        made.add_worker(f"w{place}")
        made.assign(0.0)
        made.lost(f"w{place}", "killed")
    assert (len(made.queue.given_up), made.queue.abandoned) == (3, 7)


@pytest.mark.parametrize(("other", "stopped"), [(GPU, ["x"]), (CPU, [])], ids=["another kind", "the same kind"])
def test_an_idle_worker_makes_room_for_another_kind(other: Resources, stopped: list[str]) -> None:
    made = jobs(0, kinds=(other,))
    for name in "xy":
        add_worker(made, name)
        made.state.jobs[0].unfit.add(name)
    made.state.workers["y"].chunks.append(CHUNKS[9])
    actions = made.handle([Tick({GPU: 1, CPU: 3}, set())], 1.0)
    assert [action.name for action in actions if isinstance(action, StopWorker)] == stopped


def test_an_idle_worker_stays_where_there_is_room_for_the_other_kind() -> None:
    """Its job has had an answer and is about to ask for its chunks."""
    made = jobs(0, kinds=(GPU,))
    add_worker(made, "x")
    actions = made.handle([Tick({GPU: 1, CPU: 3}, {GPU})], 1.0)
    assert [action.resources for action in actions if isinstance(action, StartWorker)] == [GPU]
    assert not [action for action in actions if isinstance(action, StopWorker)]


def test_another_worker_is_started_where_one_cannot_open_the_plan() -> None:
    """Though the job wants no more than one at a time: it would wait for ever."""
    made = Dispatcher()
    add_job(made, 0, CHUNKS, max_workers=1)
    add_worker(made, "x")
    steps(made)
    made.handle([Refused("x", "no such model here", ModelError("no such model here"))], 1.0)
    started = [action for action in made.handle([Tick({CPU: 2}, set())], 1.0) if isinstance(action, StartWorker)]
    assert [action.resources for action in started] == [CPU]
    made.state.starting.clear()
    assert any(isinstance(action, Deliver) for action in made.handle([Tick({CPU: 1}, set())], 2.0)), "nobody is left"
