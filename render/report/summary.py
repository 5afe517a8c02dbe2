"""Plan + done records + events -> the content of ``report.json``, and from it the page ``report.html``. Pure: no files.

Counts and seconds rest on the done records alone; the events add what no record can tell: runs, failed attempts, lost
workers, warnings. A log that is torn or gone makes the report poorer, never wrong in its sums.

Two clocks meet here: ``began`` and ``ended`` are the worker's, the events' ``time`` is the driver's. Names that end in
``_s`` are seconds, on the page and in the JSON since the first run began (``began``, seconds since 1970).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from render.plan import STAGES, Plan, stage_info
from render.report.runs import Attempt, Run, attempts_of, runs_of, start_s
from render.spec import dump
from render.store import Event, LogEntry, Record

__all__ = ["summarize"]


REPORT_VERSION = 1


def summarize(plan: Plan, records: Sequence[Record], entries: Sequence[LogEntry]) -> dict[str, Any]:
    """The content of ``report.json``: plain data that JSON gives back equal.

    ``records`` in any order, one a chunk; ``entries`` of the log, oldest first. The keys, where the name does not say
    it: ``seconds_per_image`` is one worker's time a frame, ``wall_s`` the sum over the runs without the time between
    them, ``bytes`` those of all segments, ``remarks`` what a reader must know about the whole film.
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
        "wall_s": _s(sum(run.ended - run.began for run in runs)),
        "runs": [_run(run, zero) for run in runs],
        **_seconds(records),
        "workers": _workers(runs),
        "timeline": [_bar(index, record, zero) for index, run in enumerate(runs) for record in run.records],
        **_events(runs, zero, {chunk.name for chunk in done}),
        "notes": [
            asdict(note) | {"chunk": record.chunk.name, "worker": record.worker}
            for record in records
            for note in record.notes
        ],
        "versions": _versions(records),
        "sampler_tables": sorted({record.sampler_table for record in records} - {""}),
        "remarks": [*_approximated(plan), *_different(records), *_unlogged(runs, records)],
    }


def _job(plan: Plan) -> dict[str, Any]:
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


def _film(plan: Plan, runs: list[Run]) -> dict[str, Any]:
    logged = [entry for run in runs for entry in run.entries]
    names = [entry.details.get("film") for entry in logged if entry.event == Event.RUN_FINISHED]
    fps = plan.spec.fps
    return {
        "name": names[-1] if names else None,
        "fps": str(fps),
        "duration_s": _s(plan.spec.num_frames / float(fps.value)),
    }


def _run(run: Run, zero: float) -> dict[str, Any]:
    return {
        "began_s": _s(run.began - zero),
        "ended_s": _s(run.ended - zero),
        "finished": run.finished,
        "frames": sum(len(record.chunk.frames) for record in run.records),
    }


def _events(runs: list[Run], zero: float, done: set[str]) -> dict[str, list[Any]]:
    """What went otherwise than planned, by the log. ``done`` are the names of the rendered chunks."""
    found: dict[str, list[Any]] = {"failures": [], "workers_lost": [], "damaged": [], "warnings": []}
    for index, run in enumerate(runs):
        attempts = attempts_of(run.entries)
        for place, entry in enumerate(run.entries):
            where = {"run": index, "time_s": _s(entry.time - zero), "worker": entry.worker}
            if attempt := attempts.get(place):
                where |= {"chunk": attempt.chunk, "began_s": _s(attempt.began - zero)}
            match entry.event:
                case Event.FAILED:
                    cause, mended = str(entry.details.get("cause")), where["chunk"] in done
                    found["failures"].append(where | {"cause": cause, "mended": mended})
                case Event.OPEN_FAILED | Event.WORKER_LOST | Event.WORKER_RETIRED:
                    found["workers_lost"].append(where | _loss(entry))
                case Event.DAMAGED:
                    found["damaged"].append({"run": index, "time_s": where["time_s"], "chunk": str(entry.chunk)})
                case Event.WARNING if entry.details.get("text") not in found["warnings"]:
                    found["warnings"].append(str(entry.details.get("text")))
    return found


def _loss(entry: LogEntry) -> dict[str, Any]:
    """Why a worker was lost, and whether the cluster took it away."""
    cause = str(entry.details.get("cause"))
    match entry.event:
        case Event.OPEN_FAILED:
            return {"cause": f"could not open the job: {cause}", "preempted": False}
        case Event.WORKER_RETIRED:
            return {"cause": "retired: it failed several chunks", "preempted": False}
    return {"cause": cause, "preempted": bool(entry.details.get("preempted"))}


def _seconds(records: Sequence[Record]) -> dict[str, Any]:
    """Seconds by stage: sums over all workers, means over all frames."""
    sums: dict[str, float] = dict.fromkeys(STAGES, 0.0)
    for record in records:
        for stage, seconds in record.timings_s.items():
            sums[stage] = sums.get(stage, 0.0) + seconds
        sums["rest"] += max(
            0.0, _busy_s(record) - sum(s for stage, s in record.timings_s.items() if stage_info(stage).part == "render")
        )
    frames = sum(len(record.chunk.frames) for record in records)
    parts = ("start", "render")
    start, render = (sum(s for stage, s in sums.items() if stage_info(stage).part == part) for part in parts)
    return {
        "seconds_per_image": {"rendering": _mean(render, frames), "with_start": _mean(start + render, frames)},
        "stages": {
            stage: {"part": stage_info(stage).part, "sum_s": _s(seconds), "mean_s": _mean(seconds, frames)}
            for stage, seconds in sums.items()
        },
    }


def _workers(runs: list[Run]) -> list[dict[str, Any]]:
    """One entry a worker that began a chunk, by name; a name that comes back in a later run is the same entry."""
    work: dict[str, list[list[Record | Attempt]]] = defaultdict(lambda: [[] for _ in runs])
    for index, run in enumerate(runs):
        for record in run.records:
            work[record.worker][index].append(record)
        for attempt in attempts_of(run.entries).values():
            work[attempt.worker][index].append(attempt)
    return [_worker(name, work[name]) for name in sorted(work, key=lambda name: (len(name), name))]


def _worker(name: str, work: list[list[Record | Attempt]]) -> dict[str, Any]:
    """The entry of a worker with its ``work`` by run."""
    records = [piece for of_run in work for piece in of_run if isinstance(piece, Record)]
    attempts = [piece for of_run in work for piece in of_run if isinstance(piece, Attempt)]
    frames, busy = sum(len(record.chunk.frames) for record in records), sum(_busy_s(record) for record in records)
    lost, idle = sum(_busy_s(attempt) for attempt in attempts), sum(_idle_s(of_run) for of_run in work)
    return {
        "name": name,
        "device": "; ".join(dict.fromkeys(record.device for record in records)),
        "chunks": len(records),
        "frames": frames,
        "frames_per_s": _s(frames / busy) if busy else 0.0,
        "start_s": _s(sum(start_s(record) for record in records)),
        "busy_s": _s(busy),
        "failed_s": _s(lost),
        "idle_s": _s(idle),
        "idle_share": _s(idle / (busy + lost + idle)) if busy + lost + idle else 0.0,
    }


def _idle_s(work: Sequence[Record | Attempt]) -> float:
    """Seconds between the first and the last piece of work of one worker in one run in which it had none."""
    if not work:
        return 0.0
    span = max(piece.ended for piece in work) - min(piece.began for piece in work)
    return max(0.0, span - sum(_busy_s(piece) for piece in work))


def _bar(run: int, record: Record, zero: float) -> dict[str, Any]:
    return {
        "run": run,
        "worker": record.worker,
        "chunk": record.chunk.name,
        "began_s": _s(record.began - zero),
        "ended_s": _s(record.ended - zero),
        "start_s": _s(start_s(record)),
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
    return [f"the log tells nothing of {missing:,} of {len(records):,} chunks: retries and losses may be missing here"]


def _frames(records: Sequence[Record]) -> set[int]:
    return {frame for record in records for frame in record.chunk.frames}


def _busy_s(piece: Record | Attempt) -> float:
    return max(0.0, piece.ended - piece.began)


def _mean(seconds: float, frames: int) -> float:
    return _s(seconds / frames) if frames else 0.0


def _s(seconds: float) -> float:
    return round(seconds, 6)
