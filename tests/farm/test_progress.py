"""What a watcher hears: what goes on from the first second, when the job will be done, and how far it came."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest

from render.errors import StoppedError
from render.farm.base import Answered, ChunkDone, Doing, Message, Opened, Resources, WorkerInfo, WorkerReady
from render.farm.dispatch.actions import Show
from render.farm.dispatch.chunk_queue import ChunkQueue, RetryPolicy
from render.farm.dispatch.dispatcher import Dispatcher
from render.farm.dispatch.events import Drain, Event, Requested, Tick
from render.farm.local import LocalFarm
from render.farm.progress import Progress
from render.farm.requests import Committed, MakePlan, Render
from render.farm.runner import run_job, run_jobs
from render.farm.signals import Stop
from render.farm.worker import Worker
from render.plan import Chunk, Plan
from render.spec import JobFile, JobSpec
from render.store import RunDir, Segment
from tests.scripted import ScriptedFarm, all_done, play
from tests.segments import RECORD

CPU = Resources(gpu=False)


# What goes on


def doings(heard: list[Progress]) -> list[str]:
    """In words, each as often as it began."""
    return [doing for doing, _ in groupby(progress.doing for progress in heard)]


def test_every_step_of_a_first_run_is_told(job_of: Callable[..., JobFile], watcher: Any) -> None:
    run_job(job_of(), LocalFarm, watcher)
    told = iter(doings(watcher.heard))
    for step in ("reading the run directory", "looking at what is done", "checking the segments"):
        assert step in told, step
    assert "joining the film" in told
    assert "writing the report" in told
    first = next(progress for progress in watcher.heard if progress.frames_total)
    assert (first.frames_done, first.frames_total) == (0, 12), "before there is a plan"
    assert [progress.ended for progress in watcher.heard[-2:]] == [False, True]
    whole = {progress.doing for progress in watcher.heard if progress.frames_done == 12}
    assert whole <= {"", "checking the segments", "joining the film", "writing the report"}, "nobody is waited for"


def test_a_job_that_goes_on_begins_at_the_frames_that_are_done(
    job_of: Callable[..., JobFile], watcher: Any, tmp_path: Path
) -> None:
    """The bug: it began with an empty bar."""
    run_job(job_of("farm.chunk=4"), LocalFarm, watcher)
    (tmp_path / "out/video.mp4").unlink()
    (tmp_path / "out/segments/000004-000008.json").unlink()
    watcher.heard.clear()
    run_job(job_of("farm.chunk=4"), LocalFarm, watcher)
    known = [(progress.frames_done, progress.frames_total) for progress in watcher.heard if progress.frames_total]
    assert known[0] == (8, 12)
    assert known[-1] == (12, 12)
    assert min(known) == (8, 12)


def test_a_selection_counts_its_own_frames(job_of: Callable[..., JobFile], watcher: Any) -> None:
    run_job(job_of(), LocalFarm, watcher, "3,7-9x2")
    assert {progress.frames_total for progress in watcher.heard} - {0} == {3}


class Talk:
    """A dispatcher with one job, asked every two seconds what it shows."""

    def __init__(self) -> None:
        self.made, self.now = Dispatcher(), 0.0
        self.made.add_job(0)

    def show(self, *events: Event) -> Progress:
        self.now += 2.0
        shown = [action.progress for action in self.made.handle(events, self.now) if isinstance(action, Show)]
        return shown[-1]


def test_the_dispatcher_says_what_is_waited_for(spec_of: Callable[..., JobSpec], plan_of: Callable[..., Plan]) -> None:
    talk, plan = Talk(), plan_of("frames=24", "farm.chunk=4")
    tick, ready = Tick({CPU: 2}, {CPU}), WorkerInfo("here", 1)
    told = [
        talk.show(Requested(MakePlan(0, spec_of()), CPU, 2)),
        talk.show(tick),
        talk.show(WorkerReady("w0", ready)),
        talk.show(Doing("w0", "fetching org/name")),
        talk.show(Doing("w0", "measuring the best batch")),
    ]
    assert [progress.doing for progress in told] == [
        "waiting for a worker",
        "starting 1 worker",
        "planning",
        "fetching org/name",
        "measuring the best batch",
    ]
    assert {(progress.frames_total, progress.workers, progress.eta_s) for progress in told} == {(0, 0, None)}
    talk.made.handle([Answered("w0", plan)], talk.now)
    told = [
        talk.show(Requested(Render(0, plan, plan.chunks, 8), CPU, 2)),
        talk.show(Doing("w0", "compiling")),
        talk.show(tick),
        talk.show(Answered("w0", Opened((), 1.0)), Doing("w0", "too late")),
        talk.show(WorkerReady("w1", ready), Answered("w1", Opened((), 1.0))),
    ]
    assert [progress.doing for progress in told[:4]] == [
        "getting ready",
        "compiling",
        "compiling",
        "rendering the first chunk",
    ]
    assert (told[-1].frames_done, told[-1].workers) == (8, 1)


def rendering(talk: Talk, plan: Plan) -> list[ChunkDone]:
    """One worker has the job's first two chunks; what it says when they are done, of eight bytes each."""
    talk.show(Requested(Render(0, plan, plan.chunks, 0), CPU, 1))
    talk.show(Tick({CPU: 1}, {CPU}))
    talk.show(WorkerReady("w0", WorkerInfo("here", 1)))
    talk.show(Answered("w0", Opened((), 1.0)))
    chunks = talk.made.state.workers["w0"].chunks
    assert len(chunks) == 2
    return [
        ChunkDone("w0", Segment(replace(RECORD, chunk=chunk, pictures=("0" * 64,) * 4), bytes(8))) for chunk in chunks
    ]


@pytest.mark.parametrize("draining", [False, True])
def test_a_job_that_is_only_kept_waits_for_no_worker(draining: bool, plan_of: Callable[..., Plan]) -> None:
    """The bug: "waiting for a worker" while all chunks were rendered and a slow store took them."""
    talk = Talk()
    first, second = rendering(talk, plan_of("frames=8", "farm.chunk=4"))
    talk.show(first)
    if draining:
        talk.made.handle([Drain()], talk.now)
    shown = [talk.show(second), talk.show(Tick({CPU: 1}, set())), talk.show(Committed(0, 4, 8))]
    assert [(each.doing, each.frames_done, each.workers) for each in shown] == [
        ("keeping what is done", 0, 0),
        ("keeping what is done", 0, 0),
        ("keeping what is done", 4, 0),
    ]
    last = talk.show(Committed(0, 4, 8))
    assert (last.doing, last.frames_done) == ("", 8)


def test_a_drain_is_shown_at_once(plan_of: Callable[..., Plan]) -> None:
    """The bug: for a second the bar went on as if nobody had pressed Ctrl-C."""
    talk = Talk()
    rendering(talk, plan_of("frames=8", "farm.chunk=4"))
    actions = talk.made.handle([Drain()], talk.now)
    assert [action.progress.doing for action in actions if isinstance(action, Show)] == ["stopping after 1 chunk"]


def test_a_job_whose_store_is_behind_waits_for_no_worker(
    plan_of: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("render.farm.dispatch.state.UNCOMMITTED_BYTES", 8)
    talk = Talk()
    first, second = rendering(talk, plan_of("frames=24", "farm.chunk=4"))
    assert talk.show(first).doing == "rendering the first chunk"
    assert talk.show(second).doing == "keeping what is done"
    assert talk.show(Tick({CPU: 1}, set())).doing == "keeping what is done"
    talk.made.handle([Committed(0, 4, 8), Committed(0, 4, 8)], talk.now)
    assert talk.show(Tick({CPU: 1}, set())).workers == 1


@pytest.fixture
def farm() -> Iterator[LocalFarm]:
    with closing(LocalFarm()) as farm:
        yield farm


def test_a_local_worker_says_how_far_it_is(
    farm: LocalFarm, spec_of: Callable[..., JobSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = threading.Event()

    def plan(worker: Worker, *_question: object) -> Opened:
        worker._say("measuring the best batch")
        assert measured.wait(30)
        return Opened((), 0.0)

    monkeypatch.setattr(Worker, "plan", plan)
    farm.start("local-0", CPU)
    farm.wait(0)
    farm.plan("local-0", spec_of(), None)
    heard: list[Message] = []
    while not heard or heard[-1] == Doing("local-0", ""):
        heard += farm.wait(0.05)
    assert heard[-1] == Doing("local-0", "measuring the best batch")
    measured.set()
    assert farm.wait(30) == [Answered("local-0", Opened((), 0.0))]


def test_a_worker_says_in_which_stage_of_its_start_it_is() -> None:
    worker = Worker("w0")
    worker._say("importing torch")
    assert worker.doing() == "importing torch"
    for stage, words in (("load", "loading the model"), ("compile", "compiling"), ("export", "exporting to ONNX")):
        with worker._opening(stage):  # type: ignore[arg-type]
            assert worker.doing() == words
    assert worker.doing() == "importing torch"


# When it will be done


class Slow(ScriptedFarm):
    """A chunk takes its workers so many seconds of the farm's clock."""

    def __init__(self, *seconds: float, stop: Callable[[float], None] = lambda _now: None) -> None:
        super().__init__(len(seconds), all_done)
        self.seconds = {f"w{number}": each for number, each in enumerate(seconds)}
        self.look = stop
        self._due: dict[str, float] = {}

    def _work(self, name: str) -> None:
        self.look(self.now)
        if not self._queues[name]:
            return
        due = self._due.setdefault(name, self.now - 1 + self.seconds[name])
        if self.now >= due:
            del self._due[name]
            super()._work(name)


class Clocked:
    """A watcher that remembers when it heard what, by the farm's clock."""

    def __init__(self, farm: ScriptedFarm) -> None:
        self.farm, self.heard = farm, list[tuple[float, Progress]]()

    def progress(self, progress: Progress) -> None:
        self.heard.append((self.farm.now, progress))

    def notice(self, text: str) -> None:
        pass


def played(
    farm: ScriptedFarm, plan: Plan, folder: Path, patch: pytest.MonkeyPatch, stop: Stop | None = None
) -> list[tuple[float, Progress]]:
    rundir, watcher = RunDir(folder), Clocked(farm)
    rundir.create()
    play(farm, [(plan, plan.chunks, rundir, watcher)], patch, stop=stop)
    return watcher.heard


def test_a_short_last_chunk_takes_as_long_as_its_padded_batch(plan_of: Callable[..., Plan]) -> None:
    """A kernel sees one batch size only: eight frames in a batch of 32 take what 32 take."""
    plan = plan_of("engine.batch=32", "farm.chunk=64")
    assert plan.padded_batch == 1, "test cards are drawn one by one"
    assert replace(plan, model=replace(plan.model, family="sd")).padded_batch == 32
    queue = ChunkQueue([Chunk(0, 33), Chunk(33, 41)], RetryPolicy(), batch=32)
    assert queue.frames_waiting == 64 + 32
    queue.pop(Chunk(0, 33))
    assert queue.frames_waiting == 32
    queue.requeue(Chunk(0, 33))
    assert queue.frames_waiting == 96
    queue.pop(Chunk(0, 33))
    assert queue.complete(Chunk(0, 33), 1.0) == 64
    queue.abandon()
    assert queue.frames_waiting == 0


@pytest.mark.parametrize("seconds", [(60.0,), (60.0, 60.0), (60.0, 45.0, 20.0)], ids=["one", "alike", "unlike"])
def test_the_end_that_is_shown_stays_where_it_is(
    seconds: tuple[float, ...], plan_of: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm = Slow(*seconds)
    heard = played(farm, plan_of("frames=96", "farm.chunk=4"), tmp_path, monkeypatch)
    ends = [now + shown.eta_s for now, shown in heard if shown.eta_s is not None and now > 1062]
    assert len(ends) > 60
    assert max(abs(end - farm.now) for end in ends) <= 2, "to the tick of a second"
    speeds = {round(shown.frames_per_s, 3) for now, shown in heard if shown.frames_per_s and 1062 < now < 1200}
    assert speeds == {round(sum(4 / each for each in seconds), 3)}, "it does not fall while a chunk takes its time"


def test_the_time_to_go_of_a_drain_counts_down(
    plan_of: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bug: it counted up, as if all chunks were still to come."""
    stop = Stop()
    farm = Slow(60.0, 90.0, stop=lambda now: stop.request(2) if now == 1200 else None)
    heard = played(farm, plan_of("frames=96", "farm.chunk=4"), tmp_path, monkeypatch, stop)
    left = [(now, shown.eta_s) for now, shown in heard if shown.doing.startswith("stopping after")]
    assert len(left) > 30
    assert all(after[1] < before[1] for before, after in pairwise(left) if after[0] > before[0])  # type: ignore[operator]
    assert left[0][1] == pytest.approx(70, abs=2)
    assert {shown.doing for _, shown in heard} >= {"stopping after 2 chunks", "stopping after 1 chunk"}


# How it ended


def test_a_job_that_is_stopped_says_how_far_it_came(job_of: Callable[..., JobFile], watcher: Any) -> None:
    stop = Stop()

    class Stopping(LocalFarm):
        def send(self, worker: str, chunk: Chunk) -> None:
            super().send(worker, chunk)
            if chunk.start == 4:
                stop.request(2)

    with pytest.raises(StoppedError, match=r"^stopped at [48] of 12 frames; run the same command to go on$"):
        run_job(job_of("model=testcard:20ms", "farm.chunk=4"), Stopping, watcher, stop=stop)


def test_a_job_that_is_stopped_before_it_began_says_so(job_of: Callable[..., JobFile], watcher: Any) -> None:
    stop = Stop()
    stop.request(2)
    with pytest.raises(StoppedError, match=r"^stopped before the first frame; run the same command to go on$"):
        run_job(job_of(), LocalFarm, watcher, stop=stop)


@pytest.mark.parametrize("jobs", [1, 2])
def test_jobs_that_are_stopped_at_once_say_how_far_they_came(
    jobs: int, job_of: Callable[..., JobFile], watcher: Any
) -> None:
    """The command ends, and nobody else would tell."""

    class Interrupting(LocalFarm):
        done = 0

        def wait(self, timeout_s: float) -> list[Message]:
            messages = super().wait(timeout_s)
            self.done += sum(type(message).__name__ == "ChunkDone" for message in messages)
            if self.done == 2:
                raise KeyboardInterrupt
            return messages

    files = [job_of("model=testcard:20ms", "farm.chunk=4", out=f"out{number}") for number in range(jobs)]
    with pytest.raises(KeyboardInterrupt):
        run_jobs([(file, watcher) for file in files], Interrupting)
    told = sorted(notice for notice in watcher.notices if notice.startswith("stopped"))
    assert told == [f"stopped at {done} of 12 frames; run the same command to go on" for done in (0, 4)[-jobs:]]
