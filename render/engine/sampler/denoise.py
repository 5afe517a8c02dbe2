"""The denoise loop: one weighted sum a step, of the starting noise, step noises and the model's outputs so far.

Knows no scheduler (its numbers are in a `SamplerTable`), no UNet, no guidance: it gets a callable.

Shapes: J model evaluations, K step noises, B batch, C channels, H, W.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from render.engine.sampler.table import SamplerTable

__all__ = ["Evaluate", "denoise"]

Columns = slice | Tensor  # a slice spares a copy; stochastic samplers and DPM2 have gaps

Evaluate = Callable[[Tensor, Tensor, int], Tensor]
"""(scaled latents BCHW in float32, timestep as a float32 scalar on their device, index in [0, J)) -> model output
BCHW in any float type, guidance included."""


def denoise(
    evaluate: Evaluate,
    table: SamplerTable,
    noise_BCHW: Tensor,
    step_noises_KBCHW: Tensor | None = None,
    *,
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """Latents (B, C, H, W) in float32, on the device of `noise_BCHW`, which has standard deviation 1.

    `step_noises_KBCHW` is needed where the table has noises. `on_step(j)` is called when evaluation j has been queued;
    nothing here waits for the device. Sums are in float32 whatever the model's type.

    A picture's bits depend neither on its place in the batch nor on the batch size, unless `evaluate` makes them so.
    """
    given = 0 if step_noises_KBCHW is None else len(step_noises_KBCHW)
    assert given == table.num_noises, f"the table wants {table.num_noises} step noises, not {given}"
    timesteps, sums = _on_device(table, noise_BCHW.device)
    first_output = 1 + table.num_noises
    history = noise_BCHW.new_empty((first_output + table.num_evaluations, *noise_BCHW.shape), dtype=torch.float32)
    history[0] = noise_BCHW
    if step_noises_KBCHW is not None:
        history[1:first_output] = step_noises_KBCHW
    for j in range(table.num_evaluations):
        history[first_output + j] = evaluate(_weighted_sum(history, *sums[j]), timesteps[j], j)
        if on_step is not None:
            on_step(j)
    return _weighted_sum(history, *sums[-1]).clone()  # the sum is a view into a buffer of J times its size


@lru_cache(maxsize=4)
def _on_device(table: SamplerTable, device: torch.device) -> tuple[Tensor, list[tuple[Columns, Tensor]]]:
    """Timesteps and, for every row, the columns that count and their float32 weights, on `device`.

    Kept from call to call: copying them waits for the device. Columns are those of `denoise`'s history:
    starting noise, step noises, outputs. Rows that go to the model have their input scale folded in.
    """
    coefficients = np.hstack([table.coefficients[:, :1], table.noise_coefficients, table.coefficients[:, 1:]])
    coefficients[:-1] *= table.input_scale[:, None]
    sums = []
    for row in coefficients:
        used = np.flatnonzero(row)
        weights = torch.tensor(row[used], dtype=torch.float32, device=device).reshape(-1, 1, 1, 1, 1)
        unbroken = used[-1] - used[0] == len(used) - 1
        columns = slice(used[0], used[-1] + 1) if unbroken else torch.from_numpy(used).to(device)
        sums.append((columns, weights))
    return torch.tensor(table.timesteps, dtype=torch.float32, device=device), sums


def _weighted_sum(history: Tensor, columns: Columns, weights: Tensor) -> Tensor:
    """The sum over ``weights * history[columns]``, halving the number of terms until one is left.

    Products and sums are kernels of their own on purpose: each rounds once and looks at one element, so the bits
    depend on nothing else. `matmul` and `sum` round differently at the edges of their tiles, and may use TF32.
    """
    terms = history[columns] * weights
    while len(terms) > 1:
        half = len(terms) // 2
        terms[:half] += terms[len(terms) - half :]
        terms = terms[: len(terms) - half]
    return terms[0]
