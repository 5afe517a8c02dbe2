"""How many workers there should be: a table of situations, and what is done about each."""

import pytest

from render.farm.base import Resources
from render.farm.dispatch.autoscaler import (
    ANNOUNCE_AFTER_S,
    LONGEST_PAUSE_S,
    PAUSE_S,
    QUARANTINE_S,
    SOON_S,
    UNSATISFIABLE_AFTER_S,
    expected,
    pause,
    quarantine,
    room,
    scaling_plan,
)
from render.farm.dispatch.chunk_queue import ChunkQueue, RetryPolicy
from render.farm.dispatch.state import JobState, StartingWorker, State, WorkerState
from render.plan import Chunk

CPU, GPU = Resources(gpu=False), Resources(gpu=True)


def job(state: State, chunks: int, resources: Resources = CPU, max_workers: int | None = None) -> JobState:
    """One more job in the midst of rendering, with so many chunks that wait."""
    made = JobState(len(state.jobs), resources=resources, settled=False, max_workers=max_workers)
    made.queue = ChunkQueue([Chunk(at, at + 1) for at in range(chunks)], RetryPolicy())
    state.jobs[made.number] = made
    return made


def worker(state: State, resources: Resources = CPU, *, held: int = 0) -> str:
    """One more worker, of the first job, with so many chunks in its queue."""
    name = f"w{len(state.workers)}"
    state.workers[name] = WorkerState(resources, open_job=0)
    state.workers[name].chunks.extend(Chunk(1000 + at, 1001 + at) for at in range(held))
    return name


def starting(state: State, since: float, resources: Resources = CPU) -> str:
    name = f"s{len(state.starting)}"
    state.starting[name] = StartingWorker(resources, since)
    return name


@pytest.mark.parametrize(
    ("capacity", "chunks", "working", "coming", "max_workers", "started"),
    [
        pytest.param(4, 10, 0, 0, None, 4, id="one for every device"),
        pytest.param(4, 3, 0, 0, None, 3, id="not more than chunks"),
        pytest.param(4, 10, 1, 2, None, 1, id="those that are there and those that come count"),
        pytest.param(4, 10, 0, 0, 2, 2, id="not more than the job wants"),
        pytest.param(4, 0, 1, 0, None, 0, id="nothing waits"),
        pytest.param(0, 10, 0, 0, None, 1, id="a cluster may have to start its first machine"),
        pytest.param(2, 1, 1, 0, None, 1, id="the busy one has a chunk of its own"),
    ],
)
def test_starts(capacity: int, chunks: int, working: int, coming: int, max_workers: int | None, started: int) -> None:
    state = State(capacity={CPU: capacity})
    job(state, chunks, max_workers=max_workers)
    for _ in range(working):
        worker(state, held=1)
    for _ in range(coming):
        starting(state, since=0.0)
    plan = scaling_plan(state, 1.0)
    assert plan.start == [CPU] * started
    assert (plan.stop, plan.cancel, plan.notices, plan.unsatisfiable) == ([], [], [], [])


def test_starts_that_nobody_needs_any_more_are_cancelled_the_latest_first() -> None:
    state = State(capacity={CPU: 8})
    job(state, 1)
    names = [starting(state, since=float(at)) for at in range(3)]
    assert scaling_plan(state, 3.0).cancel == names[1:]


@pytest.mark.parametrize(
    ("held", "has_room", "stopped"),
    [(0, set(), True), (0, {GPU}, False), (1, set(), False)],
    ids=["idle and in the way", "idle and not in the way", "busy"],
)
def test_another_kind_needs_room(held: int, has_room: set[Resources], *, stopped: bool) -> None:
    state = State(capacity={CPU: 1, GPU: 1}, has_room=has_room)
    job(state, 0)
    name = worker(state, held=held)
    job(state, 3, resources=GPU)
    plan = scaling_plan(state, 0.0)
    assert plan.start == [GPU]
    assert plan.stop == ([name] if stopped else [])


def test_a_start_that_takes_long_has_no_room_whatever_the_farm_says() -> None:
    state = State(capacity={CPU: 1, GPU: 1}, has_room={GPU})
    job(state, 0)
    name = worker(state)
    job(state, 3, resources=GPU)
    starting(state, since=0.0, resources=GPU)
    assert scaling_plan(state, ANNOUNCE_AFTER_S).stop == []
    assert scaling_plan(state, ANNOUNCE_AFTER_S + 1).stop == [name]


def test_a_bad_device_is_left_out_for_a_while() -> None:
    state = State(capacity={GPU: 4})
    job(state, 10, resources=GPU)
    quarantine(state, GPU, 0.0)
    assert room(state, GPU, QUARANTINE_S - 1) == 3
    assert scaling_plan(state, QUARANTINE_S - 1).start == [GPU] * 3
    assert scaling_plan(state, QUARANTINE_S).start == [GPU] * 4


def test_pauses_grow_to_a_limit_and_stop_starts() -> None:
    state = State(capacity={CPU: 1})
    job(state, 10)
    now, lengths = 0.0, []
    for _ in range(7):
        lengths.append(pause(state, CPU, now))
        assert pause(state, CPU, now) == lengths[-1], "asked twice, paused once"
        assert scaling_plan(state, now + lengths[-1] - 1).start == []
        now += lengths[-1]
        assert scaling_plan(state, now).start == [CPU]
    assert lengths == [PAUSE_S * factor for factor in (1, 2, 4, 8, 16)] + [LONGEST_PAUSE_S] * 2


def test_a_start_that_takes_long_is_not_waited_for() -> None:
    state = State()
    starting(state, since=0.0)
    assert expected(state, CPU, SOON_S - 1) == 1
    assert expected(state, CPU, SOON_S) == expected(state, GPU, 0.0) == 0


@pytest.mark.parametrize(
    ("waited_s", "capacity", "said"),
    [
        (ANNOUNCE_AFTER_S, 1, "nothing"),
        (ANNOUNCE_AFTER_S + 1, 1, "a notice"),
        (UNSATISFIABLE_AFTER_S + 1, 1, "a notice"),
        (UNSATISFIABLE_AFTER_S + 1, 0, "that it never comes"),
    ],
)
def test_a_wait_for_a_place_is_spoken_of(waited_s: float, capacity: int, said: str) -> None:
    state = State(capacity={GPU: capacity})
    job(state, 3, resources=GPU)
    name = starting(state, since=0.0, resources=GPU)
    plan = scaling_plan(state, waited_s)
    assert [about for about, _ in plan.notices] == ([name] if said == "a notice" else [])
    assert [about for about, _ in plan.unsatisfiable] == ([GPU] if said == "that it never comes" else [])


@pytest.mark.parametrize("useless", [False, True])
def test_workers_that_cannot_open_the_plan_do_not_count(*, useless: bool) -> None:
    state = State(capacity={CPU: 2})
    wanting = job(state, 1, max_workers=1)
    name = worker(state)
    if useless:
        wanting.unfit.add(name)
    assert scaling_plan(state, 0.0).start == ([CPU] if useless else [])
