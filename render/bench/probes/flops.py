"""What a picture costs in arithmetic: FLOPs of UNet and VAE, and the least time they can take on a device.

Nothing is computed: the networks are built from their configurations on torch's meta device, where tensors have shapes
and no numbers, and torch's own FlopCounterMode counts (two FLOPs a multiply-add; matrix products, convolutions and
attention; everything else is free).

The fused floor: each of those operations takes the longer of FLOPs / peak and bytes / bandwidth, its bytes being its
inputs, weights and output, once each. What lies between them (norms, activations, additions) is taken to be fused into
them for nothing, and attention to keep its scores on the chip. No program can be faster in that precision with those
operations; the roofline model of Williams, Waterman and Patterson, 2009.

Shapes: N rows of a UNet call (twice the pictures under guidance), C, H, W channels and size of latents.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from render.engine.batching import micro_batch
from render.engine.device import DTYPES
from render.engine.families import Family, family_of
from render.engine.sampler.schedulers import make_scheduler
from render.engine.sampler.table import tabulate
from render.plan import Plan

__all__ = ["Operation", "Work", "decoder_work", "picture_work", "unet_work"]

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Operation:
    """One matrix product, convolution or attention: its FLOPs, and the bytes that it has to read and write."""

    flops: int
    bytes: int


@dataclass(frozen=True)
class Work:
    """Operations, each ``times`` over."""

    operations: Sequence[Operation]
    times: float = 1.0

    @property
    def flops(self) -> float:
        return self.times * sum(operation.flops for operation in self.operations)

    def floor_s(self, flops_per_s: float, bytes_per_s: float) -> float:
        """Seconds on a device of that peak and bandwidth: the fused floor."""
        return self.times * sum(max(op.flops / flops_per_s, op.bytes / bytes_per_s) for op in self.operations)


class _Recorder(TorchFunctionMode):
    """Writes down every public operation that has FLOPs; attention is one operation, whatever it is made of."""

    def __init__(self, counter: FlopCounterMode) -> None:
        super().__init__()
        self._counter = counter
        self.operations: list[Operation] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        before, arguments = self._counter.get_total_flops(), dict(kwargs or {})
        output = func(*args, **arguments)
        flops = self._counter.get_total_flops() - before
        if flops:
            tensors = [value for value in (*args, *arguments.values(), output) if isinstance(value, Tensor)]
            self.operations.append(Operation(flops, sum(tensor.nbytes for tensor in tensors)))
        return output


def unet_work(family: Family, config: Config, shape_NCHW: tuple[int, int, int, int], dtype: torch.dtype) -> Work:
    """One call of the UNet of ``config`` with latents of that shape."""
    import diffusers

    unet = _on_meta(lambda: diffusers.UNet2DConditionModel.from_config(dict(config)), dtype)
    conditioning = family.blank(unet.config, shape_NCHW[0], dtype, "meta")
    latents_NCHW = torch.empty(shape_NCHW, dtype=dtype, device="meta")
    timestep = torch.empty((), device="meta")
    return _counted(lambda: family.predict(unet, latents_NCHW, timestep, conditioning))


def decoder_work(config: Config, shape_NCHW: tuple[int, int, int, int], dtype: torch.dtype) -> Work:
    """One call of the decoder of the VAE of ``config`` with latents of that shape."""
    import diffusers

    vae = _on_meta(lambda: diffusers.AutoencoderKL.from_config(dict(config)), dtype)
    latents = torch.empty(shape_NCHW, dtype=dtype, device="meta")
    return _counted(lambda: vae.decode(latents))


def picture_work(plan: Plan, folder: Path) -> tuple[Work, Work]:
    """All UNet evaluations and the decoding of one picture of ``plan``, guidance included, at the plan's batch."""
    settings, info = plan.settings, plan.model
    dtype = DTYPES[settings.dtype]
    latents_CHW = (info.latent_channels, settings.height // info.latent_scale, settings.width // info.latent_scale)
    table = tabulate(make_scheduler(plan.sampler, info.scheduler), plan.spec.steps)
    rows = settings.batch * (2 if plan.guided else 1)
    micro = micro_batch(settings.batch)
    unet = unet_work(family_of(info.family), _config(folder / "unet"), (rows, *latents_CHW), dtype)
    vae = decoder_work(_config(folder / "vae"), (micro, *latents_CHW), dtype)
    return Work(unet.operations, table.num_evaluations / settings.batch), Work(vae.operations, 1 / micro)


def _config(part: Path) -> Config:
    config: Config = json.loads((part / "config.json").read_text(encoding="utf-8"))
    return config


def _on_meta(make: Callable[[], Any], dtype: torch.dtype) -> Any:
    """A network of ``dtype`` without numbers."""
    import diffusers

    diffusers.utils.logging.set_verbosity_error()
    with torch.device("meta"):
        return make().to(dtype).eval()


def _counted(call: Callable[[], object]) -> Work:
    with torch.no_grad(), FlopCounterMode(display=False) as counter, _Recorder(counter) as recorder:
        call()
    return Work(tuple(recorder.operations))
