"""What a device can do at best, measured: matrix products a second, and bytes of memory moved a second.

Figures of a data sheet are not reached by any program on the machine at hand; these are. The best of several sizes and
rounds counts: a peak is a maximum.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from render.engine.device import DTYPES, seconds_a_call

__all__ = ["Peak", "measure_peak"]

SIDES = {"cpu": (1024, 2048), "cuda": (4096, 8192, 16384)}
COPY_BYTES = {"cpu": 256 << 20, "cuda": 2 << 30}  # far beyond any cache
ROUND_S = 0.25
ROUNDS = 3


@dataclass(frozen=True)
class Peak:
    """The best of a device in one dtype; bytes count once for reading and once for writing."""

    flops_per_s: float
    bytes_per_s: float


def measure_peak(dtype_name: str, device_name: str, threads: int) -> Peak:
    """Measure for a few seconds, for example ``bf16`` on ``cpu``.

    Sets the process's threads to ``threads``, as the engine will.
    """
    torch.set_num_threads(threads)
    dtype, device = DTYPES[dtype_name], torch.device(device_name)
    flops = max(_matmul_flops_per_s(side, dtype, device) for side in SIDES[device.type])
    source = torch.ones(COPY_BYTES[device.type] // 4, device=device)
    target = torch.empty_like(source)
    seconds = _best_seconds(lambda: target.copy_(source), device)
    return Peak(flops, 2 * source.nbytes / seconds)


def _matmul_flops_per_s(side: int, dtype: torch.dtype, device: torch.device) -> float:
    a, b = (torch.randn((side, side), device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / _best_seconds(lambda: torch.mm(a, b), device)


def _best_seconds(call: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call: repeated until a round takes long enough for the clock, best of three rounds."""
    seconds_a_call(call, device)
    times = max(1, int(ROUND_S / max(seconds_a_call(call, device), 1e-6)))
    return min(seconds_a_call(call, device, times) for _ in range(ROUNDS))
