"""One job from spec to film: its plan is made, what is missing is rendered, the film is joined and reported.

Everything it decides rests on the run directory, so the same call after a crash goes on where the last one stopped,
and on a complete job it does nothing. Knows neither workers nor Ray: it asks the driver through its client.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from render.errors import LockedError, RenderError, RunDirError, StoppedError
from render.farm import reducer
from render.farm.client import Client
from render.farm.outputs import report_stands, salvage, write_report
from render.farm.progress import Progress
from render.farm.reducer import valid_records
from render.farm.run_log import OtherPlanError, RunLog
from render.plan import Chunk, Plan, film_name, parse_frames, select
from render.report import count, kept_by_clean
from render.spec import JobFile, JobSpec, Location, dump
from render.store import Event, Record, RunDir, Segment

__all__ = ["JobRun", "Outcome", "commit", "finish", "make_plan", "render_missing", "with_stills"]

MAX_REPAIRS = 3  # rounds of rendering damaged segments again; a disk that damages more often is broken


@dataclass(frozen=True)
class Outcome:
    """What a run leaves: ``rendered`` is 0 for a job that was complete already; locations are None if not wanted."""

    plan: Plan
    rendered: int
    seconds: float
    film: Location | None
    report: Location | None
    stills: Location | None


class JobRun:
    """One run of one job, in a thread of its own. ``job_spec`` is the user's, ``spec`` has what a selection adds."""

    def __init__(self, job: JobFile, client: Client, frames: str | None = None, *, allow_gaps: bool = False) -> None:
        """``frames`` is the text of ``--frames``: stills of those frames, no film."""
        self.job_spec = job.spec
        self.spec = with_stills(job.spec) if frames else job.spec
        self.rundir = RunDir(job.spec.run_dir)
        self.client = client
        self.frames = frames
        self.allow_gaps = allow_gaps
        self.began = time.time()
        self.frames_done = self.frames_total = 0
        self.log = RunLog(self.rundir, self.began)

    def run(self) -> Outcome:
        """Render what is missing, join the film, write the report. Raises RenderError; what was rendered stays."""
        total = self.spec.num_frames
        if self.frames is not None:  # before anything is started or written
            total = sum(map(len, parse_frames(self.frames, total)))
        self.rundir.create()
        with self.rundir.lock():
            self.client.log_into(self.log.append)
            with self.log.ending(), self._stopping():
                plan = make_plan(self, total)
            try:
                with self.log.ending(), self._stopping():
                    return self._go_on(plan)
            except LockedError:
                raise  # the directory is somebody else's now
            except RenderError as error:
                if gaps := self._salvage(plan, error):
                    raise type(error)(f"{error}\n{gaps}") from error
                raise

    def wanted(self, plan: Plan) -> Sequence[Chunk]:
        """The chunks that this run is about: all, or those of the selection."""
        return select(plan, self.frames) if self.frames else plan.chunks

    def begin_with(self, plan: Plan, done: Iterable[Chunk]) -> None:
        """To the watcher: how far the job is when this run begins."""
        self.frames_done, self.frames_total = _count(done), _count(self.wanted(plan))
        self.client.show(Progress(self.frames_done, self.frames_total))

    @contextlib.contextmanager
    def _stopping(self) -> Iterator[None]:
        """Within, whoever is stopped says how far the job has come."""
        try:
            yield
        except StoppedError:
            total = count(self.frames_total, "frame")
            where = f"at {self.frames_done:,} of {total}" if self.frames_total else "before the first frame"
            raise StoppedError(f"stopped {where}; run the same command to go on") from None

    def _go_on(self, plan: Plan) -> Outcome:
        self.client.say("looking at what is done")
        records = valid_records(plan, self.rundir, self.wanted(plan))
        self.begin_with(plan, records)
        if _complete(self, plan, records):
            return self._outcome(plan, 0)
        records, rendered = render_missing(self, plan, records)
        if not self.frames:
            finish(self, plan, records)
        return self._outcome(plan, rendered)

    def _salvage(self, plan: Plan, error: RenderError) -> str:
        """What became of the film with gaps; a selection has neither film nor report."""
        if self.frames:
            return ""
        return salvage(plan, self.rundir, self.log, error, allow_gaps=self.allow_gaps)

    def _outcome(self, plan: Plan, rendered: int) -> Outcome:
        """What stands in the run directory now; of a selection neither film nor report."""
        name = None if self.frames else film_name(plan)
        film = self.rundir.location(name) if name else None
        page = None if self.frames else self.rundir.location("report.html")
        stills = self.rundir.location("frames") if plan.spec.output.frames else None
        return Outcome(plan, rendered, time.time() - self.began, film, page, stills)


def make_plan(run: JobRun, total: int) -> Plan:
    """The plan of the run directory where the spec still means the same, else a fresh one; written down.

    ``total`` frames are wanted; in a directory without a plan it is known that none is done.

    Raises OtherPlanError for a directory of another plan, and what asking a worker raises.
    """
    run.client.say("reading the run directory")
    before = run.rundir.read_plan()
    if before is None:
        run.client.show(Progress(0, total))
    plan = _resolved(run, before)
    if before is not None and plan.digest != before.digest:
        changes = "; ".join(before.differences(plan)[:5])
        raise OtherPlanError(
            f"{run.rundir}: holds another plan ({changes}); give this one a directory of its own "
            f"(--set output.dir=…), or delete the old one (render clean --film-too {run.rundir})"
        )
    stored = replace(plan, spec=run.job_spec)  # stills of a selection are no part of the job
    run.rundir.write("job.yaml", dump(stored.spec).encode())
    run.rundir.write("plan.json", stored.to_json().encode())
    return plan


def _resolved(run: JobRun, before: Plan | None) -> Plan:
    """The spec's plan. Only a worker can resolve a first one, or knows whether another name means the same model."""
    if before is not None and run.spec.model == before.spec.model:
        return before.rerun(run.spec, before.model)
    run.client.say("")
    return run.client.plan(run.spec, before)


def _complete(run: JobRun, plan: Plan, records: Mapping[Chunk, Record]) -> bool:
    """Whether nothing is left to do. Segments that ``render clean`` took away do not count as missing."""
    missing = len(records) < len(run.wanted(plan))
    if run.frames:
        return not missing
    if missing and not kept_by_clean(plan, run.rundir, run.rundir.events()):
        return False
    return reducer.film_stands(plan, run.rundir) and report_stands(plan, run.rundir)


def render_missing(run: JobRun, plan: Plan, records: Mapping[Chunk, Record]) -> tuple[dict[Chunk, Record], int]:
    """Render the chunks without ``records``, then whatever of the rest is damaged, until every segment is whole.

    Returns the records of all wanted chunks, and the number of frames that were rendered for them.
    """
    wanted, rendered = run.wanted(plan), 0
    run.log.write(Event.PLANNED, digest=plan.digest, missing=len(wanted) - len(records), chunks=len(wanted))
    for _ in range(1 + MAX_REPAIRS):
        missing = [chunk for chunk in wanted if chunk not in records]
        if missing:
            run.client.say("")
            run.frames_done = _count(wanted) - _count(missing)
            for segment in run.client.render(plan, missing, run.frames_done):
                commit(segment, run.rundir, run.client, run.log)
                run.frames_done += len(segment.record.chunk.frames)
            rendered += _count(missing)
        run.client.say("checking the segments")
        records = _whole(run, valid_records(plan, run.rundir, wanted))
        if len(records) == len(wanted):
            return records, rendered
    raise RunDirError(f"{run.rundir}: segments are damaged as soon as they are written; check the disk")


def commit(segment: Segment, rundir: RunDir, client: Client, log: RunLog) -> None:
    """Make a segment count, and say so to driver, log and watcher. Raises StoreError."""
    record = segment.record
    rundir.commit(segment)
    client.committed(len(record.chunk.frames), segment.size)
    seconds = round(record.ended - record.began, 3)
    log.write(Event.DONE, worker=record.worker, chunk=record.chunk.name, seconds=seconds)
    for note in record.notes:
        log.write(Event.NOTE, chunk=record.chunk.name, frame=note.frame, kind=note.kind, text=note.text)
        client.watcher.notice(f"frame {note.frame}: {note.text}")


def _whole(run: JobRun, records: dict[Chunk, Record]) -> dict[Chunk, Record]:
    """The records whose segments are whole; those of damaged ones are discarded."""
    damaged = reducer.damaged(run.rundir, records.values())
    for record in damaged:
        run.log.write(Event.DAMAGED, chunk=record.chunk.name)
        run.client.watcher.notice(f"{record.chunk}: the segment on disk is damaged and is rendered again")
        run.rundir.discard(record)
    gone = {record.chunk for record in damaged}
    return {chunk: record for chunk, record in records.items() if chunk not in gone}


def finish(run: JobRun, plan: Plan, records: Mapping[Chunk, Record]) -> None:
    """Film and report, from segments whose sums were checked."""
    if film_name(plan):
        run.client.say("joining the film")
    film = reducer.make_film(plan, run.rundir, records)
    if gaps := reducer.gaps_name(plan):
        run.rundir.remove(gaps)  # there is a whole one now
    name, size = (film.name, film.stat().st_size) if film else (None, 0)
    run.log.write(Event.RUN_FINISHED, digest=plan.digest, frames=plan.spec.num_frames, film=name, bytes=size)
    run.client.say("writing the report")
    write_report(plan, run.rundir, reducer.ordered(plan, records))


def with_stills(spec: JobSpec) -> JobSpec:
    """The spec with every picture kept as a still, PNG unless it says otherwise."""
    return spec.model_copy(update={"output": spec.output.model_copy(update={"frames": spec.output.frames or "png"})})


def _count(chunks: Iterable[Chunk]) -> int:
    return sum(len(chunk.frames) for chunk in chunks)
