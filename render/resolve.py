"""``auto`` -> values. Pure: what a worker says of its machine and model goes in, settings and reasons come out.

Resolved once a job, kept in the plan, read back on a rerun. Nothing here looks at ``farm``, except that chunk bounds
follow ``farm.chunk``: the number of workers never changes a pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from render.spec import JobSpec
from render.units import Size

__all__ = ["Machine", "ModelInfo", "Settings", "resolve", "resolve_again"]

Family = Literal["testcard", "sd", "sdxl"]


@dataclass(frozen=True)
class Machine:
    """What a worker says of the machine it runs on. ``bf16`` is whether bfloat16 is fast there, not only possible."""

    device: Literal["cpu", "cuda"]
    name: str
    cores: int
    memory_bytes: int
    bf16: bool
    versions: Mapping[str, str]


@dataclass(frozen=True)
class ModelInfo:
    """What a plan has to know of a model. ``fingerprint`` is a sha256 over the model's files, names and bytes."""

    family: Family
    native_size: tuple[int, int]
    latent_channels: int
    latent_scale: int
    scheduler: Mapping[str, Any]
    fingerprint: str
    revision: str | None = None


@dataclass(frozen=True)
class Settings:
    """The values every worker of a job uses. ``reasons`` tell people why; they are no part of the digest."""

    width: int
    height: int
    device: Literal["cpu", "cuda"]
    backend: Literal["eager"]
    dtype: Literal["fp32", "bf16", "fp16"]
    batch: int
    threads: int
    attention: Literal["sdpa"]
    chunk: int
    reasons: Mapping[str, str] = field(default_factory=dict, compare=False)


def resolve(spec: JobSpec, machine: Machine, model: ModelInfo) -> Settings:
    """Settings of a job whose first worker runs on ``machine`` with ``model``."""
    size = spec.size or Size(*model.native_size)
    dtype, dtype_reason = _dtype(spec, machine, model)
    batch, batch_reason = _batch(spec, machine, size)
    chunk, chunk_reason = _chunk(spec, batch)
    threads = machine.cores if spec.engine.threads == "auto" else spec.engine.threads
    reasons = {
        "device": "as given" if spec.engine.device != "auto" else "what the first worker found",
        "backend": "the only one built yet",
        "attention": "PyTorch's own choice among its kernels",
        "size": "as given" if spec.size else "the model's native size",
        "dtype": dtype_reason,
        "batch": batch_reason,
        "chunk": chunk_reason,
        "threads": "all cores of the first worker's machine" if spec.engine.threads == "auto" else "as given",
    }
    return Settings(
        width=size.width,
        height=size.height,
        device=machine.device,
        backend="eager",
        dtype=dtype,
        batch=batch,
        threads=threads,
        attention="sdpa",
        chunk=chunk,
        reasons=reasons,
    )


def resolve_again(spec: JobSpec, model: ModelInfo, before: Settings) -> Settings:
    """Settings for a rerun: what is ``auto`` keeps the value of the first run, wherever this run happens to be."""
    given = spec.engine
    pinned = given.model_copy(
        update={
            key: getattr(before, key)
            for key in ("device", "backend", "dtype", "batch", "threads", "attention")
            if getattr(given, key) == "auto"
        }
    )
    farm = spec.farm.model_copy(update={"chunk": before.chunk} if spec.farm.chunk == "auto" else {})
    device = before.device if given.device == "auto" else given.device
    machine = Machine(device, "", cores=0, memory_bytes=0, bf16=False, versions={})  # nothing auto is left to ask it
    settings = resolve(spec.model_copy(update={"engine": pinned, "farm": farm}), machine, model)
    return replace(settings, reasons=before.reasons)


def _dtype(spec: JobSpec, machine: Machine, model: ModelInfo) -> tuple[Literal["fp32", "bf16", "fp16"], str]:
    if spec.engine.dtype != "auto":
        return spec.engine.dtype, "as given"
    if machine.device == "cuda" and model.family == "sdxl" and machine.bf16:
        return "bf16", "a GPU; SDXL's own VAE overflows in fp16"
    if machine.device == "cuda":
        return "fp16", "a GPU"
    if machine.bf16:
        return "bf16", "the CPU has fast bfloat16 (AMX or AVX512-BF16)"
    return "fp32", "the CPU has no fast 16-bit arithmetic"


def _batch(spec: JobSpec, machine: Machine, size: Size) -> tuple[int, str]:
    """Guided batches saturate an H100 near 16 pictures of 512x512, a CPU near 8 of 128x128; halve as pixels double."""
    if spec.engine.batch != "auto":
        return spec.engine.batch, "as given"
    full, at_pixels = (16, 512 * 512) if machine.device == "cuda" else (8, 256 * 256)
    wanted = full * at_pixels // (size.width * size.height)
    batch = min(max(wanted, 1), full, spec.num_frames)
    return batch, f"{size} on {machine.device}, {spec.num_frames} frames"


def _chunk(spec: JobSpec, batch: int) -> tuple[int, str]:
    """About a sixteenth of the film, from one batch to 96 frames, in whole batches so that little is padded."""
    if spec.farm.chunk != "auto":
        return spec.farm.chunk, "as given"
    target = min(max(spec.num_frames // 16, batch), 96)
    return -(-target // batch) * batch, "a sixteenth of the film at most 96 frames, in whole batches"
