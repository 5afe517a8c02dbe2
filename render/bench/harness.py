"""One model on this machine: cases are planned, opened and timed in turns, and what breaks is written down."""

from collections.abc import Callable, Mapping

from render import models
from render.bench.candidate import Candidate, open_candidate
from render.bench.case import Case, plan_of
from render.bench.failures import Failures
from render.bench.options import Options
from render.bench.probes import architectures
from render.bench.timing import Timing, paired
from render.engine.device import machine
from render.engine.memory import release
from render.errors import EngineError
from render.plan import Plan
from render.video.pixels import Pixels

__all__ = ["Harness", "OnStep"]

OnStep = Callable[[int, int, str], None]
"""(steps done, steps in all, what begins now)."""

WALK_FRAMES = 97  # up to the walk's last keyframe: pictures of a film that stands still would approximate themselves


class Harness:
    """The model's ``folder`` and ``info``, whether it has ``trust``, the ``machine``, and the ``failures`` so far."""

    def __init__(self, options: Options, on_step: OnStep, *, trust: bool) -> None:
        """Find or build the model. Raises ModelError."""
        on_step(0, 1, f"model {options.model}")
        self.random_weights = options.model in architectures.ARCHITECTURES
        self._model = architectures.folder_of(options.model)
        models.fetch_model(self._model, lambda text: on_step(0, 1, text), trust=trust)
        self.folder = models.find(self._model, download=False, trust=trust)
        self.info = models.describe(self._model, fingerprint=False, trust=trust)
        self.trust, self.machine = trust, machine("auto")
        self.failures = Failures()
        self.num_steps = 1
        self._on_step, self._steps_done, self._largest_batch = on_step, 0, options.batches[-1]

    def step(self, text: str) -> None:
        """What begins now."""
        self._on_step(self._steps_done, self.num_steps, text)
        self._steps_done = min(self._steps_done + 1, self.num_steps - 1)

    def plan(self, case: Case, frames: int = WALK_FRAMES) -> Plan:
        """The plan of a case. Raises SpecError where this version cannot do it."""
        return plan_of(case, frames, self._model, self.machine, self.info)

    def opened(self, cases: Mapping[str, Case], table: str = "", frames: int | None = None) -> dict[str, Candidate]:
        """Load and warm up; what cannot be is written down.

        Renders the beginning of the walk: as many frames as the largest batch, in whole batches, or ``frames``.
        """
        candidates = {}
        for name, case in cases.items():
            self.step(f"opening {name}")
            with self.failures.kept(f"{table}: {name}" if table else name, case):
                if case.switches.get("tiny_vae") == "":
                    raise EngineError(f"there is no tiny VAE for the model {case.model}")
                count = frames or -(-self._largest_batch // case.batch) * case.batch
                plan = self.plan(case, max(count, WALK_FRAMES))
                candidate = open_candidate(case, plan, self.folder, count, trust=self.trust)
                candidate.warm_up()
                candidates[name] = candidate
        return candidates

    def timed(
        self, candidates: Mapping[str, Candidate], rounds: int, pictures: dict[str, list[Pixels]] | None = None
    ) -> dict[str, Timing]:
        """Timings of the candidates that lasted; one that breaks on the way is written down.

        ``pictures`` gets what the last round rendered.
        """
        calls = {name: self._guarded(name, candidate, pictures) for name, candidate in candidates.items()}
        timings = paired(calls, rounds, on_run=lambda name: self.step(name))
        return {name: timing for name, timing in timings.items() if candidates[name].failure is None}

    def _guarded(self, name: str, candidate: Candidate, pictures: dict[str, list[Pixels]] | None) -> Callable[[], int]:
        def call() -> int:
            if candidate.failure is None:
                with self.failures.kept(name, candidate.case) as failures:
                    if pictures is None:
                        return candidate.render()
                    pictures[name] = list(candidate.pictures())
                    return len(pictures[name])
                candidate.failure = failures[0]
            return 1

        return call

    def close(self, candidates: dict[str, Candidate]) -> None:
        """Let their models go."""
        candidates.clear()
        release()
