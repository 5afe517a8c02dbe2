"""The story of one job: load -> plan -> dispatch -> reduce -> report.

Everything it decides rests on the run directory, so the same call after a crash goes on where the last one stopped,
and on a complete job it does nothing.
"""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from render.errors import LockedError, RenderError, RunDirError, StoppedError, StoreError, message_of
from render.farm import reducer as reduce
from render.farm.client import Client
from render.farm.reducer import gaps_name, make_film_with_gaps
from render.plan import Chunk, Plan, film_name, parse_frames, resolve, select
from render.report import decode_thumbnails, summarize, to_html
from render.spec import JobFile, JobSpec, Location, dump
from render.store import Event, Record, RunDir, Segment

__all__ = ["JobRun", "Outcome", "render_chunks", "with_stills"]


MAX_REPAIRS = 3  # rounds of rendering damaged segments again; a disk that damages more often is broken


class _OtherPlanError(RunDirError):
    """The run directory belongs to another plan."""


@dataclass(frozen=True)
class Outcome:
    """What a story leaves: ``rendered`` is 0 for a job that was complete already; places are None if not wanted."""

    plan: Plan
    rendered: int
    seconds: float
    film: Location | None
    report: Location | None
    stills: Location | None


class JobRun:
    """One job from spec to film, told in a thread of its own."""

    def __init__(self, job: JobFile, client: Client, frames: str | None = None, *, allow_gaps: bool = False) -> None:
        """``frames`` is the text of ``--frames``: stills of those frames, no film."""
        self.job_spec = job.spec
        self.spec = with_stills(job.spec) if frames else job.spec
        self.rundir = RunDir(job.spec.run_dir)
        self.client = client
        self.watcher = client.watcher
        self.frames = frames
        self.allow_gaps = allow_gaps
        self.began = time.time()
        self.plan: Plan | None = None
        self.rendered = 0
        self.logged = False

    def run(self) -> Outcome:
        """Render what is missing, join the film, write the report. Raises RenderError; what was rendered stays."""
        if self.frames:
            parse_frames(self.frames, self.spec.num_frames)  # before anything is started or written
        self.rundir.create()
        with self.rundir.lock():
            self.client.log_into(lambda line: self._log(line.event, time=line.time, **line.details))
            try:
                return self._tell()
            except (LockedError, _OtherPlanError):
                raise  # the directory is somebody else's: nothing of this run belongs there
            except RenderError as error:
                if told := self._record_failure(error):
                    raise type(error)(f"{error}\n{told}") from error
                raise
            except Exception as error:
                with contextlib.suppress(RenderError):
                    self._log(
                        Event.RUN_FAILED, cause=message_of(error), details="".join(traceback.format_exception(error))
                    )
                raise

    def _tell(self) -> Outcome:
        self.plan = plan = self._plan()
        wanted = select(plan, self.frames) if self.frames else plan.chunks
        records = self._wanted(plan, wanted)
        missing = [chunk for chunk in wanted if chunk not in records]
        if self._complete(plan, missing):
            return self._outcome(plan)
        self._log(Event.PLANNED, digest=plan.digest, missing=len(missing), chunks=len(wanted))
        records = self._render(plan, wanted, missing)
        if not self.frames:
            self._finish(plan, records)
        return self._outcome(plan)

    def _log(self, event: Event, **details: Any) -> None:
        """Into the run's log, which begins with its first line: a run with nothing to do or to tell has none."""
        if not self.logged:
            self.logged = True
            # began when the command did: starting Ray and fetching the model are part of the job's time
            self.rundir.log(Event.RUN_STARTED, time=self.began)
        self.rundir.log(event, **details)

    def _record_failure(self, error: RenderError) -> str:
        """Log how the story ends, report what is done, and make the film with gaps where it is asked for.

        Returns what became of that film, if anything. Nothing that fails here may hide the error itself.
        """
        stopped = isinstance(error, StoppedError)
        cause, _, details = str(error).partition("\n")
        with contextlib.suppress(RenderError):
            self._log(Event.RUN_STOPPED if stopped else Event.RUN_FAILED, cause=cause, details=details)
        if self.plan is None or self.frames:
            return ""
        if not isinstance(error, StoreError):  # a place that refuses takes no report either
            with contextlib.suppress(RenderError):  # a damaged segment has no thumbnail, and is not what to tell now
                records = self._wanted(self.plan, self.plan.chunks)
                self._report(self.plan, [records[chunk] for chunk in self.plan.chunks if chunk in records])
        if stopped or not self.allow_gaps:
            return ""
        try:
            return self._with_gaps(self.plan)
        except RenderError as another:
            return f"no film with gaps: {another}"

    def _outcome(self, plan: Plan) -> Outcome:
        """What stands in the run directory now; of a selection neither film nor report."""
        name = None if self.frames else film_name(plan)
        film = self.rundir.place(name) if name else None
        page = None if self.frames else self.rundir.place("report.html")
        stills = self.rundir.place("frames") if plan.spec.output.frames else None
        return Outcome(plan, self.rendered, time.time() - self.began, film, page, stills)

    def _plan(self) -> Plan:
        """The plan of the run directory where the spec still means the same, else a fresh one."""
        before = self.rundir.read_plan()
        if before is None:
            plan = self._first_plan()
        else:
            plan = self._again(before)
            if plan.digest != before.digest:
                changes = "; ".join(before.differences(plan)[:5])
                raise _OtherPlanError(
                    f"{self.rundir}: holds another plan ({changes}); give this one a directory of its own "
                    f"(--set output.dir=…), or delete the old one (render clean --film-too {self.rundir})"
                )
        stored = replace(plan, spec=self.job_spec)  # stills of a selection are no part of the job
        self.rundir.write("job.yaml", dump(stored.spec).encode())
        self.rundir.write("plan.json", stored.to_json().encode())
        return plan

    def _first_plan(self) -> Plan:
        """A plan with every ``auto`` resolved by what the first worker says, and measures where the batch is open."""
        spec, described = self.spec, self.client.describe(self.spec)
        machine, model = described.machine, described.model
        plan = Plan(spec, resolve(spec, machine, model), model)
        if spec.engine.batch != "auto" or model.family == "testcard":
            return plan
        self.watcher.notice("measuring how many pictures at a time keep the device busy")
        return replace(plan, settings=resolve(spec, machine, model, self.client.measure(plan)))

    def _again(self, before: Plan) -> Plan:
        """The plan of a rerun. Another name may mean the same model's files; only a worker can tell."""
        model = before.model
        if self.spec.model != before.spec.model:
            model = self.client.describe(self.spec).model
        return before.rerun(self.spec, model)

    def _wanted(self, plan: Plan, wanted: Iterable[Chunk]) -> dict[Chunk, Record]:
        """The records of the wanted chunks that count for this plan and hold the stills it asks for."""
        found, suffix = self.rundir.records(), plan.spec.output.frames
        counts = {chunk: record for chunk, record in found.items() if record.digest == plan.digest}
        if suffix is not None:
            counts = {chunk: record for chunk, record in counts.items() if record.stills == suffix}
        return {chunk: counts[chunk] for chunk in wanted if chunk in counts}

    def _complete(self, plan: Plan, missing: list[Chunk]) -> bool:
        """Whether nothing is left to do. Segments that ``render clean`` took away do not count as missing."""
        if self.frames:
            return not missing
        if missing and (plan.spec.output.frames or not film_name(plan) or not self.rundir.cleaned()):
            return False
        return reduce.film_stands(plan, self.rundir) and self._report_stands(plan)

    def _report_stands(self, plan: Plan) -> bool:
        """Whether the report is that of the whole film: one of a failed run, or of before a crash, is not."""
        try:
            told = json.loads(self.rundir.read_text("report.json") or "{}")
        except ValueError:
            return False
        return (
            bool(told.get("complete"))
            and told.get("digest") == plan.digest
            and self.rundir.size("report.html") is not None
        )

    def _render(self, plan: Plan, wanted: Sequence[Chunk], missing: list[Chunk]) -> dict[Chunk, Record]:
        """Render ``missing``, then whatever of the rest turns out to be damaged, until every segment is whole."""
        for _ in range(1 + MAX_REPAIRS):
            if missing:
                done_before = _count(wanted) - _count(missing)
                self.rendered += render_chunks(self.client, plan, missing, self.rundir, done_before)
            records = self._wanted(plan, wanted)
            damaged = reduce.damaged(self.rundir, records.values())
            if not damaged and len(records) == len(wanted):
                return records
            for record in damaged:
                self._log(Event.DAMAGED, chunk=record.chunk.name)
                self.watcher.notice(f"{record.chunk}: the segment on disk is damaged and is rendered again")
                self.rundir.discard(record)
            whole = records.keys() - {record.chunk for record in damaged}
            missing = [chunk for chunk in wanted if chunk not in whole]
        raise RunDirError(f"{self.rundir}: segments are damaged as soon as they are written; check the disk")

    def _with_gaps(self, plan: Plan) -> str:
        """Make the film with gaps of the chunks that are whole; what became of it, in a line."""
        records = self._wanted(plan, plan.chunks)
        damaged = reduce.damaged(self.rundir, records.values())
        whole = {chunk: record for chunk, record in records.items() if record not in damaged}
        name = make_film_with_gaps(plan, self.rundir, whole)
        if name is None:
            return "no film with gaps: no chunk is done, or the job wants no film"
        self._log(Event.FILM_WITH_GAPS, film=name, missing=len(plan.chunks) - len(whole))
        return f"the film with its missing frames marked: {self.rundir.place(name)}"

    def _finish(self, plan: Plan, records: Mapping[Chunk, Record]) -> None:
        """Film and report, from segments whose sums were checked."""
        film = reduce.make_film(plan, self.rundir, records)
        if gaps := gaps_name(plan):
            self.rundir.remove(gaps)  # there is a whole one now
        name, size = (film.name, film.stat().st_size) if film else (None, 0)
        self._log(Event.RUN_FINISHED, digest=plan.digest, frames=plan.spec.num_frames, film=name, bytes=size)
        self._report(plan, reduce.ordered(plan, records))

    def _report(self, plan: Plan, records: list[Record]) -> None:
        """Write ``report.json`` and ``report.html`` of the chunks that are done, in order."""
        summary = summarize(plan, records, self.rundir.events())
        self.rundir.write("report.json", json.dumps(summary, indent=1).encode())
        html = to_html(summary, decode_thumbnails(self.rundir, records))
        self.rundir.write("report.html", html.encode())


def render_chunks(client: Client, plan: Plan, chunks: Sequence[Chunk], rundir: RunDir, done_before: int) -> int:
    """Have ``chunks`` rendered and commit each; returns the number of their frames when all count.

    ``done_before`` are the frames of earlier runs. Raises FarmError, StoppedError, StoreError.
    """
    for segment in client.render(plan, chunks, done_before):
        _commit(segment, rundir, client)
    return _count(chunks)


def _commit(segment: Segment, rundir: RunDir, client: Client) -> None:
    record = segment.record
    rundir.commit(segment)
    client.committed(len(record.chunk.frames), segment.size)
    seconds = round(record.ended - record.began, 3)
    rundir.log(Event.DONE, worker=record.worker, chunk=record.chunk.name, seconds=seconds)
    for note in record.notes:
        rundir.log(Event.NOTE, chunk=record.chunk.name, frame=note.frame, kind=note.kind, text=note.text)
        client.watcher.notice(f"frame {note.frame}: {note.text}")


def with_stills(spec: JobSpec) -> JobSpec:
    """The spec with every picture kept as a still, PNG unless it says otherwise."""
    return spec.model_copy(update={"output": spec.output.model_copy(update={"frames": spec.output.frames or "png"})})


def _count(chunks: Iterable[Chunk]) -> int:
    return sum(len(chunk.frames) for chunk in chunks)
