"""The driver's loop against a farm that fails by script, on a clock that only the farm moves."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from types import FrameType
from typing import Any

import pytest

from render.errors import EngineError, FarmError, ModelError, RenderError, StoppedError
from render.farm.base import ChunkFailed, Message, Refused, Resources, WorkerInfo, WorkerLost, WorkerReady
from render.farm.dispatch.chunk_queue import FIRST_DEADLINE_S
from render.farm.dispatch.failures import MAX_FAILED_STARTS
from render.farm.dispatch.jobs import deliver_segment
from render.farm.local import LocalFarm
from render.farm.progress import METRICS, Silent
from render.farm.runner import run_job
from render.farm.signals import Stop
from render.plan import Chunk, Plan
from render.spec import JobFile, JobSpec
from render.store import Note, RunDir
from tests.scripted import BEGINNING, Script, ScriptedFarm, all_done, on, play

Make = Callable[..., Plan]


class Stage:
    """A plan of six chunks, a run directory and a watcher; ``play`` drives a farm and returns its done chunks."""

    def __init__(self, plan: Plan, path: Path, watcher: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plan, self.rundir, self.watcher = plan, RunDir(path), watcher
        self.rundir.create()
        self._patch = monkeypatch

    def play(
        self, farm: ScriptedFarm, *, done_before: int = 0, missing: tuple[Chunk, ...] | None = None
    ) -> list[Chunk]:
        chunks = self.plan.chunks if missing is None else missing
        [outcome] = play(farm, [(self.plan, chunks, self.rundir, self.watcher)], self._patch, done_before=done_before)
        if isinstance(outcome, RenderError):
            raise outcome
        return self.done()

    def done(self) -> list[Chunk]:
        return sorted(self.rundir.records())

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [entry.to_dict() for entry in self.rundir.events() if entry.event == event]


@pytest.fixture
def stage(plan_of: Make, tmp_path: Path, watcher: Any, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(plan_of("frames=24", "farm.chunk=4"), tmp_path / "run", watcher, monkeypatch)


@pytest.mark.parametrize(("workers", "started"), [(1, 1), (2, 2), (99, 6)])
def test_every_chunk_is_rendered_once(workers: int, started: int, stage: Stage) -> None:
    farm = ScriptedFarm(workers, all_done)
    assert stage.play(farm) == list(stage.plan.chunks)
    assert sorted(chunk for _, chunk in farm.executed) == list(stage.plan.chunks)
    assert len(farm.started) == started, "never more workers than chunks"
    assert {name for name, _ in farm.executed} == set(farm.started)


def test_nothing_to_do_starts_no_worker(stage: Stage) -> None:
    farm = ScriptedFarm(2, all_done)
    assert stage.play(farm, missing=()) == []
    assert farm.started == []


def test_a_failed_chunk_is_done_by_another_worker(stage: Stage) -> None:
    farm = ScriptedFarm(2, on("w0", 0, "fail"))
    assert stage.play(farm) == list(stage.plan.chunks)
    assert [name for name, chunk in farm.executed if chunk.start == 0] == ["w0", "w1"]
    assert stage.watcher.notices == ["frames 0-3 failed on worker w0: out of luck"]
    assert [event["chunk"] for event in stage.logged("failed")] == ["000000-000004"]
    assert stage.watcher.heard[-1].retries == 1


def test_a_chunk_that_kills_three_workers_is_given_up_and_named(stage: Stage) -> None:
    farm = ScriptedFarm(2, on(None, 8, "die"))
    with pytest.raises(FarmError) as caught:
        stage.play(farm)
    victims = [name for name, chunk in farm.executed if chunk.start == 8]
    assert str(caught.value).splitlines() == [
        "1 of 6 chunks failed for good; all others are done:",
        f"  frames 8-11: 3 attempts; the last, on worker {victims[-1]}: killed",
        "mend the cause and run the same command again: it renders only what is missing",
    ]
    assert stage.done() == [chunk for chunk in stage.plan.chunks if chunk.start != 8]
    assert len(set(victims)) == 3, "three attempts on three workers"


@pytest.mark.parametrize(
    "error", [UnicodeEncodeError("ascii", "ä", 0, 1, "ordinal not in range(128)"), FarmError("gone"), MemoryError()]
)
def test_metrics_that_do_not_get_through_end_no_job_and_are_told_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    farm, asked = ScriptedFarm(2, all_done), []

    def refuse(samples: object) -> None:
        asked.append(samples)
        raise error

    monkeypatch.setattr(farm, "publish", refuse)
    assert stage.play(farm) == list(stage.plan.chunks)
    assert len(asked) > 1, "the next ones are tried all the same"
    [told] = stage.watcher.notices
    assert told.startswith("metrics do not reach those who monitor the farm, rendering goes on: ")
    assert [event["text"] for event in stage.logged("warning")] == [told]


def test_what_waits_behind_a_deadly_chunk_is_not_charged(stage: Stage) -> None:
    farm = ScriptedFarm(1, on(None, 0, "die"))
    with pytest.raises(FarmError, match="1 of 6 chunks"):
        stage.play(farm)
    assert [event["chunk"] for event in stage.logged("failed")] == ["000000-000004"] * 3


def test_preemption_is_free(plan_of: Make, stage: Stage) -> None:
    stage.plan = plan_of("frames=24", "farm.attempts=1")
    left = deque(range(7))
    farm = ScriptedFarm(2, lambda _name, _chunk: "preempt" if left and left.popleft() + 1 else "done")
    assert stage.play(farm) == list(stage.plan.chunks)
    assert stage.logged("failed") == []
    assert stage.watcher.heard[-1].retries == 0


def test_a_worker_that_fails_three_chunks_is_replaced(plan_of: Make, stage: Stage) -> None:
    stage.plan = plan_of("frames=96")
    done = iter([True])
    farm = ScriptedFarm(2, lambda name, _chunk: "fail" if name == "w0" and not next(done, False) else "done")
    assert stage.play(farm) == list(stage.plan.chunks)
    assert farm.stopped == ["w0"]
    assert sum(name == "w0" for name, _ in farm.executed) == 1 + 3
    assert "worker w0 failed several chunks and is replaced" in stage.watcher.notices


def test_a_worker_that_never_completed_anything_is_not_replaced_while_others_work(stage: Stage) -> None:
    """A broken device fails fast: replacing its worker again and again would use up every chunk's attempts."""
    farm = ScriptedFarm(2, on("w0", None, "fail"))
    assert stage.play(farm) == list(stage.plan.chunks)
    assert farm.stopped == ["w0"]
    assert farm.started == ["w0", "w1"]
    assert any("the others go on without it" in notice for notice in stage.watcher.notices)


def test_a_lone_worker_that_never_completed_anything_is_replaced(stage: Stage) -> None:
    farm = ScriptedFarm(1, on("w0", None, "fail"))
    assert stage.play(farm) == list(stage.plan.chunks) or stage.logged("failed")
    assert farm.started[:2] == ["w0", "w1"]


def test_messages_of_a_worker_that_was_just_stopped_are_dropped(stage: Stage) -> None:
    """Over Ray one look can bring two results of one worker; the third failure stops it before the fourth is heard."""

    class Hasty(ScriptedFarm):
        def wait(self, timeout_s: float) -> list[Message]:
            messages = super().wait(timeout_s)
            extra = [message for message in messages if isinstance(message, ChunkFailed)]
            for message in extra:
                held = self._queues.get(message.worker)
                if held:
                    messages.append(ChunkFailed(message.worker, held.popleft(), "out of luck as well"))
            return messages

    farm = Hasty(2, on("w0", None, "fail"))
    assert stage.play(farm) == list(stage.plan.chunks)
    assert farm.stopped == ["w0"]


def test_a_hung_worker_meets_the_deadline(plan_of: Make, stage: Stage) -> None:
    stage.plan = plan_of("frames=24", "farm.deadline=90s")
    farm = ScriptedFarm(2, on("w0", 0, "hang"))
    assert stage.play(farm) == list(stage.plan.chunks)
    assert farm.stopped == ["w0"]
    assert "no result after 91 s; the worker was stopped" in stage.watcher.notices[0]
    assert farm.now - BEGINNING < 120


def test_a_chunk_that_hangs_everywhere_is_given_up(stage: Stage) -> None:
    farm = ScriptedFarm(2, on(None, 4, "hang"))
    with pytest.raises(FarmError, match=r"frames 4-7: 3 attempts; .* no result after"):
        stage.play(farm)
    assert len(stage.done()) == 5
    assert len(farm.stopped) == 3


def test_a_worker_that_never_gets_ready_is_given_up(stage: Stage) -> None:
    farm = ScriptedFarm(1, all_done, {"w0": "hang"})
    assert stage.play(farm) == list(stage.plan.chunks)
    assert farm.stopped == ["w0"]
    assert farm.now - BEGINNING > FIRST_DEADLINE_S
    assert "worker w0 could not start: not ready after 7201 s" in stage.watcher.notices


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_workers_that_cannot_start_are_not_tried_for_ever(workers: int, stage: Stage) -> None:
    farm = ScriptedFarm(workers, all_done, {"all": "lost"})
    with pytest.raises(FarmError, match="workers in a row could not start; the last one said: no such device"):
        stage.play(farm)
    assert MAX_FAILED_STARTS <= len(farm.started) <= MAX_FAILED_STARTS + workers


@pytest.mark.parametrize("workers", [1, 3])
def test_a_missing_model_is_told_as_such(workers: int, stage: Stage) -> None:
    farm = ScriptedFarm(workers, all_done, {"all": "refused"})
    with pytest.raises(ModelError, match="no such model"):
        stage.play(farm)


def test_one_good_worker_is_enough(stage: Stage) -> None:
    farm = ScriptedFarm(2, all_done, {"all": "lost", "w0": "ready"})
    assert stage.play(farm) == list(stage.plan.chunks)


def test_a_worker_that_starts_makes_up_for_those_that_did_not(stage: Stage) -> None:
    farm = ScriptedFarm(1, on("w2", 8, "die"), dict.fromkeys(["w0", "w1", "w3", "w4"], "lost"))
    assert stage.play(farm) == list(stage.plan.chunks)
    assert len(farm.started) == 6


def test_a_preempted_start_is_tried_again(stage: Stage) -> None:
    farm = ScriptedFarm(1, all_done, {f"w{place}": "preempt" for place in range(2 * MAX_FAILED_STARTS)})
    assert stage.play(farm) == list(stage.plan.chunks)
    assert len(farm.started) == 2 * MAX_FAILED_STARTS + 1


def test_the_last_worker_is_replaced_when_it_dies(stage: Stage) -> None:
    farm = ScriptedFarm(1, on("w0", 8, "die"))
    assert stage.play(farm) == list(stage.plan.chunks)
    assert farm.started == ["w0", "w1"]


def test_warnings_and_notes_reach_the_watcher_once(stage: Stage) -> None:
    farm = ScriptedFarm(3, all_done)
    farm.warnings = ("the prompt is cut off", "the prompt is cut off", "slow disk")
    farm.notes = (Note(0, "blank", "was blank; rendered again"),)
    stage.play(farm, missing=stage.plan.chunks[:3])
    assert stage.watcher.notices == [
        "the prompt is cut off",
        "slow disk",
        *["frame 0: was blank; rendered again"] * 3,
    ]
    assert [event["kind"] for event in stage.logged("note")] == ["blank"] * 3


def test_progress(stage: Stage) -> None:
    stage.play(ScriptedFarm(1, all_done), missing=stage.plan.chunks[2:], done_before=8)
    heard = stage.watcher.heard
    assert {progress.frames_done for progress in heard} <= {8, 12, 16, 20, 24}
    assert heard[0].frames_done == 8
    assert {progress.frames_total for progress in heard} == {24}
    assert (heard[0].frames_per_s, heard[0].eta_s) == (0.0, None)
    assert (heard[-1].frames_done, heard[-1].eta_s) == (24, 0.0)


@pytest.mark.parametrize("error", [EngineError, KeyboardInterrupt], ids=["error", "Ctrl-C"])
def test_what_was_done_before_the_driver_fell_stays(error: type[BaseException], stage: Stage) -> None:
    def script(_name: str, chunk: Chunk) -> str:
        if chunk.start == 12:
            raise error("in the middle")
        return "done"

    with pytest.raises((RenderError, KeyboardInterrupt)):
        stage.play(ScriptedFarm(1, script))
    assert stage.done() == list(stage.plan.chunks[:3])


def test_a_plan_that_no_worker_can_open_is_told_as_such(stage: Stage) -> None:
    farm = ScriptedFarm(3, all_done, {"all": "refused"})
    with pytest.raises(ModelError, match="no such model"):
        stage.play(farm)


@pytest.mark.parametrize("fate", ["broken", "killed"])
def test_workers_that_break_over_a_plan_are_not_replaced_for_ever(fate: str, stage: Stage) -> None:
    farm = ScriptedFarm(1, all_done, {"all": fate})
    with pytest.raises(FarmError, match="3 workers in a row could not open the job; the last one said: "):
        stage.play(farm)
    assert len(farm.started) == MAX_FAILED_STARTS


@pytest.mark.parametrize("fate", ["refused", "broken", "killed"])
def test_one_worker_that_can_open_the_plan_is_enough(fate: str, stage: Stage) -> None:
    farm = ScriptedFarm(2, all_done, {"w0": fate})
    assert stage.play(farm) == list(stage.plan.chunks)
    assert "w0" not in {name for name, _ in farm.executed}


def test_a_job_does_not_wait_for_a_worker_that_cannot_open_it(stage: Stage) -> None:
    """The only one that could has died, and its place is taken by one that cannot."""
    farm = ScriptedFarm(1, on("w0", 8, "die"), {"w1": "refused"})
    with pytest.raises(ModelError, match="no such model"):
        stage.play(farm)
    assert len(stage.done()) == 2


class Jobs:
    """Several jobs on one farm, each with a run directory of its own."""

    def __init__(self, path: Path, plan_of: Make, watcher: Any, patch: pytest.MonkeyPatch) -> None:
        self.path, self.plan_of, self.watcher, self.patch = path, plan_of, watcher, patch

    def play(self, farm: ScriptedFarm, *settings: str, stop: Stop | None = None) -> list[Any]:
        """One job for each of ``settings``; what became of it: the chunks done, or the error."""
        jobs = []
        for number, setting in enumerate(settings):
            plan = self.plan_of("frames=24", "farm.chunk=4", f"crf={20 + number}", *setting.split())
            rundir = RunDir(self.path / str(number))
            rundir.create()
            jobs.append((plan, plan.chunks, rundir, self.watcher))
        outcomes = play(farm, jobs, self.patch, stop=stop)
        done = [len(rundir.records()) for _, _, rundir, _ in jobs]
        return [
            outcome if isinstance(outcome, RenderError) else chunks
            for outcome, chunks in zip(outcomes, done, strict=True)
        ]


@pytest.fixture
def jobs(plan_of: Make, tmp_path: Path, watcher: Any, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    def of(*settings: str) -> Plan:
        return plan_of(*[f"output.{text}" if text.startswith("crf") else text for text in settings])

    return Jobs(tmp_path, of, watcher, monkeypatch)


def test_jobs_share_the_workers(jobs: Jobs) -> None:
    farm = ScriptedFarm(2, all_done)
    assert jobs.play(farm, "", "", "") == [6, 6, 6]
    assert farm.started == ["w0", "w1"]
    assert len({digest for _, digest in farm.opened}) == 3
    assert len(farm.opened) <= 6, "a worker opens a plan once"


def test_a_job_that_fails_stops_no_other(jobs: Jobs) -> None:
    farm = ScriptedFarm(2, lambda _name, chunk: "fail" if chunk.start == 100 else "done")
    first, second, third = jobs.play(farm, "", "frames=104", "")
    assert (first, third) == (6, 6)
    assert isinstance(second, FarmError)
    assert "frames 100-103: 3 attempts" in str(second)


def test_a_job_of_more_weight_goes_first(jobs: Jobs) -> None:
    farm = ScriptedFarm(1, all_done)
    jobs.play(farm, "", "farm.priority=9", "frames=28")
    digests = [next(iter(RunDir(jobs.path / str(number)).records().values())).digest for number in range(3)]
    light, heavy, other = (max(at for at, done in enumerate(farm.done) if done == digest) for digest in digests)
    assert heavy < min(light, other), "whichever asked first"


def test_draining_finishes_what_is_executing_and_nothing_else(jobs: Jobs) -> None:
    stop, seen = Stop(), []

    def script(_name: str, chunk: Chunk) -> str:
        seen.append(chunk.start)
        if len(seen) == 3:
            stop.request(2)
        return "done"

    farm = ScriptedFarm(2, script)
    first, second = jobs.play(farm, "frames=48", "frames=48", stop=stop)
    assert isinstance(first, StoppedError)
    assert isinstance(second, StoppedError)
    assert len(seen) == 6, "what each of two workers executed when it was told, and no more"
    assert sum(len(RunDir(jobs.path / name).records()) for name in "01") == len(seen), "all of it is committed"
    assert "stopping after 2 chunks; Ctrl-C again stops at once and loses them" in jobs.watcher.notices


def test_workers_join_a_job_that_runs(plan_of: Make, stage: Stage) -> None:
    """The farm grows: its new devices are used. It shrinks: what is lost is rendered elsewhere, for free."""
    stage.plan = plan_of("frames=240")

    class Growing(ScriptedFarm):
        def wait(self, timeout_s: float) -> list[Message]:
            self.workers = 1 if self.now < BEGINNING + 10 else 3
            return super().wait(timeout_s)

    gone = iter([True])
    farm = Growing(
        1, lambda name, chunk: "preempt" if name == "w1" and chunk.start > 80 and next(gone, False) else "done"
    )
    assert stage.play(farm) == list(stage.plan.chunks)
    assert farm.started == ["w0", "w1", "w2", "w3"]
    assert stage.logged("failed") == []


def test_more_workers_than_devices_are_not_started_and_that_is_told(plan_of: Make, stage: Stage) -> None:
    stage.plan = plan_of("frames=24", "farm.workers=8")
    farm = ScriptedFarm(2, all_done)
    stage.play(farm)
    assert farm.started == ["w0", "w1"]
    assert stage.watcher.notices[0] == "8 workers are asked for, there are devices for 2"


def test_monitors_are_told(stage: Stage) -> None:
    farm = ScriptedFarm(2, on("w0", 0, "fail"))
    stage.play(farm)
    last = farm.samples[-1]
    assert set(last.values) <= set(METRICS)
    assert last.job == stage.plan.spec.name
    assert last.values["render_seconds_per_image"] == pytest.approx(0.25), "a chunk of four takes a second"
    assert last.values["render_frames"] + last.values["render_frames_left"] == 24
    assert (last.values["render_retries"], last.values["render_queue_depth"]) == (1, 0)


class Endless(BaseException):
    """The farm's clock has gone too far: the driver hangs."""


class Patient(ScriptedFarm):
    """A farm whose clock has an end."""

    end_s = 50_000.0

    def wait(self, timeout_s: float) -> list[Message]:
        if self.now - BEGINNING > self.end_s:
            raise Endless(f"no end after {self.end_s:.0f} s")
        return super().wait(timeout_s)


def test_a_job_that_fails_everywhere_takes_no_worker_from_the_others(jobs: Jobs) -> None:
    class FailsTheFirst(Patient):
        def _work(self, name: str) -> None:
            if self._queues[name] and self._digests[name] == self.opened[0][1]:
                self._messages.append(ChunkFailed(name, self._queues[name].popleft(), "a broken job"))
            else:
                super()._work(name)

    farm = FailsTheFirst(8, all_done)
    broken, good = jobs.play(farm, "frames=400", "frames=2000")
    assert isinstance(broken, FarmError)
    assert "were not begun after that" in str(broken)
    assert good == 500
    assert len({name for name, _ in farm.executed}) >= 8, "all devices are at work for the good one"
    assert farm.now - BEGINNING < 150


@pytest.mark.parametrize(
    ("script", "starts"),
    [
        (lambda name, _chunk: "fail" if name == "w0" else "done", {"w1": "refused"}),
        (
            lambda name, chunk: "fail" if name == "w0" else "die" if (name, chunk.start) == ("w1", 16) else "done",
            {f"w{number}": "refused" for number in range(2, 99)},
        ),
    ],
    ids=["bad and unfit", "bad, dead and unfit"],
)
def test_a_job_that_nobody_is_left_for_ends(script: Script, starts: dict[str, str], stage: Stage) -> None:
    farm = Patient(2, script, starts)
    try:
        stage.play(farm)
    except (FarmError, ModelError):
        assert len(stage.done()) < 6
    else:
        assert len(stage.done()) == 6


def test_a_failed_chunk_does_not_wait_for_a_worker_that_finds_no_place(stage: Stage) -> None:
    once = iter([True])
    never = {f"w{number}": "hang" for number in range(1, 99)}
    farm = Patient(2, lambda _name, chunk: "fail" if chunk.start == 8 and next(once, False) else "done", never)
    assert stage.play(farm) == list(stage.plan.chunks)
    assert farm.now - BEGINNING < 90
    assert farm.stopped[:1] == ["w1"] or len(farm.started) == 2


def test_a_refusal_does_not_end_a_job_that_another_worker_can_open(jobs: Jobs) -> None:
    """w1 is free and lacks the model of the second job; w0, busy with the first, has it."""

    class LacksOne(Patient):
        second = ""

        def open(self, worker: str, plan_json: str) -> None:
            if worker != "w0" and Plan.from_json(plan_json).spec.output.crf == 21:
                self.opened.append((worker, "refused"))
                self._messages.append(Refused(worker, "no such model here", ModelError("no such model here")))
            else:
                super().open(worker, plan_json)

    assert jobs.play(LacksOne(2, all_done), "frames=52", "") == [13, 6]


def test_nodes_that_go_away_over_a_plan_are_not_replaced_for_ever(stage: Stage) -> None:
    class Doomed(Patient):
        def open(self, worker: str, plan_json: str) -> None:
            self._messages.append(WorkerLost(worker, "its node died", preempted=True))

    farm = Doomed(1, all_done)
    with pytest.raises(FarmError, match=r"11 workers in a row were lost before they could render; .* its node died"):
        stage.play(farm)
    assert farm.now - BEGINNING > 200, "with pauses"


class OneMachine(Patient):
    """All workers share one machine: one of share 1 needs it whole, one of share 2 half of it. A chunk takes 1000 s."""

    def __init__(self) -> None:
        super().__init__(1, all_done)
        self.placed: dict[str, Resources] = {}
        self.waiting: dict[str, Resources] = {}
        self.since: dict[tuple[str, Chunk], float] = {}

    def resources(self, spec: JobSpec, device: str) -> Resources:
        return Resources(gpu=False, share=1 if spec.farm.workers == "auto" else spec.farm.workers)

    def capacity(self, resources: Resources) -> int:
        return resources.share

    def has_room(self, resources: Resources) -> bool:
        return sum(1 / other.share for other in self.placed.values()) + 1 / resources.share <= 1

    def start(self, name: str, resources: Resources) -> None:
        self.started.append(name)
        self.waiting[name] = resources
        self._place()

    def stop(self, worker: str) -> None:
        super().stop(worker)
        self.placed.pop(worker, None)
        self.waiting.pop(worker, None)
        self._place()

    def _place(self) -> None:
        for name, resources in list(self.waiting.items()):
            if self.has_room(resources):
                self.placed[name] = self.waiting.pop(name)
                self._queues[name] = deque()
                self._messages.append(WorkerReady(name, WorkerInfo("here", 1)))

    def _work(self, name: str) -> None:
        if self._queues[name]:
            began = self.since.setdefault((name, self._queues[name][0]), self.now)
            if self.now - began >= 1000:
                super()._work(name)


@pytest.mark.slow
@pytest.mark.parametrize("priority", [9, 0])
def test_workers_of_another_kind_get_their_place_in_turn(priority: int, jobs: Jobs) -> None:
    """For hours, if need be: a start that waits for a place does not fail; workers with nothing to do make room."""
    farm = OneMachine()
    farm.end_s = 100_000.0
    assert jobs.play(farm, "frames=96 farm.workers=2", f"farm.priority={priority}") == [24, 6]


def test_a_drain_keeps_what_comes_out_of_turn(stage: Stage) -> None:
    """The short second chunk of a worker may be through before its first, which is still being encoded."""
    stop = Stop()

    class OutOfTurn(Patient):
        def _work(self, name: str) -> None:
            queue = self._queues[name]
            if len(queue) > 1:
                stop.request(15)
                queue.rotate(-1)
            super()._work(name)

    [outcome] = play(
        OutOfTurn(1, all_done), [(stage.plan, stage.plan.chunks, stage.rundir, stage.watcher)], stage._patch, stop=stop
    )
    assert isinstance(outcome, StoppedError)
    assert {chunk.start for chunk in stage.done()} == {0, 4}


def test_a_drain_ends_when_the_last_chunk_fails(stage: Stage) -> None:
    stop = Stop()

    def script(_name: str, chunk: Chunk) -> str:
        if chunk.start == 20:
            stop.request(2)
            return "fail"
        return "done"

    [outcome] = play(
        Patient(1, script), [(stage.plan, stage.plan.chunks, stage.rundir, stage.watcher)], stage._patch, stop=stop
    )
    assert isinstance(outcome, FarmError | StoppedError)
    assert len(stage.done()) == 5


MODULES_A_CHUNK = 25


def test_a_finished_chunk_takes_a_short_way_through_the_driver(
    job_of: Callable[..., JobFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How often the driver's thread goes from one module to another between a chunk that is done and the next one.

    What the terminal and monitors hear comes a few times a second, however many chunks there are: it is not counted.
    """
    monkeypatch.setattr("render.farm.dispatch.dispatcher.FLICKER_S", 3600)
    monkeypatch.setattr("render.farm.dispatch.dispatcher.TICK_S", 3600)
    modules: list[str] = []
    done: list[int] = []

    def called(frame: FrameType, event: str, _argument: object) -> None:
        module, function = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        if event == "call" and module.startswith("render.") and not function.startswith("__"):
            if function == deliver_segment.__name__:
                done.append(len(modules))
            modules.append(module)

    job = job_of("frames=120", "farm.chunk=4")
    sys.setprofile(called)
    try:
        run_job(job, LocalFarm, Silent())
    finally:
        sys.setprofile(None)
    ways = [modules[begin:end] for begin, end in pairwise(done)]
    changes = [sum(one != other for one, other in pairwise(way)) for way in ways]
    assert len(changes) == 29
    assert median(changes) <= MODULES_A_CHUNK
    assert mean(changes) <= MODULES_A_CHUNK + 2, "where its commit comes alone"
