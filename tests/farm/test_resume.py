"""Random plans, orders of arrival, faults on disk and resumes: a job ends with the exact film, or with our error."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from render import models as modelfiles
from render.engine.testcard import read_index
from render.errors import RenderError, RunDirError
from render.farm.job import JobRun
from render.farm.reducer import make_film
from render.farm.worker import Worker
from render.plan import Chunk, Plan, resolve
from render.spec import JobFile, JobSpec, validate
from render.spec.document import parse
from render.store import Record, RunDir, Segment
from render.video.reader import decode
from tests.conftest import CARD, CPU, Collector

Make = Callable[..., Plan]


class KilledError(Exception):
    """The driver is killed here."""


@cache
def worker_of(plan_json: str) -> Worker:
    worker = Worker("w")
    worker.open(plan_json)
    return worker


@cache
def segment_of(plan_json: str, chunk: Chunk) -> Segment:
    """What a worker makes of a chunk: always the same, so it is made once."""
    return worker_of(plan_json).render(chunk)


class Disk:
    """A run directory and what can happen to it. Every fault takes dice, and does nothing where nothing is there."""

    def __init__(self, rundir: RunDir, plan: Plan, stranger: Plan) -> None:
        """``stranger`` is another plan whose chunks have the same names, bounds and nearly the same bytes."""
        self.rundir, self.plan, self.stranger = rundir, plan, stranger
        self.folder = rundir.fetch("")

    def _segments(self) -> list[Path]:
        return sorted((self.folder / "segments").glob("*.mp4"))

    def _records(self) -> list[Path]:
        return sorted((self.folder / "segments").glob("*.json"))

    def corrupt(self, dice: random.Random) -> None:
        path = dice.choice(self._segments())
        data = bytearray(path.read_bytes())
        if data:
            data[int(dice.random() * len(data))] ^= 1 << dice.randrange(8)
        path.write_bytes(data)

    def truncate(self, dice: random.Random) -> None:
        path = dice.choice([*self._segments(), *self._records()])
        path.write_bytes(path.read_bytes()[: int(dice.random() * path.stat().st_size)])

    def lose(self, dice: random.Random) -> None:
        dice.choice([*self._segments(), *self._records()]).unlink()

    def swap(self, dice: random.Random) -> None:
        first, second = dice.choices(self._segments(), k=2)
        one, two = first.read_bytes(), second.read_bytes()
        first.write_bytes(two)
        second.write_bytes(one)

    def swap_records(self, dice: random.Random) -> None:
        first, second = dice.choices(self._records(), k=2)
        one, two = first.read_bytes(), second.read_bytes()
        first.write_bytes(two)
        second.write_bytes(one)

    def stale_segment(self, dice: random.Random) -> None:
        chunk = dice.choice(self.plan.chunks)
        segment = segment_of(self.stranger.to_json(), chunk)
        (self.folder / str(segment.record.file)).write_bytes(segment.data)

    def stale_commit(self, dice: random.Random) -> None:
        self.rundir.commit(segment_of(self.stranger.to_json(), dice.choice(self.plan.chunks)))

    def foreign_record(self, dice: random.Random) -> None:
        record = Record.from_json(dice.choice(self._records()).read_text())
        last = replace(record.chunk, stop=record.chunk.stop + 1)
        change = dice.choice([{"digest": "e" * 64}, {"pictures": record.pictures[1:]}, {"chunk": last}, {"bytes": 0}])
        path = (self.folder / "segments") / f"{dice.choice(self.plan.chunks).name}.json"
        path.write_text(replace(record, **change).to_json())  # type: ignore[arg-type]

    def half_written(self, dice: random.Random) -> None:
        name = dice.choice(self.plan.chunks).name
        ((self.folder / "segments") / f".{name}.mp4.part").write_bytes(b"half")

    def cut_film(self, dice: random.Random) -> None:
        film = self.folder / "video.mp4"
        if film.exists():
            film.write_bytes(film.read_bytes()[: int(dice.random() * film.stat().st_size)])

    def cut_report(self, dice: random.Random) -> None:
        report = self.folder / "report.json"
        if report.exists():
            report.write_bytes(report.read_bytes()[: int(dice.random() * report.stat().st_size)])


FAULTS = [name for name in vars(Disk) if not name.startswith("_")]


class Client:
    """The driver's side by script: chunks in any order, some of them twice, faults between them, killed at any."""

    def __init__(self, disk: Disk, dice: random.Random, faults: Sequence[str], killed_after: int | None) -> None:
        self.watcher = Collector()
        self._disk, self._dice = disk, dice
        self._faults, self._killed_after = list(faults), killed_after

    def log_into(self, _log: object) -> None:
        pass

    def say(self, _doing: str) -> None:
        pass

    def show(self, _progress: object) -> None:
        pass

    def plan(self, spec: JobSpec, _before: Plan | None) -> Plan:
        model = modelfiles.describe("testcard")
        return Plan(spec, resolve(spec, CPU, model), model)

    def committed(self, frames: int, size: int) -> None:
        pass

    def render(self, plan: Plan, chunks: Sequence[Chunk], _done_before: int) -> Iterator[Segment]:
        arriving = [*chunks, *self._dice.sample(list(chunks), self._dice.randrange(1 + len(chunks)))]
        self._dice.shuffle(arriving)
        for count, chunk in enumerate(arriving):
            if count == self._killed_after:
                raise KilledError
            yield segment_of(plan.to_json(), chunk)
            if self._faults and self._dice.random() < 0.5:
                harm(self._disk, self._faults.pop(), self._dice)


def harm(disk: Disk, fault: str, dice: random.Random) -> None:
    with contextlib.suppress(IndexError, FileNotFoundError, KeyError, ValueError, TypeError):  # nothing there to hit
        getattr(disk, fault)(dice)


HARM = st.lists(st.sampled_from(FAULTS), max_size=4)
EPISODES = st.lists(
    st.fixed_dictionaries(
        {
            "before": HARM,
            "during": HARM,
            "killed_after": st.none() | st.integers(0, 5),
        }
    ),
    max_size=4,
)


@pytest.fixture
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for the disk, and no thumbnails: neither has a part in this."""
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)
    monkeypatch.setattr("render.report.thumbnails.decode_thumbnails", lambda _rundir, _records: [])


@pytest.mark.slow
@pytest.mark.usefixtures("_fast")
@settings(max_examples=120)
@given(frames=st.integers(1, 9), chunk=st.integers(1, 4), seed=st.integers(0, 999), episodes=EPISODES, last=HARM)
def test_the_film_is_exact_or_there_is_none(
    frames: int, chunk: int, seed: int, episodes: list[dict[str, Any]], last: list[str]
) -> None:
    with TemporaryDirectory() as folder:
        job = job_of(Path(folder) / "run", frames, chunk)
        # not hypothesis' own dice: the sizes of files vary with the times in them
        disk, dice = None, random.Random(seed)
        for episode in episodes:
            disk = harmed(disk, episode["before"], dice) or disk_of(job)
            client = Client(disk, dice, episode["during"], episode["killed_after"])
            try:
                JobRun(job, client).run()  # type: ignore[arg-type]
            except (RenderError, KilledError):
                continue
            assert shown(disk.rundir) == list(range(frames))
        disk = harmed(disk, last, dice) or disk_of(job)
        JobRun(job, Client(disk, dice, [], None)).run()  # type: ignore[arg-type]
        assert shown(disk.rundir) == list(range(frames)), "whatever happened, a run in peace ends well"
        with contextlib.suppress(RenderError):  # of a film that stood, nobody looks at the segments
            make_film(disk.plan, disk.rundir, shuffled(disk, dice))
        assert shown(disk.rundir) == list(range(frames)), "whatever the order of the records"


def harmed(disk: Disk | None, faults: Sequence[str], dice: random.Random) -> Disk | None:
    """The disk after the faults; before the first run there is none."""
    for fault in faults if disk else ():
        assert disk is not None
        harm(disk, fault, dice)
    return disk


def shuffled(disk: Disk, dice: random.Random) -> dict[Chunk, Record]:
    """The records of the segments that are whole, in any order."""
    found = [(chunk, record) for chunk, record in disk.rundir.records().items() if disk.rundir.intact(record)]
    dice.shuffle(found)
    return dict(found)


def job_of(run_dir: Path, frames: int, chunk: int, steps: int = 20) -> JobFile:
    document = parse(CARD, name="job.yaml")
    settings = (f"frames={frames}", f"farm.chunk={chunk}", f"steps={steps}", "size=64x64", f"output.dir={run_dir}")
    for setting in settings:
        document.override(setting)
    return JobFile(validate(document), document)


def disk_of(job: JobFile) -> Disk:
    """The job's run directory; the stranger is the same job with other steps, whose pictures differ in nothing."""
    from render.plan import resolve

    model = modelfiles.describe("testcard")
    plan, stranger = (
        Plan(spec, resolve(spec, CPU, model), model)
        for spec in (job.spec, job.spec.model_copy(update={"steps": job.spec.steps + 1}))
    )
    return Disk(RunDir(job.spec.run_dir), plan, stranger)


def shown(rundir: RunDir) -> list[int | None]:
    """The frames that the film shows."""
    return [read_index(frame) for frame in decode(rundir.fetch("video.mp4"))]


@pytest.mark.usefixtures("_fast")
def test_a_disk_that_damages_whatever_it_gets_ends_in_an_error(tmp_path: Path) -> None:
    job = job_of(tmp_path / "run", 4, 2)
    disk = disk_of(job)

    class Rotten(Client):
        def committed(self, frames: int, size: int) -> None:
            self._disk.corrupt(self._dice)

    client = Rotten(disk, random.Random(1), [], None)
    with pytest.raises(RunDirError, match="segments are damaged as soon as they are written"):
        JobRun(job, client).run()  # type: ignore[arg-type]
    assert not (disk.folder / "video.mp4").exists()
