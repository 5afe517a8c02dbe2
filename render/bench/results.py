"""Measurements -> the content of ``report.json``, and back. Plain data; names that end in ``_s`` are seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from render.bench.case import Case
from render.bench.options import Options
from render.bench.schema import Cause, Film, FilmEntry, Report, Result, Times
from render.bench.suite import Ablation
from render.bench.timing import Timing, ratio
from render.errors import SpecError
from render.models import ModelInfo
from render.plan import Machine

if TYPE_CHECKING:  # candidates hold engines; a report that is read does not
    from render.bench.candidate import Candidate
    from render.bench.roofline import Rooflines

__all__ = ["REPORT_VERSION", "causes", "film_entry", "load", "new_report", "result", "to_json"]

REPORT_VERSION = 1


def new_report(options: Options, machine: Machine, model: ModelInfo, *, random_weights: bool) -> Report:
    """What is known before the first table."""
    return {
        "bench_version": REPORT_VERSION,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": asdict(options),
        "machine": asdict(replace(machine, versions={})) | {"versions": dict(machine.versions)},
        "model": {
            "name": options.model,
            "family": model.family,
            "random_weights": random_weights,
            "size": options.size or "{}x{}".format(*model.native_size),
        },
        "results": [],
        "causes": [],
        "accuracy": [],
        "variations": [],
        "films": [],
        "failed": [],
        "peaks": {},
        "parts": {},
    }


def result(name: str, candidate: Candidate, timing: Timing, rooflines: Rooflines) -> Result:
    """One measured case, beside what its pictures cost at least."""
    work = rooflines.of(candidate)
    flops, peak, floor_s = work.tflop_per_image, work.peak_flops_per_s, work.floor_s
    made = max(candidate.pictures_made, 1)
    return {
        "name": name,
        "case": asdict(candidate.case),
        "pictures": len(candidate.frames),
        "seconds_per_image": timing.seconds,
        "rounds_s": list(timing.rounds_s),
        "tflop_per_image": flops,
        "mfu": flops * 1e12 / peak / timing.seconds if flops and peak else None,
        "floor_s": floor_s,
        "of_floor": floor_s / timing.seconds if floor_s else None,
        "stages_s": {stage: seconds / made for stage, seconds in candidate.stages_s.items()},
        "start_s": dict(candidate.start_s),
        "opening_bytes": candidate.opening_bytes,
        "rendering_bytes": candidate.rendering_bytes,
    }


def causes(ablations: Sequence[Ablation], rounds: Mapping[Case, Sequence[float]]) -> list[Cause]:
    """Each cause of speed: against the case before, against the first one, and alone; None where not measured."""
    first = ablations[0].before if ablations else None

    def factor(slow: Case | None, fast: Case | None) -> Times | None:
        if slow is None or fast is None or slow not in rounds or fast not in rounds:
            return None
        return _times(rounds[slow], rounds[fast])

    return [
        {
            "cause": step.cause,
            "after": str(step.after),
            "seconds_per_image": median(rounds[step.after]) if step.after in rounds else None,
            "times": factor(step.before, step.after),
            "so_far": factor(first, step.after),
            "alone": factor(step.start, step.apart) if step.start else factor(step.before, step.after),
        }
        for step in ablations
    ]


def film_entry(name: str, films: Sequence[Film], ours: Sequence[Film]) -> FilmEntry:
    """One way of making a film, the median of its rounds."""
    middle = sorted(films, key=lambda film: film["film_s"])[(len(films) - 1) // 2]
    times = None
    if len(films) == len(ours):
        times = _times([film["film_s"] for film in films], [film["film_s"] for film in ours])
    return {"name": name, **middle, "best_is_times_as_fast": times}


def _times(slow_s: Sequence[float], fast_s: Sequence[float]) -> Times:
    found = ratio(slow_s, fast_s)
    return {"median": found.median, "least": found.least, "most": found.most}


def to_json(report: Report) -> str:
    """The text of ``report.json``."""
    return json.dumps(report, indent=1, allow_nan=False) + "\n"


def load(path: Path) -> Report:
    """A report as written by ``to_json``. Raises SpecError for a file that is none."""
    try:
        text = path.read_text(encoding="utf-8")
        version = json.loads(text)["bench_version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SpecError(f"{path}: is no report of `render bench`: {error}") from None
    if version != REPORT_VERSION:
        raise SpecError(f"{path}: is a report of version {version}; this program reads {REPORT_VERSION}")
    try:
        return _REPORTS.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SpecError(f"{path}: is no report of `render bench`: {where}: {first['msg']}") from None


_REPORTS = TypeAdapter(Report)
