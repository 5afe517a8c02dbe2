"""Measurements -> the content of ``report.json``, and back. Plain data; names that end in ``_s`` are seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from render.bench.case import Case
from render.bench.suite import Ablation
from render.bench.timing import Timing, ratio
from render.errors import SpecError

if TYPE_CHECKING:  # subjects hold engines; a report that is read does not
    from render.bench.candidate import Candidate

__all__ = ["REPORT_VERSION", "causes", "film_entry", "load", "result", "to_json"]

REPORT_VERSION = 1


def result(subject: Candidate, timing: Timing, figures: Mapping[str, float | None]) -> dict[str, Any]:
    """One measured case. ``mfu``: FLOPs of the picture by the measured peak's, a share; ``of_floor``: how near the
    fused floor it is, 1 being there."""
    flops, peak, floor_s = figures["tflop_per_image"], figures["peak_flops_per_s"], figures["floor_s"]
    made = max(subject.pictures_made, 1)
    return {
        "name": str(subject.case),
        "case": asdict(subject.case),
        "pictures": len(subject.frames),
        "seconds_per_image": timing.seconds,
        "rounds_s": list(timing.rounds_s),
        "tflop_per_image": flops,
        "mfu": flops * 1e12 / peak / timing.seconds if flops and peak else None,
        "floor_s": floor_s,
        "of_floor": floor_s / timing.seconds if floor_s else None,
        "stages_s": {stage: seconds / made for stage, seconds in subject.stages_s.items()},
        "start_s": dict(subject.start_s),
        "opening_bytes": subject.opening_bytes,
        "rendering_bytes": subject.rendering_bytes,
    }


def causes(ablations: Sequence[Ablation], rounds: Mapping[Case, Sequence[float]]) -> list[dict[str, Any]]:
    """Each cause of speed: against the rung before, against the first rung, and alone; None where not measured."""
    first = ablations[0].before if ablations else None

    def factor(slow: Case | None, fast: Case | None) -> dict[str, float] | None:
        if slow is None or fast is None or slow not in rounds or fast not in rounds:
            return None
        return asdict(ratio(rounds[slow], rounds[fast]))

    return [
        {
            "cause": rung.cause,
            "after": str(rung.after),
            "seconds_per_image": median(rounds[rung.after]) if rung.after in rounds else None,
            "times": factor(rung.before, rung.after),
            "so_far": factor(first, rung.after),
            "alone": factor(rung.start, rung.apart) if rung.start else factor(rung.before, rung.after),
        }
        for rung in ablations
    ]


def film_entry(name: str, films: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One way of making a film, the median of its rounds; ``best_is_times_as_fast``: ours against it, no starts."""
    middle = sorted(films, key=lambda film: film["film_s"])[(len(films) - 1) // 2]
    factor = None
    if len(films) == len(ours):
        factor = asdict(ratio([film["film_s"] for film in films], [film["film_s"] for film in ours]))
    return {"name": name, **middle, "best_is_times_as_fast": factor}


def to_json(report: Mapping[str, Any]) -> str:
    """The text of ``report.json``."""
    return json.dumps(report, indent=1, allow_nan=False) + "\n"


def load(path: Path) -> dict[str, Any]:
    """A report as written by ``to_json``. Raises SpecError for a file that is none."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        version = report["bench_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpecError(f"{path}: is no report of `render bench`: {error}") from None
    if version != REPORT_VERSION:
        raise SpecError(f"{path}: is a report of version {version}; this program reads {REPORT_VERSION}")
    found: dict[str, Any] = report
    return found
