"""Whatever happens, in whatever order: every chunk ends once, every job hears its end once, nobody waits for ever.

A farm and jobs that do as they please for a while, then only what they should, play against the dispatcher and check
each of its actions.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from render.errors import FarmError, ModelError
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
from render.farm.dispatch.actions import (
    Action,
    Ask,
    Deliver,
    Forget,
    Log,
    Notice,
    OpenPlan,
    Publish,
    SendChunk,
    Show,
    StartWorker,
    StopWorker,
)
from render.farm.dispatch.dispatcher import Dispatcher
from render.farm.dispatch.events import Denied, Drain, Event, Requested, Tick
from render.farm.dispatch.state import DEPTH
from render.farm.requests import Committed, Finished, Leave, MakePlan, Render
from render.plan import Chunk, Plan
from render.store import Segment
from tests.farm.dispatch.test_dispatcher import segment

KINDS = [Resources(gpu=False), Resources(gpu=False, share=2), Resources(gpu=True)]
JUMPS_S = [0.0, 0.1, *[1.0] * 9, 7.0, 7.0, 61.0, 400.0, 8000.0]
ENDS_AFTER = 4000  # turns in which every question, plan and chunk is answered


@dataclass
class FarmWorker:
    """A worker as it really is."""

    resources: Resources
    ready: bool = False
    asked: int | None = None
    opening: int | None = None
    open: int | None = None
    chunks: deque[Chunk] = field(default_factory=deque)


@dataclass
class Job:
    """A job that does one thing after the other, as its thread does."""

    number: int
    resources: Resources
    plan: Plan
    rounds: deque[tuple[Chunk, ...] | None]  # chunks to render, None to ask a question
    chunks: tuple[Chunk, ...] | None = None
    waits: bool = False
    got: list[Chunk] = field(default_factory=list)
    uncommitted: int = 0
    left: bool = False
    ends: int = 0
    asked: int = 0


class World:
    """Farm, jobs and driver in one, by the dice."""

    def __init__(self, dice: random.Random, plan_of: Callable[..., Plan]) -> None:
        self.dice, self.now, self.calm = dice, 1000.0, False
        self.made = Dispatcher()
        self.workers: dict[str, FarmWorker] = {}
        self.names: set[str] = set()
        self.heard: list[Event] = []  # what workers said once
        self.jobs: dict[int, Job] = {}
        self.all_jobs: list[Job] = []
        self.draining, self.turns = False, 0
        self.drain_at = dice.choice([0, 0, 0, dice.randint(1, 100)])
        self.kindness = dice.choice([1.0, 0.5, 0.2])  # the less, the more goes well
        kinds = dice.sample(KINDS, dice.randint(1, len(KINDS)))
        self.capacity = {kind: dice.randint(1, 3) for kind in kinds}
        self.slots = dice.randint(max(self.capacity.values()), sum(self.capacity.values()))
        for number in range(dice.randint(1, 4)):
            settings = [f"farm.attempts={dice.randint(1, 4)}", f"farm.workers={dice.choice(['auto', 1, 2])}"]
            if dice.random() < 0.3:
                settings.append(f"farm.max_failed={dice.randint(0, 3)}")
            if dice.random() < 0.3:
                settings.append("farm.deadline=90s")
            plan = plan_of("frames=48", "farm.chunk=4", *settings)
            rounds = [plan.chunks[: dice.randint(0, 12)] for _ in range(dice.choice([1, 1, 2]))]
            questions = [None] * dice.choice([0, 1, 2])
            job = Job(number, dice.choice(kinds), plan, deque([*questions, *rounds]))
            self.made.add_job(number, dice.randint(-1, 1))
            self.plan = plan  # what a worker answers is handed on unread
            self.jobs[number] = job
            self.all_jobs.append(job)

    # A turn of the driver

    def turn(self) -> None:
        if self.now >= self.made.next_tick:
            room = {kind for kind in self.capacity if self.calm or self.dice.random() < 0.7}
            self.handle([Tick(dict(self.capacity), room)])
            return
        events = [*self.messages(), *self.requests()]
        self.turns += 1
        if self.turns == self.drain_at:
            self.draining = True
            events.append(Drain())
        self.handle(events)
        self.now += 1.0 if self.calm else self.dice.choice(JUMPS_S)

    def handle(self, events: list[Event]) -> None:
        known = set(self.workers) | {event.worker for event in events if isinstance(event, WorkerLost)} & self.names
        for action in self.made.handle(events, self.now):
            self.do(action, known)
        self.check()

    # What workers do

    def messages(self) -> Iterator[Event]:
        for name, worker in list(self.workers.items()):
            if self.calm or self.dice.random() < 0.5:
                yield from self.said(name, worker)
        if not self.calm and self.dice.random() < 0.3:
            yield from self.stale()
        if not self.calm and self.dice.random() < 0.1:
            kind = self.dice.choice(list(self.capacity))
            self.capacity[kind] = self.dice.randint(0, 3)

    def said(self, name: str, worker: FarmWorker) -> Iterator[Event]:
        luck = 1.0 if self.calm else self.dice.random() ** self.kindness
        if luck < 0.08:
            del self.workers[name]
            yield from self.once(WorkerLost(name, "gone", preempted=self.dice.random() < 0.5))
        elif not worker.ready:
            if sum(other.ready for other in self.workers.values()) < self.slots and luck > 0.2:
                worker.ready = True
                yield from self.once(WorkerReady(name, WorkerInfo("here", 1)))
        elif worker.asked is not None or worker.opening is not None:
            yield from self.once(self.answer(name, worker, luck))
        elif worker.chunks:
            chunk = self.dice.choice(worker.chunks) if luck < 0.5 else worker.chunks[0]
            worker.chunks.remove(chunk)
            failed = luck < 0.3
            yield from self.once(ChunkFailed(name, chunk, "oops") if failed else ChunkDone(name, segment(chunk)))

    def answer(self, name: str, worker: FarmWorker, luck: float) -> Event:
        opening, worker.asked, worker.opening = worker.opening, None, None
        if luck < 0.25:
            return Refused(name, "no", ModelError("no model") if luck < 0.15 else None)
        if opening is None:
            return Answered(name, self.plan)
        worker.open = opening
        return Answered(name, Opened(("slow",), 0.1))

    def once(self, event: Event) -> Iterator[Event]:
        """The message, and sometimes a second time."""
        self.heard.append(event)
        yield event
        if not self.calm and self.dice.random() < 0.1:
            yield event

    def stale(self) -> Iterator[Event]:
        """Messages of workers that are gone or never were, and old ones of those that do something else by now."""
        yield self.dice.choice(
            [
                WorkerReady("nobody", WorkerInfo("here", 1)),
                WorkerLost("nobody", "gone"),
                ChunkDone("nobody", segment(Chunk(0, 4))),
                ChunkFailed("nobody", Chunk(0, 4), "oops"),
                Answered("nobody", Opened((), 0.1)),
                Refused("nobody", "no"),
            ]
        )
        event = self.dice.choice(self.heard) if self.heard else None
        match event:
            case ChunkDone() | ChunkFailed():
                chunk = event.chunk if isinstance(event, ChunkFailed) else event.segment.record.chunk
                worker = self.workers.get(event.worker)
                if worker is None or chunk not in worker.chunks:
                    yield event
            case Answered() | Refused():
                worker = self.workers.get(event.worker)
                if worker is None or (worker.asked is None and worker.opening is None):
                    yield event
            case WorkerReady() | WorkerLost():
                worker = self.workers.get(event.worker)
                if worker is None or (worker.ready and isinstance(event, WorkerReady)):
                    yield event

    # What jobs do

    def requests(self) -> Iterator[Event]:
        for job in self.jobs.values():
            if job.uncommitted and (self.calm or self.dice.random() < 0.5):
                job.uncommitted -= 1
                yield Committed(job.number, 4, 0)
            elif not job.waits and not job.uncommitted and (self.calm or self.dice.random() < 0.5):
                yield self.next_request(job)

    def next_request(self, job: Job) -> Event:
        if not job.rounds:
            job.left = True
            return Leave(job.number)
        job.waits, job.chunks = True, job.rounds.popleft()
        job.asked += 1
        job.got = []
        if self.draining or self.dice.random() < 0.02:
            return Denied(job.number, FarmError("no farm"))
        request = (
            MakePlan(job.number, job.plan.spec)
            if job.chunks is None
            else Render(job.number, job.plan, job.chunks, done_before=0)
        )
        return Requested(request, job.resources, self.capacity[job.resources])

    # What the dispatcher does

    def do(self, action: Action, known: set[str]) -> None:
        match action:
            case StartWorker(name, resources):
                assert name not in self.names
                assert not self.draining
                self.names.add(name)
                self.workers[name] = FarmWorker(resources)
            case StopWorker(name):
                assert name in known, f"{name} is unknown, or was stopped before"
                known.remove(name)
                self.workers.pop(name, None)
            case Ask() | OpenPlan() | SendChunk():
                self.assign(action)
            case Deliver(number, item):
                self.deliver(self.jobs[number], item)
            case Forget(number):
                assert self.jobs.pop(number).left
            case Log(number) | Notice(number) | Show(number):
                assert number in self.jobs
            case Publish():
                pass

    def assign(self, action: Ask | OpenPlan | SendChunk) -> None:
        assert action.worker in self.workers, "no action names a worker that is gone"
        worker, job = self.workers[action.worker], self.jobs[action.job]
        assert worker.ready
        assert worker.resources == job.resources
        assert worker.asked is None
        assert worker.opening is None
        assert job.waits
        assert not self.draining
        match action:
            case Ask():
                assert not worker.chunks
                worker.open = None
                assert job.chunks is None
                assert all(other.asked != job.number for other in self.workers.values()), "one worker has the question"
                worker.asked = job.number
            case OpenPlan():
                assert not worker.chunks
                worker.open, worker.opening = None, job.number
            case SendChunk(_, _, chunk):
                assert worker.open == job.number, "of the plan that it has open"
                assert len(worker.chunks) < DEPTH
                assert job.chunks is not None
                assert chunk in job.chunks
                assert chunk not in job.got
                mates = [other for other in self.workers.values() if other.open == job.number]
                assert all(chunk not in mate.chunks for mate in mates), "no chunk is with two workers"
                worker.chunks.append(chunk)

    def deliver(self, job: Job, item: object) -> None:
        assert job.waits, f"nobody waits for {item}"
        if isinstance(item, Segment):
            chunk = item.record.chunk
            assert job.chunks is not None
            assert chunk in job.chunks
            assert chunk not in job.got, "once"
            job.got.append(chunk)
            job.uncommitted += 1
            return
        job.waits = False
        job.ends += 1
        queue = self.made.state.jobs[job.number].queue
        if job.chunks is not None and queue is not None:
            assert not queue.waiting
            assert not queue.executing
            assert queue.num_done == len(job.got)
            assert not set(job.got) & set(queue.given_up)
            assert len(job.got) + len(queue.given_up) + queue.abandoned == len(job.chunks)
        if isinstance(item, Finished):
            assert job.chunks is not None
            assert sorted(job.got) == list(job.chunks)
        if isinstance(item, BaseException):
            job.rounds.clear()

    def check(self) -> None:
        """The dispatcher's books agree with what is."""
        state = self.made.state
        assert {*state.workers, *state.starting} == set(self.workers)
        for name, known in state.workers.items():
            worker = self.workers[name]
            assert list(known.chunks) == list(worker.chunks)
            assert (name in state.free) == (known.assignment is None and len(known.chunks) < DEPTH)
        for number, job in state.jobs.items():
            opening = sum(worker.opening == number for worker in self.workers.values())
            assert job.opening <= opening
        assert set(state.jobs) == set(self.jobs)


PLAYS = given(dice=st.randoms(use_true_random=False), unrest=st.integers(0, 120))


@settings(max_examples=40)
@PLAYS
def test_everything_ends_once(dice: random.Random, unrest: int, plan_of: Callable[..., Plan]) -> None:
    play(dice, unrest, plan_of)


@pytest.mark.slow
@settings(max_examples=400)
@PLAYS
def test_everything_ends_once_however_often(dice: random.Random, unrest: int, plan_of: Callable[..., Plan]) -> None:
    play(dice, unrest, plan_of)


def play(dice: random.Random, unrest: int, plan_of: Callable[..., Plan]) -> None:
    """Some turns of a farm that does as it pleases, then as many as it takes of one that does what it should."""
    world = World(dice, plan_of)
    for _ in range(unrest):
        world.turn()
    world.calm = True
    world.capacity = {kind: dice.randint(1, 3) for kind in world.capacity}
    world.slots = dice.randint(max(world.capacity.values()), sum(world.capacity.values()))
    for _ in range(ENDS_AFTER):
        if not world.jobs:
            break
        world.turn()
    assert not world.jobs, "no job waits for ever"
    assert all(job.ends == job.asked for job in world.all_jobs), "each hears its end once"
    assert not world.made.state.wanting
    assert not any(worker.chunks for worker in world.workers.values() if worker.open in world.jobs)
