"""What can be known of this machine without torch: its processor, cores and memory."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from render import __version__
from render.video.cpu import cpu_info

__all__ = ["Machine", "guessed_machine", "this_cpu", "versions"]


def versions() -> dict[str, str]:
    """Versions of what decides pixels and bytes, for the done records."""
    found = {"render": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Machine:
    """What a worker found of the machine it runs on. ``bf16`` is whether bfloat16 is fast there, not only possible.

    ``compiles``: there is a compiler for torch.compile.
    """

    device: Literal["cpu", "cuda"]
    name: str
    cores: int
    memory_bytes: int
    bf16: bool
    versions: Mapping[str, str]
    compiles: bool = False


NVIDIA = Path("/proc/driver/nvidia/gpus")
PACKAGES = ("torch", "diffusers", "transformers", "onnxruntime", "onnxruntime-gpu", "ray", "av", "numpy")


def this_cpu() -> Machine:
    """This machine as a CPU renderer: the cores this process may use, and whether bfloat16 is fast on them."""
    facts = cpu_info()
    return Machine(
        device="cpu",
        name=facts.get("model name") or platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        # AMX or AVX512-BF16: elsewhere bfloat16 is emulated and slower than float32
        bf16=not {"amx_bf16", "avx512_bf16"}.isdisjoint(facts.get("flags", "").split()),
        versions=versions(),
    )


def guessed_machine(device: str, family: str) -> Machine:
    """What a job that wants ``device`` and a model of ``family`` would find here, as far as that is known without
    torch: for ``auto`` a GPU where an NVIDIA driver shows one. Its memory is taken for this machine's."""
    gpu = device == "cuda" or (device == "auto" and any(NVIDIA.glob("*")))
    return replace(this_cpu(), device="cuda") if gpu and family != "testcard" else this_cpu()
