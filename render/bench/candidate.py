"""One case, opened: a picture source with its plan, and what opening it took."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from render.bench.case import Case
from render.bench.probes.baseline import Baseline
from render.engine.base import Renderer
from render.engine.engine import open_engine
from render.engine.memory import MemoryMeter
from render.plan import Plan, Stopwatch
from render.video.pixels import Pixels

__all__ = ["Candidate", "open_candidate"]


@dataclass
class Candidate:
    """``start_s``: seconds of loading, encoding prompts and compiling. Bytes are peaks above the level before."""

    case: Case
    plan: Plan
    source: Renderer
    frames: range
    start_s: dict[str, float]
    opening_bytes: int
    rendering_bytes: int = 0
    stages_s: dict[str, float] = field(default_factory=dict)
    pictures_made: int = 0
    failure: str | None = None

    def warm_up(self) -> None:
        """One batch, untimed, so that lazy starts and allocations are over; its memory is measured."""
        with MemoryMeter(self.plan.settings.device) as meter:
            list(self.source.pictures(self.frames[: self.plan.settings.batch], Stopwatch()))
        self.rendering_bytes = meter.peak_bytes

    def render(self) -> int:
        """Render all frames, time by stage added up; returns how many."""
        self.pictures()
        return len(self.frames)

    def pictures(self) -> Sequence[Pixels]:
        """Render all frames."""
        watch = Stopwatch()
        made = [picture.pixels for picture in self.source.pictures(self.frames, watch)]
        for stage, seconds in watch.seconds.items():
            self.stages_s[stage] = self.stages_s.get(stage, 0.0) + seconds
        self.pictures_made += len(made)
        return made


def open_candidate(
    case: Case, plan: Plan, folder: Path, frames: int | None = None, *, trust: bool = False
) -> Candidate:
    """Load what ``case`` renders with, to render the first ``frames`` of the plan, by default all of them.

    Raises RenderError, or what torch raises when something breaks.
    """
    watch = Stopwatch()
    make = open_engine if case.renderer == "render" else Baseline
    with MemoryMeter(plan.settings.device) as meter:
        source: Renderer = make(plan, folder, watch, trust=trust)
    return Candidate(case, plan, source, range(frames or plan.spec.num_frames), dict(watch.seconds), meter.peak_bytes)
