"""One benchmark: look at the device, open the cases, measure them in turns, and write down what failed.

A case that fails is an entry of ``failed`` with its reason; everything else goes on. ``on_table`` gets the report after
every table, so that an interrupted benchmark leaves what it has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace

from render import models as modelfiles
from render.bench.candidate import Candidate, open_candidate
from render.bench.case import Case, plan_of
from render.bench.failures import Failures
from render.bench.films import encoding_s, film_of
from render.bench.image_metrics import compare
from render.bench.options import Options
from render.bench.probes import architectures
from render.bench.probes.parts import measure_parts
from render.bench.probes.peak import measure_peak
from render.bench.results import causes, film_entry, new_report, result
from render.bench.roofline import Rooflines
from render.bench.schema import Film, Report, Result
from render.bench.suite import num_steps, suite
from render.bench.timing import Timing, paired
from render.engine.device import machine
from render.engine.memory import release
from render.errors import EngineError
from render.plan import Plan
from render.video.pixels import Pixels

__all__ = ["BenchRunner", "OnStep"]

OnStep = Callable[[int, int, str], None]
"""(steps done, steps in all, what begins now)."""

WALK_FRAMES = 97  # up to the walk's last keyframe: pictures of a film that stands still would approximate themselves
ACCURACY_FRAMES = 61  # across a keyframe; with every 4th frame an anchor one full batch of 16 of them


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
        self._folder = modelfiles.find(self._model, download=True, trust=trust)
        self._info = modelfiles.describe(self._model, fingerprint=False, trust=trust)
        self._machine = machine("auto")
        self._suite = suite(options, self._machine, self._info.family, self._info.native_size)
        self._sample: list[Pixels] = []
        self._failures = Failures()
        self._steps_done, self._steps = 0, num_steps(self._suite, options)
        random = options.model in architectures.ARCHITECTURES
        self.report = new_report(options, self._machine, self._info, random_weights=random)
        self.report["failed"] = self._failures.entries
        self._rooflines = Rooflines(self._folder, self.report["peaks"], self._failures)

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
            with self._failures.kept(f"peak in {dtype}"):
                peak = measure_peak(dtype, self._machine.device, self._machine.cores)
                self.report["peaks"][dtype] = asdict(peak)

    def _speed(self) -> None:
        """Baselines, ablations and grid, in turns with each other.

        All of them stay open: a ratio is taken within a round, and opening a case anew in every round would load and
        compile it as often. One that does not fit beside the others fails as out of memory; ``--backends``,
        ``--dtypes`` and ``--batches`` choose fewer, and ``--no-baselines`` leaves out four pipelines.
        """
        candidates = self._opened({str(case): case for case in self._suite.speed})
        timings = self._timed(candidates, self._options.rounds)
        self.report["results"] = [self._result(name, candidates[name], timing) for name, timing in timings.items()]
        rounds = {candidates[name].case: timing.rounds_s for name, timing in timings.items()}
        self.report["causes"] = causes(self._suite.ablations, rounds)
        self._close(candidates)

    def _accuracy(self) -> None:
        """16 bits against float32, and every approximation against exact: cost and error side by side."""
        candidates = self._opened(self._suite.accuracy, "accuracy", ACCURACY_FRAMES)
        pictures: dict[str, list[Pixels]] = {}
        timings = self._timed(candidates, 1, pictures)  # what is compared is what was timed
        self._sample = pictures.get("exact", [])
        for name in pictures:
            against = "float32" if name == "exact" else "exact"
            entry = self._result(name, candidates[name], timings[name])
            if name != "float32" and against in pictures:
                distances = compare(pictures[name], pictures[against])
                entry["against"] = against
                entry["psnr_db"], entry["worst_psnr_db"] = distances["psnr_db"], distances["worst_psnr_db"]
                entry["ssim"], entry["structure_distance"] = distances["ssim"], distances["structure_distance"]
                entry["times_as_fast"] = timings[against].seconds / timings[name].seconds
            self.report["accuracy"].append(entry)
        self._close(candidates)

    def _variations(self) -> None:
        """Other sizes, steps, samplers: one after the other, their engines are not needed twice."""
        for case in self._suite.variations:
            candidates = self._opened({_variation(case): case})
            for name, timing in self._timed(candidates, 1).items():
                self.report["variations"].append(self._result(name, candidates[name], timing))
            self._close(candidates)

    def _parts(self) -> None:
        """Each part of a picture alone, eager."""
        self._step("parts alone")
        case = replace(self._suite.best, backend="eager")
        with self._failures.kept("parts"):
            plan = self._plan(case)
            seconds = measure_parts(plan, self._folder, trust=self._trust)
            if self._sample:
                seconds["encode"] = encoding_s(plan, self._sample)
            self.report["parts"] = {"case": asdict(case), "seconds": seconds}
        release()

    def _films(self) -> None:
        """End to end, in turns; a film's own start and end included."""
        made: dict[str, list[Film]] = {}
        for _ in range(1 if self._options.quick else 2):
            for case in self._suite.films:
                self._step(f"film: {case}")
                with self._failures.kept(f"film: {case}"):
                    plan = self._plan(case, self._options.frames)
                    film = film_of(case, plan, self._folder, trust=self._trust)
                    made.setdefault(str(case), []).append(film)
                release()
        ours = made.get(str(self._suite.best), [])
        self.report["films"] = [film_entry(name, films, ours) for name, films in made.items()]

    # -- how

    def _plan(self, case: Case, frames: int = WALK_FRAMES) -> Plan:
        return plan_of(case, frames, self._model, self._machine, self._info)

    def _opened(self, cases: Mapping[str, Case], table: str = "", frames: int | None = None) -> dict[str, Candidate]:
        """Load and warm up; what cannot be is written down.

        Renders the beginning of the walk: as many frames as the largest batch, in whole batches, or ``frames``.
        """
        candidates, most = {}, self._options.batches[-1]
        for name, case in cases.items():
            self._step(f"opening {name}")
            with self._failures.kept(f"{table}: {name}" if table else name, case):
                if case.switches.get("tiny_vae") == "":
                    raise EngineError(f"there is no tiny VAE for the model {case.model}")
                count = frames or -(-most // case.batch) * case.batch
                plan = self._plan(case, max(count, WALK_FRAMES))
                candidate = open_candidate(case, plan, self._folder, count, trust=self._trust)
                candidate.warm_up()
                candidates[name] = candidate
        return candidates

    def _timed(
        self, candidates: Mapping[str, Candidate], rounds: int, pictures: dict[str, list[Pixels]] | None = None
    ) -> dict[str, Timing]:
        """Timings of the candidates that lasted; one that breaks on the way is written down.

        ``pictures`` gets what the last round rendered.
        """
        calls = {name: self._guarded(name, candidate, pictures) for name, candidate in candidates.items()}
        timings = paired(calls, rounds, on_run=lambda name: self._step(name))
        return {name: timing for name, timing in timings.items() if candidates[name].failure is None}

    def _guarded(self, name: str, candidate: Candidate, pictures: dict[str, list[Pixels]] | None) -> Callable[[], int]:
        def call() -> int:
            if candidate.failure is None:
                with self._failures.kept(name, candidate.case) as failures:
                    if pictures is None:
                        return candidate.render()
                    pictures[name] = list(candidate.pictures())
                    return len(pictures[name])
                candidate.failure = failures[0]
            return 1

        return call

    def _result(self, name: str, candidate: Candidate, timing: Timing) -> Result:
        return result(name, candidate, timing, self._rooflines.of(candidate))

    def _step(self, text: str) -> None:
        self._on_step(self._steps_done, self._steps, text)
        self._steps_done = min(self._steps_done + 1, self._steps - 1)

    def _close(self, candidates: dict[str, Candidate]) -> None:
        candidates.clear()
        release()


def _variation(case: Case) -> str:
    return f"{case.size or 'native size'}, {case.steps} steps, {case.sampler}"
