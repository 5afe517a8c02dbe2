"""The training loop that every stage shares: learning rate, averaging, checkpoints, progress lines.

Knows no model: a stage hands over parameters and a function from the step number to a loss. All randomness of a step
comes from its number, so a run that was killed continues as if it had not been.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

CHECKPOINT_S: Final = 90.0  # what a kill -9 may cost
REPORT_S: Final = 20.0
MAX_GRADIENT_NORM: Final = 1.0


@dataclass(frozen=True)
class Stage:
    """How long and how hard a stage trains. `ema_decay` 0 keeps no average."""

    name: str
    num_steps: int
    peak_lr: float
    warmup_steps: int = 200
    final_lr_share: float = 0.02
    weight_decay: float = 0.01
    ema_decay: float = 0.0

    def lr(self, step: int) -> float:
        """Linear warm-up, then a cosine down to `final_lr_share` of the peak at the planned end."""
        if step < self.warmup_steps:
            return self.peak_lr * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.num_steps - self.warmup_steps)
        return self.peak_lr * (self.final_lr_share + (1 - self.final_lr_share) * 0.5 * (1 + math.cos(math.pi * done)))


class Average:
    """An exponential moving average of parameters; early on it forgets faster, so that the start does not linger."""

    def __init__(self, parameters: list[nn.Parameter], decay: float) -> None:
        self.decay = decay
        self.shadows = [parameter.detach().clone() for parameter in parameters]

    def update(self, parameters: list[nn.Parameter], step: int) -> None:
        """Move towards the parameters after step number `step`."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.shadows, [parameter.detach() for parameter in parameters], 1 - decay)

    def copy_to(self, parameters: list[nn.Parameter]) -> None:
        """Overwrite the parameters with their averages."""
        for parameter, shadow in zip(parameters, self.shadows, strict=True):
            parameter.data.copy_(shadow)


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that a kill at any moment leaves the old one or the new one."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def train_stage(
    stage: Stage, modules: nn.ModuleDict, loss_at: Callable[[int], Tensor], path: Path, tell: Callable[[str], None]
) -> None:
    """Train `modules` in place up to `stage.num_steps`, from the checkpoint at `path` if there is one.

    Modules end as their averages where the stage keeps one. A finished stage is only loaded.
    """
    parameters = [parameter for parameter in modules.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=stage.peak_lr, weight_decay=stage.weight_decay, betas=(0.9, 0.99), fused=True
    )
    average = Average(parameters, stage.ema_decay)
    start = _resume(path, modules, optimizer, average)
    run = _Reporter(stage, start, tell)
    saved_at = time.monotonic()
    for step in range(start, stage.num_steps):
        for group in optimizer.param_groups:
            group["lr"] = stage.lr(step)
        loss = loss_at(step)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average.update(parameters, step)
        run.step(step + 1, loss)
        if time.monotonic() - saved_at > CHECKPOINT_S or step + 1 == stage.num_steps:
            save_atomically(_state(step + 1, modules, optimizer, average), path)
            saved_at = time.monotonic()
    if stage.ema_decay > 0:
        average.copy_to(parameters)


def _state(step: int, modules: nn.ModuleDict, optimizer: torch.optim.Optimizer, average: Average) -> dict[str, Any]:
    return {"step": step, "modules": modules.state_dict(), "optimizer": optimizer.state_dict(), "ema": average.shadows}


def _resume(path: Path, modules: nn.ModuleDict, optimizer: torch.optim.Optimizer, average: Average) -> int:
    """Load the checkpoint, if any; the number of steps already done."""
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    modules.load_state_dict(state["modules"])
    optimizer.load_state_dict(state["optimizer"])
    for shadow, stored in zip(average.shadows, state["ema"], strict=True):
        shadow.copy_(stored)
    return int(state["step"])


class _Reporter:
    """A progress line every `REPORT_S` seconds: mean loss since the last line, speed, time left."""

    def __init__(self, stage: Stage, start: int, tell: Callable[[str], None]) -> None:
        self.stage, self.tell = stage, tell
        self.losses: list[Tensor] = []
        self.last_step, self.last_time = start, time.monotonic()

    def step(self, done: int, loss: Tensor) -> None:
        self.losses.append(loss.detach())
        elapsed = time.monotonic() - self.last_time
        if elapsed < REPORT_S and done < self.stage.num_steps:
            return
        rate = (done - self.last_step) / max(elapsed, 1e-9)
        left_s = (self.stage.num_steps - done) / rate
        mean = torch.stack(self.losses).mean().item()
        total = self.stage.num_steps
        self.tell(f"{self.stage.name} {done}/{total} loss {mean:.4f} {rate:.2f} steps/s, {left_s / 60:.1f} min left")
        self.losses.clear()
        self.last_step, self.last_time = done, time.monotonic()
