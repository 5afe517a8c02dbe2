"""``auto`` -> values. Pure: what a worker says of its machine and model goes in, settings and reasons come out.

Resolved once a job, kept in the plan, read back on a rerun. Nothing here looks at ``farm``, except that chunk bounds
follow ``farm.chunk``: the number of workers never changes a pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Literal

from render.errors import SpecError
from render.models import FAMILIES, ModelInfo
from render.plan.machine import Machine
from render.plan.presets import approximations
from render.plan.settings import GRAPH_BACKENDS, Attention, Backend, BatchTimings, Settings
from render.spec import JobSpec, Mistake, Size, onnx_mistakes

__all__ = ["graph_mistakes", "resolve", "resolve_again"]


ENOUGH = (
    1.05  # a batch that is within 5 % of the fastest one is large enough: smaller ones waste less of a chunk's tail
)


MEMORY_SHARE = 0.8  # of what is free: allocators fragment, and the desktop wants some too


# Frames x steps x pixels from which a compiled UNet repays a minute of compiling. On two CPU cores compiling saves
# about 8 ms of 120 on a picture of 128x128 in 20 guided steps; on an H100 about 20 ms of 85 at 512x512.
COMPILE_PAYS = {"cpu": 7_500 * 20 * 128 * 128, "cuda": 4_500 * 20 * 512 * 512}


def resolve(spec: JobSpec, machine: Machine, model: ModelInfo, saturation: BatchTimings | None = None) -> Settings:
    """Settings of a job whose first worker runs on ``machine`` with ``model``.

    Without ``saturation`` a batch that is ``auto`` is guessed: good enough for ``render plan`` and for test cards.
    Raises SpecError for what the model's graph cannot do.
    """
    size = spec.size or Size(*model.native_size)
    backend, backend_reason = _backend(spec, machine, model, size)
    dtype, dtype_reason = _dtype(spec, machine, model, backend)
    for path, message in graph_mistakes(spec, model):
        raise SpecError(f"{'.'.join(str(key) for key in path)}: {message}")
    memory, memory_reason = _memory(spec, machine, model)
    attention, attention_reason = _attention(spec, memory)
    batch, batch_reason = _batch(spec, machine, size, saturation)
    approximate, approximate_reasons = approximations(spec.engine)
    chunk, chunk_reason = _chunk(spec, batch, approximate.interpolate_frames)
    threads = machine.cores if spec.engine.threads == "auto" else spec.engine.threads
    reasons = {
        "device": "as given" if spec.engine.device != "auto" else "what the first worker found",
        "backend": backend_reason,
        "attention": attention_reason,
        "memory": memory_reason,
        "size": "as given" if spec.size else "the model's native size",
        "dtype": dtype_reason,
        "batch": batch_reason,
        "chunk": chunk_reason,
        **approximate_reasons,
        "threads": "all cores of the first worker's machine" if spec.engine.threads == "auto" else "as given",
    }
    return Settings(
        width=size.width,
        height=size.height,
        device=machine.device,
        backend=backend,
        dtype=dtype,
        batch=batch,
        threads=threads,
        attention=attention,
        memory=memory,
        chunk=chunk,
        reasons=reasons,
        **asdict(approximate),
    )


def resolve_again(spec: JobSpec, model: ModelInfo, before: Settings) -> Settings:
    """Settings for a rerun: what is ``auto`` keeps the value of the first run, wherever this run happens to be."""
    given = spec.engine
    pinned = given.model_copy(
        update={
            key: getattr(before, key)
            for key in ("device", "backend", "dtype", "batch", "threads", "attention", "memory")
            if getattr(given, key) == "auto"
        }
    )
    farm = spec.farm.model_copy(update={"chunk": before.chunk} if spec.farm.chunk == "auto" else {})
    device = before.device if given.device == "auto" else given.device
    machine = Machine(device, "", cores=0, memory_bytes=0, bf16=False, versions={})  # nothing auto is left to ask it
    settings = resolve(spec.model_copy(update={"engine": pinned, "farm": farm}), machine, model)
    return replace(settings, reasons=before.reasons)


def _backend(spec: JobSpec, machine: Machine, model: ModelInfo, size: Size) -> tuple[Backend, str]:
    """Compiling costs a minute once; it pays where the film is long enough to win it back."""
    if spec.engine.backend != "auto":
        return spec.engine.backend, "as given"
    if model.layout == "onnx":
        return "onnx", "the model is an ONNX export"
    if model.family == "testcard":
        return "eager", "a test card has no UNet"
    if spec.engine.memory == "low" or spec.engine.attention in ("sliced", "xformers"):
        return "eager", "what saves memory does not go into a compiled graph"
    if not machine.compiles:
        return "eager", "there is no C++ compiler here"
    work = spec.num_frames * spec.steps * size.width * size.height
    if work >= COMPILE_PAYS[machine.device]:
        return "compile", f"{spec.num_frames:,} frames of {size} repay the minutes of compiling on {machine.device}"
    return "eager", f"{spec.num_frames:,} frames of {size} would not repay the minutes of compiling"


def graph_mistakes(spec: JobSpec, model: ModelInfo) -> Iterator[Mistake]:
    """Where a graph of fixed operations cannot do what the job asks for, whichever machine renders it."""
    engine, size = spec.engine, spec.size or Size(*model.native_size)
    if model.layout == "onnx" and engine.backend in ("eager", "compile"):
        yield (
            ("engine", "backend"),
            f"{engine.backend}: the model is an ONNX export, which only ONNX Runtime runs; write auto, or give the "
            "model in diffusers' layout",
        )
    if model.family == "testcard" or (model.layout != "onnx" and engine.backend not in GRAPH_BACKENDS):
        return
    if model.dtype is not None and engine.dtype not in ("auto", model.dtype):
        yield ("engine", "dtype"), f"{engine.dtype}: the model was exported in {model.dtype}; write that, or auto"
    yield from onnx_mistakes(engine)
    step = model.size_step
    if size.width % step or size.height % step:
        yield ("size",), f"{size}: an ONNX graph takes sides that are multiples of {step}; write {_near(size, step)}"


def _near(size: Size, step: int) -> str:
    """The next smaller and the next larger size that halve evenly: ``448x448 or 512x512``."""
    sides = (size.width, size.height)
    down = Size(*(max(side // step, 1) * step for side in sides))
    up = Size(*(-(-side // step) * step for side in sides))
    return f"{down} or {up}" if down != up else f"{up}"


def _memory(spec: JobSpec, machine: Machine, model: ModelInfo) -> tuple[Literal["normal", "low"], str]:
    if spec.engine.memory != "auto":
        return spec.engine.memory, "as given"
    wanted = FAMILIES[model.family].low_memory_bytes
    sliceable = spec.engine.backend in ("auto", "eager") and model.layout == "diffusers"
    if machine.device == "cuda" and machine.memory_bytes < wanted and sliceable:
        return "low", f"the GPU has {machine.memory_bytes / 2**30:.1f} GiB, a model like this wants {wanted >> 30}"
    return "normal", "the model fits"


def _attention(spec: JobSpec, memory: Literal["normal", "low"]) -> tuple[Attention, str]:
    if spec.engine.attention != "auto":
        return spec.engine.attention, "as given"
    if memory == "low":
        return "sliced", "memory is low"
    return "sdpa", "PyTorch's own choice among its kernels"


def _dtype(
    spec: JobSpec, machine: Machine, model: ModelInfo, backend: Backend
) -> tuple[Literal["fp32", "bf16", "fp16"], str]:
    if spec.engine.dtype != "auto":
        return spec.engine.dtype, "as given"
    if backend in GRAPH_BACKENDS and model.dtype in ("fp32", "fp16"):
        return ("fp16" if model.dtype == "fp16" else "fp32"), "the model was exported in it"
    if model.layout == "onnx":
        return "fp32", "a guess: the export does not say, a worker looks into its graph"
    if backend in GRAPH_BACKENDS:
        return ("fp16", "a GPU") if machine.device == "cuda" else ("fp32", "ONNX Runtime computes so on a CPU")
    family = FAMILIES[model.family]
    if machine.device == "cuda" and machine.bf16 and not family.half_vae:
        return "bf16", f"a GPU; {family.title}'s own VAE overflows in fp16"
    if machine.device == "cuda":
        return "fp16", "a GPU"
    if machine.bf16:
        return "bf16", "the CPU has fast bfloat16 (AMX or AVX512-BF16)"
    return "fp32", "the CPU has no fast 16-bit arithmetic"


def _batch(spec: JobSpec, machine: Machine, size: Size, saturation: BatchTimings | None) -> tuple[int, str]:
    """The smallest measured batch that is nearly as fast as the fastest one; without measurements a guess.

    The guess: guided batches saturate an H100 near 16 pictures of 512x512, a CPU near 8 of 256x256; halve as pixels
    double.
    """
    if spec.engine.batch != "auto":
        return spec.engine.batch, "as given"
    if saturation is not None:
        return _saturated(saturation)
    full, at_pixels = (16, 512 * 512) if machine.device == "cuda" else (8, 256 * 256)
    wanted = full * at_pixels // (size.width * size.height)
    batch = min(max(wanted, 1), full, spec.num_frames)
    return batch, f"{size} on {machine.device}, {spec.num_frames} frames"


def _saturated(saturation: BatchTimings) -> tuple[int, str]:
    room = MEMORY_SHARE * saturation.free_bytes
    measured = zip(saturation.batches, saturation.seconds, saturation.peak_bytes, strict=True)
    fitting = [(batch, seconds) for batch, seconds, peak in measured if peak <= room] or [
        (saturation.batches[0], saturation.seconds[0])
    ]
    best = min(seconds for _, seconds in fitting)
    batch = next(batch for batch, seconds in fitting if seconds <= ENOUGH * best)
    curve = ", ".join(f"{batch}: {1000 * seconds:.1f}" for batch, seconds in fitting)
    return batch, f"measured milliseconds a picture and step by batch: {curve}"


def _chunk(spec: JobSpec, batch: int, every: int) -> tuple[int, str]:
    """About a sixteenth of the film, from one batch to 96 frames, in whole batches so that little is padded.

    Between interpolated frames the batches are of anchors, one every ``every`` frames, and a chunk needs the one behind
    its end too: that one belongs into the last batch, not into one of its own.
    """
    if spec.farm.chunk != "auto":
        return spec.farm.chunk, "as given"
    target = min(max(spec.num_frames // 16, batch), 96)
    if every > 1:
        num_batches = max((target // every + 1) // batch, 2 if batch == 1 else 1)
        return every * (num_batches * batch - 1), f"{num_batches * batch} frames in full, {every - 1} between each two"
    return -(-target // batch) * batch, "a sixteenth of the film at most 96 frames, in whole batches"
