"""Frames of a plan -> denoised latents: their inputs through the sampler, by a denoiser.

Knows no backend's kind, no pictures and no memory; how frames are put together into batches is said by who asks.

Shapes: B batch of pictures, C, H, W channels and size of latents.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from render.engine.backends.base import Backend
from render.engine.batching import padded, parts
from render.engine.guidance import Denoiser, StepPlan, denoiser, guided, schedule
from render.engine.inputs import Inputs
from render.engine.sampler.denoise import denoise
from render.engine.sampler.schedulers import make_scheduler
from render.engine.sampler.table import SamplerTable, tabulate
from render.plan import Plan

__all__ = ["FrameSampler", "Walk", "evaluations_of"]

Walk = Callable[[Sequence[int], int], Iterator[Tensor]]
"""(frames, B) -> their latents (B, C, H, W), a batch at a time in that order, the last one padded."""


def evaluations_of(plan: Plan) -> tuple[SamplerTable, tuple[StepPlan, ...]]:
    """The plan's sampler as numbers, and what each of its evaluations computes. Raises EngineError."""
    table = tabulate(make_scheduler(plan.sampler, plan.model.scheduler), plan.spec.steps)
    return table, schedule(plan.settings, table.num_evaluations, guided=plan.guided)


@dataclass(frozen=True)
class FrameSampler:
    """Denoises frames of one plan, whichever denoiser does the work."""

    plan: Plan
    inputs: Inputs
    table: SamplerTable
    steps: tuple[StepPlan, ...]

    @torch.no_grad()
    def latents(self, frames: Sequence[int], denoiser: Denoiser) -> Tensor:
        """Latents (B, C, H, W), float32, of exactly these B frames."""
        states = [self.plan.timeline.state(index) for index in frames]
        latents_BCHW, step_noises_KBCHW = self.inputs.start(states)
        evaluate = guided(denoiser, self.inputs.conditionings(states), self.steps)
        return denoise(evaluate, self.table, latents_BCHW, step_noises_KBCHW)

    def walk(self, backend: Backend) -> Walk:
        """Every frame by itself, by ``backend``."""

        def walk(frames: Sequence[int], batch: int) -> Iterator[Tensor]:
            for part in parts(frames, batch):
                yield self.latents(padded(part, batch), denoiser(backend, self.steps))

        return walk
