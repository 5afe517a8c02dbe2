"""``auto`` -> values. Pure: what a worker found of its machine and model goes in, settings and reasons come out.

Resolved once a job, kept in the plan, read back on a rerun. Nothing here looks at ``farm``, except that chunk bounds
follow ``farm.chunk``: the number of workers never changes a pixel.
"""

from dataclasses import replace
from typing import Any, TypeVar, cast

from render.errors import SpecError, count
from render.models import FAMILIES, ModelInfo
from render.plan.graphs import graph_mistakes
from render.plan.machine import Machine
from render.plan.presets import approximations
from render.plan.sampling import sampling_mistakes
from render.plan.settings import (
    GRAPH_BACKENDS,
    Attention,
    Backend,
    BatchTimings,
    Choice,
    Dtype,
    Memory,
    Settings,
)
from render.spec import JobSpec, Size

__all__ = ["resolve", "resolve_again"]

T = TypeVar("T")

GIVEN = "as given"  # the reason of what the job spec says itself
ENOUGH = 1.05  # of the fastest batch's time: then a batch is large enough; smaller ones waste less of a chunk's tail
MEMORY_SHARE = 0.8  # of what is free: allocators fragment, and the desktop wants some too

# Frames x steps x pixels from which a compiled UNet repays a minute of compiling. On two CPU cores compiling saves
# about 8 ms of 120 on a picture of 128x128 in 20 guided steps; on an H100 about 20 ms of 85 at 512x512.
COMPILE_PAYS = {"cpu": 7_500 * 20 * 128 * 128, "cuda": 4_500 * 20 * 512 * 512}


def resolve(spec: JobSpec, machine: Machine, model: ModelInfo, timings: BatchTimings | None = None) -> Settings:
    """Settings of a job whose first worker runs on ``machine`` with ``model``.

    Without ``timings`` a batch that is ``auto`` is guessed: good enough for ``render plan`` and for test cards.
    Raises SpecError for what the model's graph, or the job's sampler on this model, cannot do.
    """
    for path, message in (*graph_mistakes(spec, model), *sampling_mistakes(spec, model)):
        raise SpecError(f"{'.'.join(str(key) for key in path)}: {message}")
    choices = _choices(spec, machine, model, timings)
    values = {name: choice.value for name, choice in choices.items()}
    size = values.pop("size")
    reasons = {name: choice.reason for name, choice in choices.items() if choice.reason}
    return Settings(width=size.width, height=size.height, reasons=reasons, **values)


def _choices(spec: JobSpec, machine: Machine, model: ModelInfo, timings: BatchTimings | None) -> dict[str, Choice[Any]]:
    """Every setting by its name; ``size`` stands for width and height."""
    given = spec.engine
    size = spec.size or Size(*model.native_size)
    backend = _unless_given(given.backend, _backend(spec, machine, model, size))
    memory = _unless_given(given.memory, _memory(spec, machine, model))
    batch = _unless_given(given.batch, _batch(spec, machine, size, timings))
    approximate, reasons = approximations(given)
    return {
        "device": Choice(machine.device, "what the first worker found" if given.device == "auto" else GIVEN),
        "backend": backend,
        "attention": _unless_given(given.attention, _attention(memory.value)),
        "memory": memory,
        "size": Choice(size, GIVEN if spec.size else "the model's native size"),
        "dtype": _unless_given(given.dtype, _dtype(machine, model, backend.value)),
        "batch": batch,
        "chunk": _unless_given(spec.farm.chunk, _chunk(spec, batch.value, approximate.interpolate_frames)),
        **{name: Choice(value, reasons.get(name, "")) for name, value in vars(approximate).items()},
        "threads": _unless_given(given.threads, Choice(machine.cores, "all cores of the first worker's machine")),
    }


def _unless_given(given: object, auto: Choice[T]) -> Choice[T]:
    """What the job spec gives, else what ``auto`` comes to."""
    return auto if given == "auto" else Choice(cast("T", given), GIVEN)


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


def _backend(spec: JobSpec, machine: Machine, model: ModelInfo, size: Size) -> Choice[Backend]:
    """Compiling costs a minute once; it pays where the film is long enough to win it back."""
    if model.layout == "onnx":
        return Choice("onnx", "the model is an ONNX export")
    if model.family == "testcard":
        return Choice("eager", "a test card has no UNet")
    if spec.engine.memory == "low" or spec.engine.attention in ("sliced", "xformers"):
        return Choice("eager", "what saves memory does not go into a compiled graph")
    if not machine.compiles:
        return Choice("eager", "there is no C++ compiler here")
    work = spec.num_frames * spec.steps * size.width * size.height
    if work >= COMPILE_PAYS[machine.device]:
        return Choice(
            "compile", f"{count(spec.num_frames, 'frame')} of {size} repay the minutes of compiling on {machine.device}"
        )
    return Choice("eager", f"{count(spec.num_frames, 'frame')} of {size} would not repay the minutes of compiling")


def _memory(spec: JobSpec, machine: Machine, model: ModelInfo) -> Choice[Memory]:
    wanted = FAMILIES[model.family].low_memory_bytes
    sliceable = spec.engine.backend in ("auto", "eager") and model.layout == "diffusers"
    if machine.device == "cuda" and machine.memory_bytes < wanted and sliceable:
        return Choice(
            "low", f"the GPU has {machine.memory_bytes / 2**30:.1f} GiB, a model like this wants {wanted >> 30}"
        )
    return Choice("normal", "the model fits")


def _attention(memory: Memory) -> Choice[Attention]:
    if memory == "low":
        return Choice("sliced", "memory is low")
    return Choice("sdpa", "PyTorch's own choice among its kernels")


def _dtype(machine: Machine, model: ModelInfo, backend: Backend) -> Choice[Dtype]:
    if backend in GRAPH_BACKENDS and model.dtype in ("fp32", "fp16"):
        return Choice("fp16" if model.dtype == "fp16" else "fp32", "the model was exported in it")
    if model.layout == "onnx":
        return Choice("fp32", "a guess: the export does not say, a worker looks into its graph")
    if backend in GRAPH_BACKENDS and machine.device != "cuda":
        return Choice("fp32", "ONNX Runtime computes so on a CPU")
    if backend in GRAPH_BACKENDS:
        return Choice("fp16", "a GPU")
    family = FAMILIES[model.family]
    if machine.device == "cuda" and machine.bf16 and not family.half_vae:
        return Choice("bf16", f"a GPU; {family.title}'s own VAE overflows in fp16")
    if machine.device == "cuda":
        return Choice("fp16", "a GPU")
    if machine.bf16:
        return Choice("bf16", "the CPU has fast bfloat16 (AMX or AVX512-BF16)")
    return Choice("fp32", "the CPU has no fast 16-bit arithmetic")


def _batch(spec: JobSpec, machine: Machine, size: Size, timings: BatchTimings | None) -> Choice[int]:
    """The smallest measured batch that is nearly as fast as the fastest one; without measurements a guess.

    The guess: guided batches saturate an H100 near 16 pictures of 512x512, a CPU near 8 of 256x256; halve as pixels
    double.
    """
    if timings is not None:
        return _saturated(timings)
    full, at_pixels = (16, 512 * 512) if machine.device == "cuda" else (8, 256 * 256)
    wanted = full * at_pixels // (size.width * size.height)
    batch = min(max(wanted, 1), full, spec.num_frames)
    return Choice(batch, f"{size} on {machine.device}, {count(spec.num_frames, 'frame')}")


def _saturated(timings: BatchTimings) -> Choice[int]:
    room = MEMORY_SHARE * timings.free_bytes
    measured = zip(timings.batches, timings.seconds, timings.peak_bytes, strict=True)
    fitting = [(batch, seconds) for batch, seconds, peak in measured if peak <= room] or [
        (timings.batches[0], timings.seconds[0])
    ]
    best = min(seconds for _, seconds in fitting)
    batch = next(batch for batch, seconds in fitting if seconds <= ENOUGH * best)
    curve = ", ".join(f"{batch}: {1000 * seconds:.1f}" for batch, seconds in fitting)
    return Choice(batch, f"measured milliseconds a picture and step by batch: {curve}")


def _chunk(spec: JobSpec, batch: int, every: int) -> Choice[int]:
    """About a sixteenth of the film, from one batch to 96 frames, in whole batches so that little is padded.

    Between interpolated frames the batches are of anchors, one every ``every`` frames, and a chunk needs the one behind
    its end too: that one belongs into the last batch, not into one of its own.
    """
    target = min(max(spec.num_frames // 16, batch), 96)
    if every > 1:
        num_batches = max((target // every + 1) // batch, 2 if batch == 1 else 1)
        return Choice(
            every * (num_batches * batch - 1),
            f"{count(num_batches * batch, 'frame')} in full, {every - 1} between each two",
        )
    return Choice(-(-target // batch) * batch, "a sixteenth of the film at most 96 frames, in whole batches")
