"""What this machine can do, and how torch is set up on it. The settings of a process, made once."""

from __future__ import annotations

from dataclasses import replace

import torch

from render.errors import EngineError
from render.machine import this_cpu
from render.resolve import Machine

__all__ = ["DTYPES", "machine", "set_up"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def machine(wanted: str) -> Machine:
    """The machine as seen from this process. ``wanted`` is auto, cpu or cuda.

    Raises EngineError when a GPU is wanted and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise EngineError(
            "engine.device is cuda, but torch sees no GPU here; install a CUDA build of torch or write auto"
        )
    here = this_cpu()
    if wanted == "cpu" or not torch.cuda.is_available():
        return here
    gpu = torch.cuda.get_device_properties(0)
    fast_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return replace(here, device="cuda", name=gpu.name, memory_bytes=gpu.total_memory, bf16=fast_bf16)


def set_up(threads: int) -> None:
    """Fix what changes bits: the number of threads, TF32 off, cuDNN's choice of kernels not by race."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
