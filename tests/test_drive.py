"""The driver's loop against a farm that fails by script, on a clock that only the farm moves."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from render.drive import MAX_FAILED_STARTS
from render.errors import EngineError, FarmError, ModelError, RenderError
from render.farm import ChunkFailed, Message
from render.ledger import FIRST_DEADLINE_S
from render.plan import Chunk, Plan
from render.progress import Progress
from render.record import Note
from render.rundir import RunDir
from tests.scripted import BEGINNING, ScriptedFarm, all_done, on, play

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
        return [entry for entry in self.rundir.events() if entry["event"] == event]


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
    assert [progress.frames_done for progress in heard] == [8, 12, 16, 20, 24]
    assert {progress.frames_total for progress in heard} == {24}
    assert (heard[0].frames_per_s, heard[0].eta_s) == (0.0, None)
    assert (heard[2].frames_per_s, heard[2].eta_s, heard[2].workers) == (4.0, 2.0, 1)
    assert heard[-1].eta_s == 0.0


def test_progress_before_anything_is_known() -> None:
    progress = Progress(frames_done=0, frames_total=9, rendered=0, elapsed_s=0.0, workers=0, retries=0)
    assert (progress.frames_per_s, progress.eta_s) == (0.0, None)


@pytest.mark.parametrize("error", [EngineError, KeyboardInterrupt], ids=["error", "Ctrl-C"])
def test_what_was_done_before_the_driver_fell_stays(error: type[BaseException], stage: Stage) -> None:
    def script(_name: str, chunk: Chunk) -> str:
        if chunk.start == 12:
            raise error("in the middle")
        return "done"

    with pytest.raises((RenderError, KeyboardInterrupt)):
        stage.play(ScriptedFarm(1, script))
    assert stage.done() == list(stage.plan.chunks[:3])
