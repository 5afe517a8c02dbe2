"""How many pictures at a time keep a device busy: measured, before a job's batch is fixed.

The curve is that of the model as it was loaded: for a compiled backend that of the eager UNet. Its kernels saturate
alike, and compiling each batch size would cost more than a wrong batch.
"""

import time
from pathlib import Path

import torch

from render.engine import device as device_module
from render.engine.backends import open_model
from render.engine.backends.base import LoadedBackend
from render.engine.guidance import told
from render.engine.memory import NOT_EVEN_ONE, MemoryMeter, free_bytes, out_of_memory, release
from render.engine.text import Text
from render.errors import EngineError
from render.plan import BatchTimings, Plan, Stopwatch

__all__ = ["measure"]

LARGEST = 64  # pictures; guided that is 128 rows, far beyond what any device gains from
BUDGET_S = 20.0  # a device that needs longer is slow enough to be busy with any batch
REPEATS = 3
NO_GAIN = 0.99  # a doubled batch that is not even 1 % faster ends the search


def measure(plan: Plan, folder: Path, *, trust: bool = False) -> BatchTimings:
    """Seconds a picture of one denoiser evaluation, by batch, doubled from 1 until it gains nothing more.

    Raises ModelError, and EngineError where not even one picture fits.
    """
    release()  # what was open before is not to count as taken
    settings = plan.settings
    device_module.set_up(settings.threads)
    device = torch.device(settings.device)
    models, encoder = open_model(plan, folder, Stopwatch(), trust=trust)
    text = next(iter(encoder.encode([""]).values()))
    del encoder
    free = free_bytes(device)
    found: list[tuple[int, float, int]] = []
    began, batch = time.perf_counter(), 1
    while batch <= min(LARGEST, plan.spec.num_frames) and time.perf_counter() - began < BUDGET_S:
        try:
            found.append((batch, *_evaluation(plan, models, text, batch, device)))
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            break
        if len(found) > 2 and found[-1][1] > NO_GAIN * found[-3][1]:
            break
        batch *= 2
    if not found:
        raise EngineError(NOT_EVEN_ONE)
    batches, seconds, peaks = zip(*found, strict=True)
    return BatchTimings(batches, seconds, peaks, free)


@torch.no_grad()
def _evaluation(plan: Plan, models: LoadedBackend, text: Text, batch: int, device: torch.device) -> tuple[float, int]:
    """(seconds a picture, peak bytes of it) of one evaluation of ``batch`` pictures, the best of a few."""
    settings, scale = plan.settings, plan.model.latent_scale
    rows = 2 * batch if plan.guided else batch
    condition = models.condition([text] * rows, settings.width, settings.height)
    condition = told(condition, torch.ones(rows), plan.model.guidance_width)
    shape = (rows, plan.model.latent_channels, settings.height // scale, settings.width // scale)
    latents_NCHW = torch.zeros(shape, device=device)
    timestep = torch.zeros((), device=device)

    def evaluate() -> object:
        return models.denoise(latents_NCHW, timestep, condition)

    with MemoryMeter(device.type) as meter:
        best = min(device_module.seconds_a_call(evaluate, device) for _ in range(1 + REPEATS))  # the first warms up
    return best / batch, meter.peak_bytes
