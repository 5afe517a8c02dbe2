"""The story of one benchmark: look at the device, open the cases, measure them in turns, and write down what failed.

A case that fails is an entry of ``failed`` with its reason; everything else goes on. ``on_table`` gets the report after
every table, so that an interrupted benchmark leaves what it has.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from render import models as modelfiles
from render.bench.candidate import Candidate, open_subject
from render.bench.case import Case, plan_of
from render.bench.films import encoding_s, film_of
from render.bench.image_metrics import compare
from render.bench.options import Options
from render.bench.probes import architectures
from render.bench.probes.flops import Work, picture_work
from render.bench.probes.parts import measure_parts
from render.bench.probes.peak import measure_peak
from render.bench.results import REPORT_VERSION, causes, film_entry, result
from render.bench.suite import suite
from render.bench.timing import Timing, paired
from render.engine.device import machine
from render.engine.memory import release
from render.errors import EngineError, RenderError
from render.plan import Plan
from render.video.pixels import Pixels

__all__ = ["BenchRunner", "OnStep"]

OnStep = Callable[[int, int, str], None]
"""(steps done, steps in all, what begins now)."""

WALK_FRAMES = 97  # up to the walk's last keyframe: pictures of a film that stands still would approximate themselves
ACCURACY_FRAMES = 61  # across a keyframe; with every 4th frame an anchor one full batch of 16 of them

FAULTS = (RenderError, RuntimeError, ValueError, TypeError, OSError, ImportError, ArithmeticError, LookupError)
"""What breaks one case and not the benchmark. An assertion is a mistake of ours and ends it."""

Report = dict[str, Any]


class BenchRunner:
    """One run of ``render bench``."""

    def __init__(
        self, options: Options, on_step: OnStep, on_table: Callable[[Report], None], *, trust: bool = False
    ) -> None:
        """Find or build the model. Raises ModelError."""
        self._trust = trust
        self._options, self._on_step, self._on_table = options, on_step, on_table
        self._began = time.perf_counter()
        on_step(0, 1, f"model {options.model}")
        self._model = architectures.folder_of(options.model)
        self._folder: Path = modelfiles.find(self._model, download=True, trust=trust)
        self._info = modelfiles.describe(self._model, fingerprint=False, trust=trust)
        self._machine = machine("auto")
        self._suite = suite(options, self._machine, self._info.family, self._info.native_size)
        self._sample: list[Pixels] = []
        self._works: dict[str, tuple[Work, Work]] = {}
        self._steps_done, self._steps = 0, self._count()
        size = options.size or "{}x{}".format(*self._info.native_size)
        self.report: Report = {
            "bench_version": REPORT_VERSION,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "options": asdict(options),
            "machine": asdict(replace(self._machine, versions={})) | {"versions": dict(self._machine.versions)},
            "model": {
                "name": options.model,
                "family": self._info.family,
                "random_weights": options.model in architectures.ARCHITECTURES,
                "size": size,
            },
            **{name: [] for name in ("results", "causes", "accuracy", "variations", "films", "failed")},
            "peaks": {},
            "parts": {},
        }

    def run(self) -> Report:
        """Every table in turn."""
        for table in (self._peaks, self._speed, self._accuracy, self._variations, self._parts, self._films):
            table()
            self.report["seconds"] = time.perf_counter() - self._began
            self._on_table(self.report)
        return self.report

    # -- tables

    def _peaks(self) -> None:
        """The measured best of the device, in every dtype that a case has."""
        cases = [*self._suite.speed, *self._suite.accuracy.values()]
        for dtype in dict.fromkeys(case.dtype for case in cases):
            self._step(f"peak of {self._machine.device} in {dtype}")
            with self._failing(f"peak in {dtype}"):
                peak = measure_peak(dtype, self._machine.device, self._machine.cores)
                self.report["peaks"][dtype] = asdict(peak)

    def _speed(self) -> None:
        """Baselines, ladder and grid, in turns with each other.

        All of them stay open: a ratio is taken within a round, and opening a case anew in every round would load and
        compile it as often. One that does not fit beside the others is told as out of memory; ``--backends``,
        ``--dtypes`` and ``--batches`` choose fewer, and ``--no-baselines`` leaves out four pipelines.
        """
        subjects = self._opened({str(case): case for case in self._suite.speed})
        timings = self._timed(subjects, self._options.rounds)
        self.report["results"] = [
            result(subjects[name], timing, self._figures(subjects[name])) for name, timing in timings.items()
        ]
        rounds = {subjects[name].case: timing.rounds_s for name, timing in timings.items()}
        self.report["causes"] = causes(self._suite.ablations, rounds)
        self._close(subjects)

    def _accuracy(self) -> None:
        """16 bits against float32, and every approximation against exact: cost and error side by side."""
        subjects = self._opened(self._suite.accuracy, "accuracy", ACCURACY_FRAMES)
        pictures: dict[str, list[Pixels]] = {}
        timings = self._timed(subjects, 1, pictures)  # what is compared is what was timed
        self._sample = pictures.get("exact", [])
        for name in pictures:
            against = "float32" if name == "exact" else "exact"
            entry = result(subjects[name], timings[name], self._figures(subjects[name])) | {"name": name}
            if name != "float32" and against in pictures:
                entry |= {"against": against, **compare(pictures[name], pictures[against])}
                entry["times_as_fast"] = timings[against].seconds / timings[name].seconds
            self.report["accuracy"].append(entry)
        self._close(subjects)

    def _variations(self) -> None:
        """Other sizes, steps, samplers: one after the other, their engines are not needed twice."""
        for case in self._suite.variations:
            subjects = self._opened({_variation(case): case})
            for name, timing in self._timed(subjects, 1).items():
                entry = result(subjects[name], timing, self._figures(subjects[name])) | {"name": name}
                self.report["variations"].append(entry)
            self._close(subjects)

    def _parts(self) -> None:
        """Each part of a picture alone, eager."""
        self._step("parts alone")
        case = replace(self._suite.best, backend="eager")
        with self._failing("parts"):
            plan = self._plan(case)
            seconds = measure_parts(plan, self._folder, trust=self._trust)
            if self._sample:
                seconds["encode"] = encoding_s(plan, self._sample)
            self.report["parts"] = {"case": asdict(case), "seconds": seconds}
        release()

    def _films(self) -> None:
        """End to end, in turns; a film's own start and end included."""
        told: dict[str, list[dict[str, Any]]] = {}
        for _ in range(1 if self._options.quick else 2):
            for case in self._suite.films:
                self._step(f"film: {case}")
                with self._failing(f"film: {case}"):
                    plan = self._plan(case, self._options.frames)
                    film = film_of(case, plan, self._folder, trust=self._trust)
                    told.setdefault(str(case), []).append(film | {"case": asdict(case)})
                release()
        ours = told.get(str(self._suite.best), [])
        self.report["films"] = [film_entry(name, films, ours) for name, films in told.items()]

    # -- how

    def _plan(self, case: Case, frames: int = WALK_FRAMES) -> Plan:
        return plan_of(case, frames, self._model, self._machine, self._info)

    def _opened(self, cases: Mapping[str, Case], table: str = "", frames: int | None = None) -> dict[str, Candidate]:
        """Load and warm up; what cannot be is written down.

        Renders the beginning of the walk: as many frames as the largest batch, in whole batches, or ``frames``.
        """
        subjects, most = {}, self._options.batches[-1]
        for name, case in cases.items():
            self._step(f"opening {name}")
            with self._failing(f"{table}: {name}" if table else name, case):
                if case.switches.get("tiny_vae") == "":
                    raise EngineError(f"there is no tiny VAE for the model {case.model}")
                count = frames or -(-most // case.batch) * case.batch
                plan = self._plan(case, max(count, WALK_FRAMES))
                subject = open_subject(case, plan, self._folder, count, trust=self._trust)
                subject.warm_up()
                subjects[name] = subject
        return subjects

    def _timed(
        self, subjects: Mapping[str, Candidate], rounds: int, pictures: dict[str, list[Pixels]] | None = None
    ) -> dict[str, Timing]:
        """Timings of the subjects that lasted; one that breaks on the way is written down.

        ``pictures`` gets what the last round rendered.
        """
        calls = {name: self._guarded(name, subject, pictures) for name, subject in subjects.items()}
        timings = paired(calls, rounds, on_run=lambda name: self._step(name))
        return {name: timing for name, timing in timings.items() if subjects[name].failure is None}

    def _guarded(self, name: str, subject: Candidate, pictures: dict[str, list[Pixels]] | None) -> Callable[[], int]:
        def call() -> int:
            if subject.failure is None:
                with self._failing(name, subject.case) as failures:
                    if pictures is None:
                        return subject.render()
                    pictures[name] = list(subject.pictures())
                    return len(pictures[name])
                subject.failure = failures[0]
            return 1

        return call

    @contextmanager
    def _failing(self, name: str, case: Case | None = None) -> Any:
        """What breaks inside is an entry of ``failed`` and goes no further. Yields the list of reasons."""
        reasons: list[str] = []
        try:
            yield reasons
        except FAULTS as error:
            reasons.append(_reason(error))
            entry = {"name": name, "reason": reasons[0], "case": asdict(case) if case else None}
            if entry not in self.report["failed"]:
                self.report["failed"].append(entry)
            release()

    def _figures(self, subject: Candidate) -> dict[str, float | None]:
        """TFLOP of a picture, and the fused floor in seconds; None for an approximation, whose work is another."""
        peak = self.report["peaks"].get(subject.case.dtype)
        nothing: dict[str, float | None] = {"tflop_per_image": None, "floor_s": None, "peak_flops_per_s": None}
        if subject.case.switches or not peak:
            return nothing
        plan = subject.plan
        key = repr((plan.settings.width, plan.settings.height, plan.spec.steps, plan.spec.sampler, subject.case.dtype))
        key += str(plan.settings.batch)
        with self._failing(f"FLOPs of {subject.case}"):
            if key not in self._works:
                self._works[key] = picture_work(plan, self._folder)
            works = self._works[key]
            floor = sum(work.floor_s(peak["flops_per_s"], peak["bytes_per_s"]) for work in works)
            tflop = sum(work.flops for work in works) / 1e12
            return {"tflop_per_image": tflop, "floor_s": floor, "peak_flops_per_s": peak["flops_per_s"]}
        return nothing

    def _step(self, text: str) -> None:
        self._on_step(self._steps_done, self._steps, text)
        self._steps_done = min(self._steps_done + 1, self._steps - 1)

    def _count(self) -> int:
        """Steps in all, for the time to go; cases that are refused take none of theirs."""
        plan, rounds = self._suite, self._options.rounds
        dtypes = {case.dtype for case in (*plan.speed, *plan.accuracy.values())}
        films = len(plan.films) * (1 if self._options.quick else 2)
        return (
            len(dtypes)
            + len(plan.speed) * (1 + rounds)
            + len(plan.accuracy) * 2
            + len(plan.variations) * 2
            + (films + 1)
        )

    def _close(self, subjects: dict[str, Candidate]) -> None:
        subjects.clear()
        release()


def _variation(case: Case) -> str:
    return f"{case.size or 'native size'}, {case.steps} steps, {case.sampler}"


def _reason(error: BaseException) -> str:
    """The first lines of what broke; of a refused spec without the place in the benchmark's own job."""
    lines: list[str] = str(error).splitlines()[:2] or [type(error).__name__]
    text = "; ".join(re.sub(r"^(bench(:\d+)?|--set \S+(=\[.*?\])?): ", "", line) for line in lines)
    return text if isinstance(error, RenderError) else f"{type(error).__name__}: {text}"
