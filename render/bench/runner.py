"""One benchmark: look at the device, open the cases, measure them in turns, and write down what failed.

A case that fails is an entry of ``failed`` with its reason; everything else goes on. ``on_table`` gets the report after
every table, so that an interrupted benchmark leaves what it has.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, replace

from render.bench.case import Case
from render.bench.films import encoding_s, film_of
from render.bench.harness import Harness, OnStep
from render.bench.image_metrics import compare
from render.bench.options import Options
from render.bench.probes.parts import measure_parts
from render.bench.probes.peak import measure_peak
from render.bench.results import causes, film_entry, new_report, result
from render.bench.roofline import Rooflines
from render.bench.schema import Film, Report
from render.bench.suite import num_steps, suite
from render.engine.memory import release
from render.report import count
from render.video.pixels import Pixels

__all__ = ["BenchRunner"]

ACCURACY_FRAMES = 61  # across a keyframe; with every 4th frame an anchor one full batch of 16 of them


class BenchRunner:
    """One run of ``render bench``."""

    def __init__(
        self, options: Options, on_step: OnStep, on_table: Callable[[Report], None], *, trust: bool = False
    ) -> None:
        """Find or build the model. Raises ModelError."""
        self._began = time.perf_counter()
        self._options, self._on_table = options, on_table
        self._harness = harness = Harness(options, on_step, trust=trust)
        self._suite = suite(options, harness.machine, harness.info.family, harness.info.native_size)
        harness.num_steps = num_steps(self._suite, options)
        self._sample: list[Pixels] = []
        self.report = new_report(options, harness.machine, harness.info, random_weights=harness.random_weights)
        self.report["failed"] = harness.failures.entries
        self._rooflines = Rooflines(harness.folder, self.report["peaks"], harness.failures)

    def run(self) -> Report:
        """Every table in turn."""
        for table in (self._peaks, self._speed, self._accuracy, self._variations, self._parts, self._films):
            table()
            self.report["seconds"] = time.perf_counter() - self._began
            self._on_table(self.report)
        return self.report

    def _peaks(self) -> None:
        """The measured best of the device, in every dtype that a case has."""
        machine, cases = self._harness.machine, [*self._suite.speed, *self._suite.accuracy.values()]
        for dtype in dict.fromkeys(case.dtype for case in cases):
            self._harness.step(f"peak of {machine.device} in {dtype}")
            with self._harness.failures.kept(f"peak in {dtype}"):
                peak = measure_peak(dtype, machine.device, machine.cores)
                self.report["peaks"][dtype] = asdict(peak)

    def _speed(self) -> None:
        """Baselines, ablations and grid, in turns with each other.

        All of them stay open: a ratio is taken within a round, and opening a case anew in every round would load and
        compile it as often. One that does not fit beside the others fails as out of memory; ``--backends``,
        ``--dtypes`` and ``--batches`` choose fewer, and ``--no-baselines`` leaves out four pipelines.
        """
        candidates = self._harness.opened({str(case): case for case in self._suite.speed})
        timings = self._harness.timed(candidates, self._options.rounds)
        self.report["results"] = [
            result(name, candidates[name], timing, self._rooflines) for name, timing in timings.items()
        ]
        rounds = {candidates[name].case: timing.rounds_s for name, timing in timings.items()}
        self.report["causes"] = causes(self._suite.ablations, rounds)
        self._harness.close(candidates)

    def _accuracy(self) -> None:
        """16 bits against float32, and every approximation against exact: cost and error side by side."""
        candidates = self._harness.opened(self._suite.accuracy, "accuracy", ACCURACY_FRAMES)
        pictures: dict[str, list[Pixels]] = {}
        timings = self._harness.timed(candidates, 1, pictures)  # what is compared is what was timed
        self._sample = pictures.get("exact", [])
        for name in pictures:
            against = "float32" if name == "exact" else "exact"
            entry = result(name, candidates[name], timings[name], self._rooflines)
            if name != "float32" and against in pictures:
                distances = compare(pictures[name], pictures[against])
                entry["against"] = against
                entry["psnr_db"], entry["worst_psnr_db"] = distances["psnr_db"], distances["worst_psnr_db"]
                entry["ssim"], entry["structure_distance"] = distances["ssim"], distances["structure_distance"]
                entry["times_as_fast"] = timings[against].seconds / timings[name].seconds
            self.report["accuracy"].append(entry)
        self._harness.close(candidates)

    def _variations(self) -> None:
        """Other sizes, steps, samplers: one after the other, their engines are not needed twice."""
        for case in self._suite.variations:
            candidates = self._harness.opened({_variation(case): case})
            for name, timing in self._harness.timed(candidates, 1).items():
                self.report["variations"].append(result(name, candidates[name], timing, self._rooflines))
            self._harness.close(candidates)

    def _parts(self) -> None:
        """Each part of a picture alone, eager."""
        self._harness.step("parts alone")
        case = replace(self._suite.best, backend="eager")
        with self._harness.failures.kept("parts"):
            plan = self._harness.plan(case)
            seconds = measure_parts(plan, self._harness.folder, trust=self._harness.trust)
            if self._sample:
                seconds["encode"] = encoding_s(plan, self._sample)
            self.report["parts"] = {"case": asdict(case), "seconds": seconds}
        release()

    def _films(self) -> None:
        """End to end, in turns; a film's own start and end included."""
        made: dict[str, list[Film]] = {}
        for _ in range(1 if self._options.quick else 2):
            for case in self._suite.films:
                self._harness.step(f"film: {case}")
                with self._harness.failures.kept(f"film: {case}"):
                    plan = self._harness.plan(case, self._options.frames)
                    film = film_of(case, plan, self._harness.folder, trust=self._harness.trust)
                    made.setdefault(str(case), []).append(film)
                release()
        ours = made.get(str(self._suite.best), [])
        self.report["films"] = [film_entry(name, films, ours) for name, films in made.items()]


def _variation(case: Case) -> str:
    return f"{case.size or 'native size'}, {count(case.steps, 'step')}, {case.sampler}"
