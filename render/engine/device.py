"""What this machine can do, and how torch is set up on it: settings of a process, copies and clocks of its device."""

import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from render.errors import EngineError
from render.plan import Machine, Stage, Stopwatch, this_cpu

__all__ = ["DTYPES", "DTYPE_NAMES", "Marks", "attention", "download", "machine", "seconds_a_call", "set_up", "upload"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
}


def machine(wanted: str) -> Machine:
    """The machine as seen from this process. ``wanted`` is auto, cpu or cuda.

    Raises EngineError when a GPU is wanted and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise EngineError(
            "engine.device is cuda, but torch sees no GPU here; install a CUDA build of torch or write auto"
        )
    here = replace(this_cpu(), compiles=bool(shutil.which("g++") or shutil.which("clang++")))
    if wanted == "cpu" or not torch.cuda.is_available():
        return here
    gpu = torch.cuda.get_device_properties(0)
    fast_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    compiles = here.compiles and (gpu.major, gpu.minor) >= (7, 0)  # Triton's oldest
    return replace(here, device="cuda", name=gpu.name, memory_bytes=gpu.total_memory, bf16=fast_bf16, compiles=compiles)


def set_up(threads: int) -> None:
    """Fix what changes bits: the number of threads, TF32 off, cuDNN's choice of kernels not by race."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def attention(kernel: str) -> contextlib.AbstractContextManager[None]:
    """Inside, attention runs on one kernel of PyTorch's (flash, cudnn, efficient); any other name leaves the choice.

    What that kernel cannot do fails there with a RuntimeError instead of falling back.
    """
    if kernel not in KERNELS:
        return contextlib.nullcontext()
    chosen: contextlib.AbstractContextManager[None] = sdpa_kernel(KERNELS[kernel])
    return chosen


def upload(values: Tensor, device: torch.device) -> Tensor:
    """A CPU tensor on ``device``, without waiting for what is queued there."""
    if device.type == "cpu":
        return values
    return values.pin_memory().to(device, non_blocking=True)


def download(values: Tensor) -> Tensor:
    """A tensor in CPU memory. From a GPU it is there once the device is through with what is queued: see ``Marks``."""
    if values.device.type == "cpu":
        return values
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    host.copy_(values, non_blocking=True)
    return host


def seconds_a_call(call: Callable[[], object], device: torch.device, times: int = 1) -> float:
    """Seconds of one of ``times`` calls in a row, what they queue on the device included."""
    _wait(device)
    began = time.perf_counter()
    for _ in range(times):
        call()
    _wait(device)
    return (time.perf_counter() - began) / times


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


class Marks:
    """Points of time in the work of a device: on a GPU events in its queue, so that asking does not stop it."""

    def __init__(self, device: torch.device) -> None:
        """The first mark, where the first stage begins."""
        self._cuda = device.type == "cuda"
        self._stages: list[Stage] = []
        self._marks: list[torch.cuda.Event | float] = []
        self._set()

    def end(self, stage: Stage) -> None:
        """What was queued since the last mark belongs to ``stage``."""
        self._stages.append(stage)
        self._set()

    def charge(self, watch: Stopwatch) -> None:
        """Wait until the device has passed the last mark, and charge ``watch`` with the seconds of each stage."""
        if self._cuda:
            self._marks[-1].synchronize()  # type: ignore[union-attr]
        for stage, begin, end in zip(self._stages, self._marks[:-1], self._marks[1:], strict=True):
            watch.add(stage, _seconds(begin, end))

    def _set(self) -> None:
        if not self._cuda:
            self._marks.append(time.perf_counter())
            return
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        self._marks.append(event)


def _seconds(begin: torch.cuda.Event | float, end: torch.cuda.Event | float) -> float:
    if isinstance(begin, float) or isinstance(end, float):
        assert isinstance(begin, float)
        assert isinstance(end, float)
        return end - begin
    milliseconds: float = begin.elapsed_time(end)
    return milliseconds / 1000
