"""Plan + done records + log -> the content of ``report.json``. Pure: no files.

Counts and seconds rest on the done records alone; the log adds what no record can tell: runs, failed attempts, lost
workers, warnings. A log that is torn or gone makes the report poorer, never wrong in its sums.

Two clocks meet here: a record's ``began`` and ``ended`` are the worker's, a log entry's ``time`` is the driver's.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict

from render.errors import count
from render.plan import STAGES, Plan, stage_info
from render.report.failures import find_problems
from render.report.runs import Run, runs_of, start_s
from render.report.schema import Bar, Film, FrameNote, Job, Report, RunTimes, Seconds
from render.report.workers import busy_s, rounded, worker_times
from render.spec import dump
from render.store import Event, LogEntry, Note, Record

__all__ = ["summarize"]


REPORT_VERSION = 1


def summarize(plan: Plan, records: Sequence[Record], entries: Sequence[LogEntry]) -> Report:
    """The content of ``report.json``; ``schema.py`` says what its values mean.

    ``records`` in any order, one a chunk; ``entries`` of the log, oldest first.
    """
    records = sorted(records, key=lambda record: record.chunk)
    runs = runs_of(plan, records, entries)
    zero = runs[0].began if runs else 0.0
    done = {record.chunk for record in records}
    return {
        "report_version": REPORT_VERSION,
        **_job(plan),
        "film": _film(plan, runs),
        "complete": done.issuperset(plan.chunks),
        "frames": {"total": plan.spec.num_frames, "rendered": len(_frames(records))},
        "chunks": {"total": len(plan.chunks), "rendered": len(done)},
        "bytes": sum(record.bytes for record in records),
        "began": round(zero, 3),
        "wall_s": rounded(sum(run.ended - run.began for run in runs)),
        "runs": [_run(run, zero) for run in runs],
        **_seconds(records),
        "workers": worker_times(runs),
        "timeline": [_bar(index, record, zero) for index, run in enumerate(runs) for record in run.records],
        **find_problems(runs, zero, {chunk.name for chunk in done}),
        "notes": [_note(record, note) for record in records for note in record.notes],
        "versions": _versions(records),
        "sampler_tables": sorted({record.sampler_table for record in records} - {""}),
        "remarks": [*_approximated(plan), *_different(records), *_unlogged(runs, records)],
    }


def _job(plan: Plan) -> Job:
    spec, settings, reasons = plan.spec, asdict(plan.settings), plan.settings.reasons
    del settings["reasons"]
    values = {"size": f"{settings.pop('width')}x{settings.pop('height')}", **settings}
    return {
        "name": spec.name,
        "digest": plan.digest,
        "spec": spec.model_dump(mode="json"),
        "spec_yaml": dump(spec),
        "settings": {name: {"value": value, "reason": reasons.get(name)} for name, value in values.items()},
        "model": {
            "name": spec.model,
            "family": plan.model.family,
            "fingerprint": plan.model.fingerprint,
            "revision": plan.model.revision,
        },
    }


def _film(plan: Plan, runs: list[Run]) -> Film:
    logged = [entry for run in runs for entry in run.entries]
    names = [entry.details.get("film") for entry in logged if entry.event == Event.RUN_FINISHED]
    fps = plan.spec.fps
    return {
        "name": names[-1] if names else None,
        "fps": str(fps),
        "duration_s": rounded(plan.spec.num_frames / float(fps.value)),
    }


def _run(run: Run, zero: float) -> RunTimes:
    return {
        "began_s": rounded(run.began - zero),
        "ended_s": rounded(run.ended - zero),
        "finished": run.finished,
        "frames": sum(len(record.chunk.frames) for record in run.records),
    }


def _seconds(records: Sequence[Record]) -> Seconds:
    """Seconds by stage: sums over all workers, means over all frames."""
    sums: dict[str, float] = dict.fromkeys(STAGES, 0.0)
    for record in records:
        for stage, seconds in record.timings_s.items():
            sums[stage] = sums.get(stage, 0.0) + seconds
        sums["rest"] += max(
            0.0, busy_s(record) - sum(s for stage, s in record.timings_s.items() if stage_info(stage).part == "render")
        )
    frames = sum(len(record.chunk.frames) for record in records)
    parts = ("start", "render")
    start, render = (sum(s for stage, s in sums.items() if stage_info(stage).part == part) for part in parts)
    return {
        "seconds_per_image": {"rendering": _mean(render, frames), "with_start": _mean(start + render, frames)},
        "stages": {
            stage: {"part": stage_info(stage).part, "sum_s": rounded(seconds), "mean_s": _mean(seconds, frames)}
            for stage, seconds in sums.items()
        },
    }


def _bar(run: int, record: Record, zero: float) -> Bar:
    return {
        "run": run,
        "worker": record.worker,
        "chunk": record.chunk.name,
        "began_s": rounded(record.began - zero),
        "ended_s": rounded(record.ended - zero),
        "start_s": rounded(start_s(record)),
    }


def _note(record: Record, note: Note) -> FrameNote:
    return {
        "frame": note.frame,
        "kind": note.kind,
        "text": note.text,
        "chunk": record.chunk.name,
        "worker": record.worker,
    }


def _versions(records: Sequence[Record]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        for package, version in record.versions.items():
            found[package].add(version)
    return {package: sorted(versions) for package, versions in sorted(found.items())}


def _approximated(plan: Plan) -> list[str]:
    """A film that was not computed exactly says so, whoever reads its report later."""
    said = plan.settings.approximations
    return [f"approximated: {', '.join(said)}"] if said else []


def _different(records: Sequence[Record]) -> list[str]:
    """Reasons why frames may differ in their last bits from those of another run of the same plan."""
    several = {f"several versions of {package}": versions for package, versions in _versions(records).items()}
    several["several kinds of device"] = sorted(
        {record.device.rpartition(" on ")[0] or record.device for record in records}
    )
    several["several sampler tables"] = sorted({record.sampler_table[:12] for record in records})
    return [
        f"rendered with {what} ({', '.join(values)}): frames may differ in their last bits"
        for what, values in several.items()
        if len(values) > 1
    ]


def _unlogged(runs: list[Run], records: Sequence[Record]) -> list[str]:
    """What the log is silent about, so that nobody takes its silence for a smooth job."""
    logged = {entry.chunk for run in runs for entry in run.entries if entry.event == Event.DONE}
    missing = sum(record.chunk.name not in logged for record in records)
    if not missing:
        return []
    chunks = count(len(records), "chunk")
    return [f"the log tells nothing of {missing:,} of {chunks}: retries and losses may be missing here"]


def _frames(records: Sequence[Record]) -> set[int]:
    return {frame for record in records for frame in record.chunk.frames}


def _mean(seconds: float, frames: int) -> float:
    return rounded(seconds / frames) if frames else 0.0
