"""The story end to end, on test cards and without Ray: films are whole, reruns render what is missing and no more."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from render import models as modelfiles
from render.cli.commands.preview import preview
from render.engine.testcard import read_index
from render.errors import FarmError, LockedError, ModelError, RunDirError, SpecError, VideoError
from render.farm import planning
from render.farm.job import Outcome
from render.farm.local import LocalFarm
from render.farm.reducer import marked
from render.farm.runner import run_job
from render.farm.worker import Worker
from render.models import ModelInfo
from render.plan import Chunk, Machine, Plan
from render.spec import JobFile, JobSpec, load
from render.store import RunDir, Segment
from render.video.reader import decode, probe
from render.video.stills import read_still

Make = Callable[..., JobFile]


class CountingFarm(LocalFarm):
    """Remembers the frames it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[int] = []

    def send(self, worker: str, chunk: Chunk) -> None:
        self.frames += chunk.frames
        super().send(worker, chunk)


class Runner:
    """Runs jobs; ``frames`` are those the last run rendered."""

    def __init__(self, watcher: Any) -> None:
        self.watcher = watcher
        self.frames: list[int] = []
        self.farms = 0

    def __call__(self, job: JobFile, frames: str | None = None) -> Outcome:
        farm = CountingFarm()
        self.farms = 0

        def make_farm() -> CountingFarm:
            self.farms += 1
            return farm

        try:
            return run_job(job, make_farm, self.watcher, frames)
        finally:
            self.frames = farm.frames


@pytest.fixture
def run(watcher: Any) -> Runner:
    return Runner(watcher)


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Syncing takes half the time of these small films, and no test here pulls the plug."""
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)


def film_indices(outcome: Outcome) -> list[int | None]:
    assert outcome.film is not None
    return [read_index(frame) for frame in decode(outcome.film)]


def pictures(outcome: Outcome) -> list[bytes]:
    assert outcome.film is not None
    return [frame.tobytes() for frame in decode(outcome.film)]


def still_indices(folder: Path | None, suffix: str = "png") -> dict[str, int | None]:
    assert folder is not None
    return {path.name: read_index(read_still(path)) for path in sorted(folder.glob(f"*.{suffix}"))}


def test_a_film_has_every_frame_in_order(job_of: Make, run: Runner, tmp_path: Path) -> None:
    outcome = run(job_of("frames=14"))
    assert film_indices(outcome) == list(range(14))
    assert (outcome.rendered, outcome.stills, run.frames) == (14, None, list(range(14)))
    assert outcome.film == tmp_path / "out/video.mp4"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "job.yaml",
        "plan.json",
        "segments",
        "video.mp4",
        "report.json",
        "report.html",
        "events.jsonl",
        "lock",
    }
    assert json.loads((tmp_path / "out/report.json").read_text())["complete"]
    assert RunDir(tmp_path / "out").events()[0].event == "run-started"
    assert not RunDir(tmp_path / "out").locked()


def test_the_resolved_spec_lies_beside_the_film(job_of: Make, run: Runner, tmp_path: Path) -> None:
    job = job_of()
    run(job)
    assert load(tmp_path / "out/job.yaml").spec == job.spec


def test_a_rerun_of_a_complete_job_does_nothing(job_of: Make, run: Runner, tmp_path: Path) -> None:
    first = run(job_of())
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("[vrs]*")}
    outcome = run(job_of())
    assert (outcome.rendered, run.frames, run.farms) == (0, [], 0)
    assert (outcome.film, outcome.report, outcome.plan.digest) == (first.film, first.report, first.plan.digest)
    assert {path: path.stat().st_mtime_ns for path in times} == times


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


HARMS: dict[str, Callable[[Path], None]] = {
    "segment deleted": lambda out: (out / "segments/000004-000008.mp4").unlink(),
    "record deleted": lambda out: (out / "segments/000004-000008.json").unlink(),
    "segment truncated": lambda out: (out / "segments/000004-000008.mp4").write_bytes(b"short"),
    "record torn": lambda out: (out / "segments/000004-000008.json").write_text('{"record_version": 1, "dig'),
    "byte flipped": lambda out: flip(out / "segments/000004-000008.mp4"),
}


@pytest.mark.parametrize("film", ["with film", "without film"])
@pytest.mark.parametrize("harm", HARMS)
def test_damage_is_mended_and_nothing_else_is_rendered(
    harm: str, film: str, job_of: Make, run: Runner, tmp_path: Path
) -> None:
    undisturbed = run(job_of())
    frames = pictures(undisturbed)
    HARMS[harm](tmp_path / "out")
    if film == "without film":
        assert undisturbed.film is not None
        undisturbed.film.unlink()
    outcome = run(job_of())
    if harm == "byte flipped" and film == "with film":  # nobody needs the segment while the film stands
        assert run.frames == []
    else:
        assert run.frames == [4, 5, 6, 7]
        assert outcome.rendered == 4, "the outcome does not call this a complete job"
    assert pictures(outcome) == frames


@pytest.mark.parametrize("text", ["", "[]", "7", '{"complete": true}', "[" * 100_000], ids=["empty", *"abcd"])
def test_a_report_that_is_none_is_written_again(text: str, job_of: Make, run: Runner, tmp_path: Path) -> None:
    run(job_of())
    (tmp_path / "out/report.json").write_text(text)
    run(job_of())
    assert run.frames == []
    assert json.loads((tmp_path / "out/report.json").read_text())["complete"]


def test_a_damaged_segment_never_gets_into_a_film(job_of: Make, run: Runner, tmp_path: Path) -> None:
    """The film stands, the report is gone and a segment has rotted: the film must not be made anew from that."""
    film = run(job_of()).film
    assert film is not None
    before = film.read_bytes()
    (tmp_path / "out/report.html").unlink()
    flip(tmp_path / "out/segments/000004-000008.mp4")
    outcome = run(job_of())
    assert run.frames == [4, 5, 6, 7]
    assert film.read_bytes() == before
    assert (tmp_path / "out/report.html").exists()
    assert any("frames 4-7: the segment on disk is damaged" in notice for notice in run.watcher.notices)
    assert outcome.rendered == 4


@pytest.mark.parametrize("harm", ["deleted", "truncated", "replaced"])
def test_a_lost_film_is_joined_again_without_rendering(harm: str, job_of: Make, run: Runner, tmp_path: Path) -> None:
    film = run(job_of()).film
    assert film is not None
    before = film.read_bytes()
    if harm == "deleted":
        film.unlink()
    else:
        film.write_bytes(before[:-200] if harm == "truncated" else b"something else")
    outcome = run(job_of())
    assert (outcome.rendered, run.frames) == (0, [])
    assert film.read_bytes() == before


def test_a_disk_that_damages_everything_is_named(
    job_of: Make, run: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commit = RunDir.commit

    def rot(rundir: RunDir, segment: Segment) -> None:
        commit(rundir, segment)
        flip(rundir.fetch(str(segment.record.file)))

    monkeypatch.setattr(RunDir, "commit", rot)
    with pytest.raises(RunDirError, match="segments are damaged as soon as they are written; check the disk"):
        run(job_of())
    assert not (tmp_path / "out/video.mp4").exists()


class Crash(BaseException):
    """The driver dies."""


def crash_after(chunks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    commit, left = RunDir.commit, [chunks]

    def dying(rundir: RunDir, segment: Segment) -> None:
        if not left[0]:
            raise Crash
        left[0] -= 1
        commit(rundir, segment)

    monkeypatch.setattr(RunDir, "commit", dying)


@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_rerun_after_a_crash_renders_what_is_missing(
    done: int, job_of: Make, run: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    undisturbed = run(job_of(out="undisturbed"))
    with monkeypatch.context() as patch:
        crash_after(done, patch)
        with pytest.raises(Crash):
            run(job_of())
    assert not (tmp_path / "out/video.mp4").exists()
    kept = {frame for chunk in RunDir(tmp_path / "out").records() for frame in chunk.frames}
    assert len(kept) == 4 * done
    outcome = run(job_of())
    assert run.frames == [frame for frame in range(12) if frame not in kept]
    assert pictures(outcome) == pictures(undisturbed)


def poison(patch: pytest.MonkeyPatch) -> None:
    """The second chunk fails on every worker."""
    render = Worker.render

    def poisoned(worker: Worker, chunk: Chunk) -> Segment:
        if chunk.start == 4:
            raise VideoError("the encoder is out of memory")
        return render(worker, chunk)

    patch.setattr(Worker, "render", poisoned)


def test_chunks_that_fail_for_good_fail_the_job_and_are_told(
    job_of: Make, run: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        poison(patch)
        with pytest.raises(FarmError, match=r"frames 4-7: 3 attempts; .* the encoder is out of memory"):
            run(job_of())
    assert not (tmp_path / "out/video.mp4").exists()
    assert not json.loads((tmp_path / "out/report.json").read_text())["complete"]
    assert film_indices(run(job_of())) == list(range(12))
    assert run.frames == [4, 5, 6, 7]


def test_a_failed_job_gives_a_film_with_gaps_on_request(
    job_of: Make, watcher: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gaps = tmp_path / "out/video.gaps.mp4"
    with monkeypatch.context() as patch:
        poison(patch)
        with pytest.raises(FarmError, match=r"the film with its missing frames marked: .*video\.gaps\.mp4"):
            run_job(job_of(), LocalFarm, watcher, allow_gaps=True)
    pictures = list(decode(gaps))
    assert [read_index(pixels) for pixels in pictures[:4] + pictures[8:]] == [*range(4), *range(8, 12)]
    for index in range(4, 8):
        assert np.abs(pictures[index].astype(int) - marked(index, 128, 72)).mean() < 8
    told = probe(gaps).metadata
    assert told["comment"] == "frames are missing in this film: 000004-000008"
    assert "render-digest" not in told, "nobody takes it for the film"
    outcome = run_job(job_of(), LocalFarm, watcher, allow_gaps=True)
    assert (outcome.rendered, film_indices(outcome)) == (4, list(range(12)))
    assert not gaps.exists(), "there is a whole one now"


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("steps=21", "steps: 20 -> 21"),
        ("frames=13", "frames: 12 -> 13"),
        ("keyframes[0].prompt=b", "keyframes[0].prompt: a -> b"),
        ("output.crf=30", "video.crf: 18 -> 30"),
        ("farm.chunk=6", "settings.chunk: 4 -> 6"),
        ("size=64x64", "settings.width: 128 -> 64"),
    ],
)
def test_another_plan_in_the_same_directory_is_refused(
    assignment: str, told: str, job_of: Make, run: Runner, tmp_path: Path
) -> None:
    run(job_of())
    plan = (tmp_path / "out/plan.json").read_bytes()
    with pytest.raises(RunDirError) as caught:
        run(job_of(assignment))
    assert f"holds another plan ({told}" in str(caught.value)
    assert "--set output.dir=" in str(caught.value)
    assert f"render clean --film-too {tmp_path / 'out'}" in str(caught.value)
    assert (tmp_path / "out/plan.json").read_bytes() == plan
    RunDir(tmp_path / "out").clean(keep_film=False)
    assert run(job_of(assignment)).rendered >= 12, "the way out leads out"


def test_another_model_in_the_same_directory_is_refused(
    job_of: Make, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even of a complete job, for which no worker has to load it."""
    run(job_of())
    found = planning.machine_and_model

    def other(spec: JobSpec, tell: Callable[[str], None], *, trust: bool) -> tuple[Machine, ModelInfo]:
        machine, model = found(spec.model_copy(update={"model": "testcard"}), tell, trust=trust)
        return machine, replace(model, fingerprint="e" * 64)

    monkeypatch.setattr(planning, "machine_and_model", other)
    with pytest.raises(RunDirError, match=r"model: testcard -> org/name; model.fingerprint: testcard-1 -> eee"):
        run(job_of("model=org/name"))


@pytest.mark.parametrize(
    "assignment",
    ["farm.workers=2", "farm.attempts=1", "farm.deadline=1h", "model=testcard:1ms", "name=other"],
)
def test_what_changes_no_pixel_may_change(assignment: str, job_of: Make, run: Runner) -> None:
    digest = run(job_of()).plan.digest
    outcome = run(job_of(assignment))
    assert (outcome.rendered, outcome.plan.digest) == (0, digest)


def test_frames_makes_stills_and_no_film(job_of: Make, run: Runner, tmp_path: Path) -> None:
    outcome = run(job_of(), "1,4-10x3")
    assert still_indices(outcome.stills) == {"000001.png": 1, "000004.png": 4, "000007.png": 7, "000010.png": 10}
    assert (outcome.film, outcome.report, outcome.rendered) == (None, None, 4)
    assert not (tmp_path / "out/video.mp4").exists()
    assert list((tmp_path / "out/segments").iterdir()) == []
    assert run(job_of(), "1,4-10x3").rendered == 0
    film = run(job_of())
    assert film.plan.digest == outcome.plan.digest
    assert film_indices(film) == list(range(12))


def test_no_frames_are_not_all_frames(job_of: Make, run: Runner, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="--frames : column 1: '' is not a range"):
        run(job_of(), "")
    assert (run.farms, (tmp_path / "out").exists()) == (0, False)


def test_a_selection_that_is_a_chunk_counts_for_the_film(job_of: Make, run: Runner) -> None:
    run(job_of(), "4-7")
    assert film_indices(run(job_of())) == list(range(12))
    assert run.frames == [0, 1, 2, 3, 8, 9, 10, 11]


def test_frames_after_the_film_renders_the_stills(job_of: Make, run: Runner) -> None:
    film = run(job_of()).film
    assert film is not None
    before = film.read_bytes()
    assert list(still_indices(run(job_of(), "0-3").stills).values()) == [0, 1, 2, 3]
    assert film.read_bytes() == before
    assert run(job_of()).rendered == 0


def test_a_wrong_selection_is_refused(job_of: Make, run: Runner) -> None:
    with pytest.raises(SpecError, match="--frames 9-12: column 1: frame 12 is beyond the film"):
        run(job_of(), "9-12")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_every_picture_as_a_still(suffix: str, job_of: Make, run: Runner) -> None:
    outcome = run(job_of(f"output.frames={suffix}"))
    assert still_indices(outcome.stills, suffix) == {f"{index:06}.{suffix}": index for index in range(12)}
    assert film_indices(outcome) == list(range(12))
    assert run(job_of(f"output.frames={suffix}")).rendered == 0


def test_a_lost_still_is_rendered_again(job_of: Make, run: Runner, tmp_path: Path) -> None:
    run(job_of("output.frames=png"))
    (tmp_path / "out/frames/000005.png").unlink()
    outcome = run(job_of("output.frames=png"))
    assert run.frames == [4, 5, 6, 7]
    assert len(still_indices(outcome.stills)) == 12


def test_stills_can_be_asked_for_later(job_of: Make, run: Runner) -> None:
    digest = run(job_of()).plan.digest
    outcome = run(job_of("output.frames=png"))
    assert (outcome.rendered, outcome.plan.digest) == (12, digest)
    assert list(still_indices(outcome.stills).values()) == list(range(12))


@pytest.mark.parametrize("video", ["gif", "webp"])
def test_animations(video: str, job_of: Make, run: Runner, tmp_path: Path) -> None:
    outcome = run(job_of(f"output.video={video}"))
    film = tmp_path / f"out/video.{video}"
    assert outcome.film == film
    before = film.read_bytes()
    assert before[:4] == {"gif": b"GIF8", "webp": b"RIFF"}[video]
    if video == "gif":
        assert probe(film).frames == 12
    assert run(job_of(f"output.video={video}")).rendered == 0
    film.write_bytes(before[:-10])
    assert run(job_of(f"output.video={video}")).rendered == 0
    assert film.read_bytes() == before, "a cut film is made again"


def test_an_animation_of_another_plan_is_not_taken_for_this_one(
    job_of: Make, run: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run(job_of("output.video=gif"))
    (tmp_path / "out/plan.json").unlink()
    old = (tmp_path / "out/video.gif").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("render.farm.reducer.make_film", lambda *_: (_ for _ in ()).throw(Crash))
        with pytest.raises(Crash):
            run(job_of("output.video=gif", "size=64x64"))
    run(job_of("output.video=gif", "size=64x64"))
    assert run.frames == []
    assert (tmp_path / "out/video.gif").read_bytes() != old


def test_a_job_without_a_film(job_of: Make, run: Runner, tmp_path: Path) -> None:
    outcome = run(job_of("output.video=null", "output.frames=png"))
    assert outcome.film is None
    assert len(still_indices(outcome.stills)) == 12
    assert run(job_of("output.video=null", "output.frames=png")).rendered == 0
    assert list((tmp_path / "out").glob("video.*")) == []


def test_an_animation_can_be_had_of_a_finished_film(job_of: Make, run: Runner, tmp_path: Path) -> None:
    run(job_of())
    outcome = run(job_of("output.video=webp"))
    assert (outcome.rendered, outcome.film) == (0, tmp_path / "out/video.webp")


def test_a_second_driver_is_refused(job_of: Make, run: Runner, tmp_path: Path) -> None:
    run(job_of())
    lock = tmp_path / "out/lock"
    code = f"import fcntl, time; f = open({str(lock)!r}, 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); "
    with subprocess.Popen([sys.executable, "-S", "-c", code + "time.sleep(60)"], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(LockedError, match=r"is rendering here; wait for it, stop it, or choose another output.dir"):
            run(job_of())
        other.kill()
        other.wait()
        assert run(job_of()).rendered == 0, "a dead driver's lock falls to the next"


@pytest.mark.parametrize("error", [ModelError, KeyboardInterrupt, AssertionError])
def test_the_farm_is_closed_whatever_happens(error: type[BaseException], job_of: Make, watcher: Any) -> None:
    closed: list[bool] = []

    class Closing(LocalFarm):
        def plan(self, worker: str, spec: JobSpec, before: Plan | None) -> None:
            raise error("no weights")

        def close(self) -> None:
            closed.append(True)

    with pytest.raises(error):
        run_job(job_of(), Closing, watcher)
    assert closed == [True]


@pytest.mark.parametrize(("frames", "shown"), [(1, [0]), (12, list(range(12))), (23, list(range(0, 23, 2)))])
def test_a_preview_shows_the_whole_walk(
    frames: int, shown: list[int], job_of: Make, watcher: Any, tmp_path: Path
) -> None:
    farm, target = CountingFarm(), tmp_path / "new" / "sheet.png"
    assert preview(job_of(f"frames={frames}"), lambda: farm, watcher, target) == len(shown)
    assert sorted(farm.frames) == shown
    sheet = read_still(target)
    assert read_index(sheet[4:76, 4:132]) == 0
    assert [path.name for path in target.parent.iterdir()] == ["sheet.png"]
    assert not (tmp_path / "out").exists()


def test_models_are_described_once(job_of: Make, run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A complete job of the same model asks no worker and starts no farm."""
    run(job_of())
    monkeypatch.setattr(modelfiles, "describe", lambda *_args, **_kwargs: pytest.fail("described again"))
    assert run(job_of()).rendered == 0
