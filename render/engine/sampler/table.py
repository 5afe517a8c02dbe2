"""A scheduler written out as numbers.

Every scheduler in `samplers.py` is linear in what it sees, so

    x_i = C[i,0] * x_T + sum_j C[i,1+j] * eps_j + sum_k N[i,k] * z_k

holds with numbers that depend on the scheduler alone. `tabulate` finds them by stepping the scheduler once over
one-hot vectors; denoising (`denoise.py`) is then one weighted sum per step, the same for every sampler. Knows no
diffusers, no UNet, no guidance: it gets a scheduler.

Shapes: J model evaluations (more than the steps for Heun, DPM2 and PNDM), K step noises.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from render.engine.sampler.schedulers import Scheduler
from render.errors import EngineError, count

__all__ = ["SamplerTable", "tabulate"]

Array = NDArray[np.float64]

NUM_CHECKS = 4  # random inputs that ride along while probing; one would do, four leave no room for luck
TOLERANCE = 1e-6  # of the largest value; linear schedulers reach 1e-13, clipping ones miss by 1e-1


@dataclass(frozen=True, eq=False)
class SamplerTable:
    """A sampler at a given number of steps: float64 numbers, read-only, compared by `digest`.

    `timesteps` (J): what the model gets at each evaluation. `input_scale` (J): what its input is multiplied by.
    `coefficients` (J+1, J+1): row i makes the latents of evaluation i, the last row the result; column 0 belongs
    to the starting noise of standard deviation 1, column 1+j to the output of evaluation j; lower triangular.
    `noise_coefficients` (J+1, K): the same for the step noises, in the order in which the scheduler draws them.
    """

    timesteps: Array
    input_scale: Array
    coefficients: Array
    noise_coefficients: Array

    def __post_init__(self) -> None:
        for field in fields(self):
            getattr(self, field.name).setflags(write=False)

    @property
    def num_evaluations(self) -> int:
        return len(self.timesteps)

    @property
    def num_noises(self) -> int:
        return int(self.noise_coefficients.shape[1])

    @property
    def digest(self) -> str:
        """SHA-256 over shapes and numbers, in hexadecimal; the same on machines of either byte order."""
        sha = hashlib.sha256()
        for field in fields(self):
            values: Array = getattr(self, field.name)
            sha.update(f"{field.name}{values.shape}".encode())
            sha.update(values.astype("<f8").tobytes())
        return sha.hexdigest()


def tabulate(scheduler: Scheduler, steps: int) -> SamplerTable:
    """Step `scheduler` through `steps` steps and write down what it does; its state is used up by this.

    Not for two threads at once: the scheduler's module draws one-hot noise meanwhile. Raises `EngineError` when
    the scheduler refuses `steps` or the model's config, or is not linear (the table would not reproduce it to 1e-6).
    """
    try:
        return _Probe(scheduler, steps).table()
    except (ValueError, IndexError, NotImplementedError) as error:
        name = type(scheduler).__name__
        raise EngineError(f"{name} cannot sample this model in {count(steps, 'step')}: {error}") from error


class _NotLinearError(ValueError):
    """The scheduler does something that no table of numbers can say."""


class _Probe:
    """One walk of a scheduler over one-hot vectors.

    Vectors have 1 + J + J entries, one for every tensor that can come in: the starting noise, J outputs, at most J
    step noises. `NUM_CHECKS` more entries carry random numbers through the same steps: what the table must reproduce.
    """

    def __init__(self, scheduler: Scheduler, steps: int) -> None:
        scheduler.set_timesteps(steps)
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(0)  # else schedulers look the index up by timestep, which may occur twice
        self.scheduler = scheduler
        self.num_evaluations = len(scheduler.timesteps)
        self.num_inputs = 1 + 2 * self.num_evaluations
        self.num_noises = 0
        checks = np.random.default_rng(0).standard_normal((self.num_inputs, NUM_CHECKS))
        self.inputs = np.hstack([np.eye(self.num_inputs), checks])

    def table(self) -> SamplerTable:
        scheduler = self.scheduler
        x = self._input(0) * float(scheduler.init_noise_sigma)
        latents, scaled, scales = [x], [], []
        with _noise_drawn_by(scheduler, self._draw):
            for j, timestep in enumerate(scheduler.timesteps):
                scales.append(float(scheduler.scale_model_input(torch.ones(1, 1, 1, 1, dtype=torch.float64), timestep)))
                scaled.append(scheduler.scale_model_input(x, timestep))
                x = scheduler.step(self._input(1 + j), timestep, x, return_dict=False)[0]
                latents.append(x)
        rows, input_scale = _rows(latents), np.array(scales)
        self._check(rows, rows)
        self._check(_rows(scaled), rows[:-1] * input_scale[:, None])
        first_noise = 1 + self.num_evaluations
        return SamplerTable(
            timesteps=np.array([float(timestep) for timestep in scheduler.timesteps]),
            input_scale=input_scale,
            coefficients=rows[:, :first_noise].copy(),
            noise_coefficients=rows[:, first_noise : first_noise + self.num_noises].copy(),
        )

    def _input(self, index: int) -> Tensor:
        """Input `index` as a scheduler wants it: (1, inputs, 1, 1), because UniPC's einsum asks for a batch axis."""
        return torch.from_numpy(self.inputs[index]).reshape(1, -1, 1, 1).as_subclass(_Float64)

    def _draw(self, *_args: object, **_kwargs: object) -> Tensor:
        """Stands in for ``randn_tensor``: the next step noise."""
        if self.num_noises == self.num_evaluations:
            raise _NotLinearError("it draws more than one noise per evaluation")
        self.num_noises += 1
        return self._input(self.num_evaluations + self.num_noises)

    def _check(self, walked: Array, table: Array) -> None:
        """Compare the random numbers in `walked` with what the rows of `table` make of the same inputs."""
        if not np.isfinite(walked).all():
            raise _NotLinearError("its numbers are not finite: it divides by an alpha of 0, or begins beyond bounds")
        expected = table[:, : self.num_inputs] @ self.inputs[:, self.num_inputs :]
        error = np.abs(walked[:, self.num_inputs :] - expected).max() / np.abs(expected).max()
        if not error <= TOLERANCE:
            raise _NotLinearError(f"it is not linear in its inputs (off by {error:.1e})")


class _Float64(Tensor):
    """A float64 tensor that stays one: Euler and DPM++ would round the latents to float32 at every step."""

    def to(self, *_args: Any, **_kwargs: Any) -> _Float64:
        return self


def _rows(vectors: list[Tensor]) -> Array:
    return np.stack([vector.as_subclass(Tensor).flatten().numpy() for vector in vectors])


@contextmanager
def _noise_drawn_by(scheduler: Scheduler, draw: Callable[..., Tensor]) -> Iterator[None]:
    """Let `draw` answer for the ``randn_tensor`` that the scheduler's module imported, if it did."""
    names = vars(sys.modules[type(scheduler).step.__module__])
    original = names.get("randn_tensor")
    if original is None:
        yield
        return
    names["randn_tensor"] = draw
    try:
        yield
    finally:
        names["randn_tensor"] = original
