"""One evaluation of a sampler: guidance around a denoiser, and which of its evaluations may be cheap.

A denoiser gets latents and conditioning of one batch and returns the model's output; how, exactly or with features kept
from an earlier evaluation, is its own matter. Guidance calls it with the batch twice, [unconditional; conditional], or
with the conditional half alone.

Shapes: B batch of pictures, N rows of one call of the denoiser (B or 2B), C, H, W channels and size of latents.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from render.engine.backends.base import Backend, SplitBackend
from render.engine.device import upload
from render.engine.sampler.denoise import Evaluate
from render.engine.text import Conditioning
from render.plan import Settings

__all__ = ["Conditionings", "Denoiser", "StepPlan", "denoiser", "guided", "schedule", "told"]

Denoiser = Callable[[Tensor, Tensor, Conditioning, int], Tensor]
"""(latents NCHW, timestep, conditioning of N rows, index of the evaluation) -> model output NCHW."""


@dataclass(frozen=True)
class StepPlan:
    """What one evaluation computes: the unconditional half too, or not; the deep half of the UNet too, or not."""

    guided: bool
    full: bool = True


@dataclass(frozen=True)
class Conditionings:
    """The conditioning of B pictures, in 2B rows and in B, None where no step needs it; and their guidance."""

    both: Conditioning | None
    conditional: Conditioning | None
    scale_B111: Tensor


def schedule(settings: Settings, num_evaluations: int, *, guided: bool) -> tuple[StepPlan, ...]:
    """What each evaluation computes. ``guided`` is whether any frame of the film is.

    Guidance runs within the interval only (Kynkäänniemi et al., "Applying Guidance in a Limited Interval Improves
    Sample and Distribution Quality in Diffusion Models", NeurIPS 2024); the UNet is computed in full at every
    ``reuse_steps``-th evaluation, and where guidance sets in, because the unconditional half has no features yet.
    """
    shares = (j / num_evaluations for j in range(num_evaluations))
    guides = [guided and settings.guidance_from <= share < settings.guidance_until for share in shares]
    sets_in = [now and not before for before, now in zip([False, *guides], guides, strict=False)]
    return tuple(StepPlan(guides[j], j % settings.reuse_steps == 0 or sets_in[j]) for j in range(num_evaluations))


def told(conditioning: Conditioning, scale_B: Tensor, width: int) -> Conditioning:
    """The same with the guidance (B) of its rows, embedded, where a denoiser is told it: its ``width`` is not 0."""
    if not width:
        return conditioning
    tokens = conditioning.tokens_NLD
    return replace(conditioning, guidance_NG=upload(_embedded(scale_B, width).to(tokens.dtype), tokens.device))


def _embedded(scale_B: Tensor, width: int) -> Tensor:
    """Guidance (B) as (B, width) in float32, for a denoiser that was distilled to be told it.

    Sines and cosines of ``scale - 1``, as diffusers' ``get_guidance_scale_embedding`` has them (arXiv:2310.04378, 4.2).
    """
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float32) * -(torch.log(torch.tensor(10000.0)) / (half - 1))
    angles_BH = (scale_B.float() - 1.0)[:, None] * 1000.0 * torch.exp(exponents)[None, :]
    embedded = torch.cat([torch.sin(angles_BH), torch.cos(angles_BH)], dim=1)
    return torch.nn.functional.pad(embedded, (0, width % 2))


def denoiser(backend: Backend, steps: Sequence[StepPlan]) -> Denoiser:
    """The denoiser for one batch. It computes everything where every step is full."""
    if all(step.full for step in steps):
        return lambda latents_NCHW, timestep, conditioning, _: backend.denoise(latents_NCHW, timestep, conditioning)
    assert isinstance(backend, SplitBackend)
    return StepReuse(backend, steps)


class StepReuse:
    """Deep features of the last full evaluation, for those behind it: DeepCache (Ma et al., CVPR 2024)."""

    def __init__(self, backend: SplitBackend, steps: Sequence[StepPlan]) -> None:
        self._backend = backend
        self._steps = steps

    def __call__(self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning, index: int) -> Tensor:
        if self._steps[index].full:
            output, self._deep = self._backend.denoise_with_deep(latents_NCHW, timestep, conditioning)
            return output
        kept = self._deep[-len(latents_NCHW) :]  # where guidance has ended: the conditional half
        return self._backend.denoise_shallow(latents_NCHW, timestep, conditioning, kept)


def guided(denoiser: Denoiser, conditionings: Conditionings, steps: Sequence[StepPlan]) -> Evaluate:
    """Classifier-free guidance around ``denoiser``, at the steps that are guided."""

    def evaluate(x_BCHW: Tensor, timestep: Tensor, index: int) -> Tensor:
        if not steps[index].guided:
            assert conditionings.conditional is not None
            return denoiser(x_BCHW, timestep, conditionings.conditional, index)
        assert conditionings.both is not None
        both = denoiser(torch.cat([x_BCHW, x_BCHW]), timestep, conditionings.both, index).float()
        without, with_prompt = both.chunk(2)
        return without + conditionings.scale_B111 * (with_prompt - without)

    return evaluate
