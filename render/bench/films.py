"""End to end: a film of a case, from nothing to an encoded file, its start apart from the rest."""

import io
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from render.bench.candidate import open_candidate
from render.bench.case import Case, job_of
from render.bench.schema import Film
from render.farm.local import LocalFarm
from render.farm.progress import Silent
from render.farm.runner import run_job
from render.plan import Plan, Stopwatch
from render.report import Report
from render.store import temporary_folder
from render.video.pixels import Pixels
from render.video.segment import SegmentWriter

__all__ = ["encoding_s", "film_of"]


def film_of(case: Case, plan: Plan, folder: Path, *, trust: bool = False) -> Film:
    """Render and encode a film of the plan's frames. Seconds: ``start_s`` to load and compile, ``film_s`` for the rest
    (for our own: planning, done records, joining, the report as well), and its stages. Raises what either raises."""
    render = _ours if case.renderer == "render" else _theirs
    return render(case, plan, folder, trust=trust)


def _ours(case: Case, plan: Plan, folder: Path, *, trust: bool) -> Film:
    """The whole of ``render run --local``, its figures out of the job's own report."""
    frames = plan.spec.num_frames
    with temporary_folder("bench") as out:
        job = job_of(
            case,
            frames,
            str(folder) if case.model != "demo" else "demo",
            f"output.dir={json.dumps(out)}",
            f"engine.device={plan.settings.device}",
        )
        began = time.perf_counter()
        run_job(job, lambda: LocalFarm(trust=trust), Silent())
        seconds = time.perf_counter() - began
        report: Report = json.loads((Path(out) / "report.json").read_text(encoding="utf-8"))
    stages = report["stages"]
    start_s = sum(stage["sum_s"] for stage in stages.values() if stage["part"] == "start")
    idle = sum(worker["idle_s"] for worker in report["workers"])
    busy = sum(worker["busy_s"] for worker in report["workers"])
    return {
        "start_s": start_s,
        "film_s": seconds - start_s,
        "idle_share": idle / (idle + busy) if idle + busy else 0.0,
        "stages_s": {name: stage["sum_s"] for name, stage in stages.items() if stage["part"] != "start"},
        "frames": frames,
        "frames_per_s": frames / (seconds - start_s),
        "case": asdict(case),
    }


def _theirs(case: Case, plan: Plan, folder: Path, *, trust: bool) -> Film:
    """diffusers' pipeline and the same encoder, one after the other as the scripts do it."""
    began = time.perf_counter()
    candidate, watch = open_candidate(case, plan, folder, trust=trust), Stopwatch()
    opened = time.perf_counter()
    with SegmentWriter(io.BytesIO(), plan.video) as writer:
        for picture in candidate.source.pictures(candidate.frames, watch):
            with watch("encode"):
                writer.write(picture.pixels)
    film_s = time.perf_counter() - opened
    return {
        "start_s": opened - began,
        "film_s": film_s,
        "idle_share": None,
        "stages_s": watch.seconds,
        "frames": plan.spec.num_frames,
        "frames_per_s": plan.spec.num_frames / film_s,
        "case": asdict(case),
    }


def encoding_s(plan: Plan, pictures: Sequence[Pixels]) -> float:
    """Seconds a picture of encoding ``pictures`` as a segment."""
    began = time.perf_counter()
    with SegmentWriter(io.BytesIO(), plan.video) as writer:
        for picture in pictures:
            writer.write(picture)
    return (time.perf_counter() - began) / len(pictures)
