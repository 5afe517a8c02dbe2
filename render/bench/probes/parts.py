"""Seconds that each part of a picture takes when it runs alone, over and over: where an engine's time can go.

The sum need not be the time of a picture: alone, a part keeps caches to itself. The video encoder is measured
elsewhere; it runs in a thread of its own.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from render.engine import device as device_module
from render.engine.backends import BACKENDS, open_model
from render.engine.backends.base import WarmupShapes
from render.engine.batching import micro_batch
from render.engine.device import seconds_a_call
from render.engine.guidance import told
from render.engine.noise import seeded_noise, slerp
from render.engine.sampler.denoise import denoise
from render.engine.sampler.schedulers import make_scheduler
from render.engine.sampler.table import tabulate
from render.engine.text import Text, blend_texts
from render.plan import Plan, Stopwatch

__all__ = ["measure_parts"]

ROUND_S = 0.2
ROUNDS = 3


@torch.no_grad()
def measure_parts(plan: Plan, folder: Path, *, trust: bool = False) -> dict[str, float]:
    """Seconds a picture by part, at the plan's batch: UNet (all steps), VAE, sampler, slerp, text blend, copy, and
    ``prompt``: encoding one prompt, which happens once a keyframe and not once a picture."""
    settings, info = plan.settings, plan.model
    device_module.set_up(settings.threads)
    device, batch = torch.device(settings.device), settings.batch
    models, encoder = open_model(plan, folder, Stopwatch(), trust=trust)
    table = tabulate(make_scheduler(plan.sampler, info.scheduler), plan.spec.steps)
    shape_CHW = (info.latent_channels, settings.height // info.latent_scale, settings.width // info.latent_scale)
    a, b = seeded_noise(1, shape_CHW), seeded_noise(2, shape_CHW)
    noise_BCHW = a.expand(batch, -1, -1, -1).contiguous().to(device)
    first, second = (next(iter(encoder.encode([text]).values())) for text in ("red hills", "blue sea"))
    rows = [first] * batch * (2 if plan.guided else 1)
    condition = told(
        models.condition(rows, settings.width, settings.height), torch.ones(len(rows)), info.guidance_width
    )
    latents_NCHW = noise_BCHW.repeat(len(rows) // batch, 1, 1, 1)
    latents_MCHW = noise_BCHW[: micro_batch(batch)]
    warmup = WarmupShapes(((latents_NCHW, condition),), latents_MCHW, deep=False, watch=Stopwatch())
    backend = BACKENDS[settings.backend].make(models, warmup)
    timestep = torch.ones((), device=device)
    step_noises = _step_noises(table.num_noises, noise_BCHW)
    pixels = torch.zeros((batch, settings.height, settings.width, 3), dtype=torch.uint8, device=device)

    def seconds(call: Callable[[], object]) -> float:
        return _seconds(call, device)

    return {
        "prompt": seconds(lambda: encoder.encode(["red hills"])),
        "slerp": seconds(lambda: slerp(a, b, 0.3)),
        "text": seconds(lambda: _blend(first, second)),
        "sampler": seconds(lambda: denoise(lambda x, _t, _j: x, table, noise_BCHW, step_noises)) / batch,
        "unet": seconds(lambda: backend.denoise(latents_NCHW, timestep, condition)) * table.num_evaluations / batch,
        "vae": seconds(lambda: backend.decode(latents_MCHW)) / len(latents_MCHW),
        "copy": seconds(lambda: pixels.cpu().numpy().copy()) / batch,
    }


def _blend(first: Text, second: Text) -> Text:
    return blend_texts(first, second, 0.3, "lerp")


def _step_noises(count: int, noise_BCHW: Tensor) -> Tensor | None:
    return noise_BCHW.expand(count, *noise_BCHW.shape) if count else None


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    """The median of three rounds, each long enough for the clock."""
    seconds_a_call(call, device)
    times = max(1, min(1000, int(ROUND_S / max(seconds_a_call(call, device), 1e-6))))
    return sorted(seconds_a_call(call, device, times) for _ in range(ROUNDS))[ROUNDS // 2]
