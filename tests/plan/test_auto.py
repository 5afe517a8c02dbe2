"""auto becomes a value once; a rerun anywhere keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from render.errors import SpecError
from render.models import ModelInfo
from render.plan import BatchTimings, Machine, resolve
from render.plan.auto import resolve_again
from render.spec import JobSpec

Make = Callable[..., JobSpec]

SD = ModelInfo("sd", (512, 512), 4, 8, {}, "f" * 64)
SDXL = replace(SD, family="sdxl", native_size=(1024, 1024))


def gpu(*, bf16: bool = True) -> Machine:
    return Machine("cuda", "H100", cores=16, memory_bytes=1 << 36, bf16=bf16, versions={})


@pytest.mark.parametrize(
    ("cuda", "bf16", "model", "dtype"),
    [
        (True, True, SD, "fp16"),
        (True, True, SDXL, "bf16"),
        (True, False, SDXL, "fp16"),
        (False, True, SD, "bf16"),
        (False, False, SD, "fp32"),
    ],
    ids=["gpu", "gpu sdxl", "old gpu sdxl", "cpu with amx", "cpu"],
)
def test_dtype(cuda: bool, bf16: bool, model: ModelInfo, dtype: str, spec_of: Make, machine: Machine) -> None:
    here = gpu(bf16=bf16) if cuda else replace(machine, bf16=bf16)
    settings = resolve(spec_of(), here, model)
    assert settings.dtype == dtype
    assert settings.reasons["dtype"] != "as given"
    assert resolve(spec_of("engine.dtype=fp32"), here, model).dtype == "fp32"


@pytest.mark.parametrize(
    ("size", "frames", "batch"),
    [("512x512", 96, 16), ("1024x1024", 96, 4), ("4096x4096", 96, 1), ("64x64", 96, 16), ("512x512", 5, 5)],
)
def test_batch_halves_as_pixels_double(size: str, frames: int, batch: int, spec_of: Make) -> None:
    assert resolve(spec_of(f"size={size}", f"frames={frames}"), gpu(), SD).batch == batch


@pytest.mark.parametrize(
    ("frames", "batch", "chunk"), [(1, 8, 8), (96, 8, 8), (288, 8, 24), (100_000, 8, 96), (100_000, 10, 100)]
)
def test_chunks_are_whole_batches(frames: int, batch: int, chunk: int, spec_of: Make, machine: Machine) -> None:
    spec = spec_of(f"frames={frames}", f"engine.batch={batch}", "farm.chunk=auto")
    assert resolve(spec, machine, SD).chunk == chunk


CURVE = BatchTimings((1, 2, 4, 8, 16), (0.40, 0.30, 0.25, 0.192, 0.19), (10, 20, 40, 80, 160), free_bytes=1000)


@pytest.mark.parametrize(
    ("curve", "batch"),
    [
        (CURVE, 8),
        (replace(CURVE, free_bytes=100), 8),
        (replace(CURVE, free_bytes=60), 4),
        (replace(CURVE, free_bytes=1), 1),
        (BatchTimings((1,), (9.0,), (1,), 10), 1),
    ],
    ids=["smallest within 5 %", "80 of 100 bytes", "memory decides", "never less than 1", "slow device"],
)
def test_a_measured_batch(curve: BatchTimings, batch: int, spec_of: Make) -> None:
    settings = resolve(spec_of("frames=96"), gpu(), SD, curve)
    assert settings.batch == batch
    assert settings.reasons["batch"].startswith("measured")
    assert resolve(spec_of("engine.batch=3"), gpu(), SD, curve).batch == 3


@pytest.mark.parametrize(
    ("assignments", "compiles", "backend"),
    [
        (["frames=50000", "size=512x512"], True, "compile"),
        (["frames=50000", "size=512x512"], False, "eager"),
        (["frames=100", "size=512x512"], True, "eager"),
        (["frames=50000", "size=512x512", "engine.memory=low"], True, "eager"),
        (["frames=100", "engine.backend=compile"], False, "compile"),
    ],
    ids=["long", "no compiler", "short", "low memory", "as given"],
)
def test_backend(assignments: list[str], compiles: bool, backend: str, spec_of: Make) -> None:
    settings = resolve(spec_of(*assignments), replace(gpu(), compiles=compiles), SD)
    assert settings.backend == backend
    assert settings.reasons["backend"]


def test_a_small_gpu_runs_in_low_memory(spec_of: Make) -> None:
    small = replace(gpu(), memory_bytes=6 << 30)
    assert [resolve(spec_of(), small, model).memory for model in (SD, SDXL)] == ["normal", "low"]
    assert resolve(spec_of(), small, SDXL).attention == "sliced"
    assert resolve(spec_of("engine.memory=normal"), small, SDXL).attention == "sdpa"


def test_the_models_size_unless_given(spec_of: Make, machine: Machine) -> None:
    assert (resolve(spec_of("size=null"), machine, SDXL).width, resolve(spec_of(), machine, SDXL).width) == (1024, 128)


@pytest.mark.parametrize("workers", ["1", "2", "64", "auto"])
def test_the_number_of_workers_changes_nothing(workers: str, spec_of: Make, machine: Machine) -> None:
    assert resolve(spec_of(f"farm.workers={workers}"), machine, SD) == resolve(spec_of(), machine, SD)


@pytest.mark.parametrize("frames", [1, 12, 300])
def test_a_rerun_on_another_machine_keeps_every_value(frames: int, spec_of: Make, machine: Machine) -> None:
    spec = spec_of(f"frames={frames}", "farm.chunk=auto", "size=null")
    before = resolve(spec, gpu(), SDXL)
    assert before != resolve(spec, machine, SDXL)
    again = resolve_again(spec, SDXL, before)
    assert again == before
    assert again.reasons == before.reasons


@pytest.mark.parametrize(
    ("assignment", "name", "value"),
    [
        ("engine.batch=3", "batch", 3),
        ("engine.threads=7", "threads", 7),
        ("engine.dtype=bf16", "dtype", "bf16"),
        ("engine.device=cpu", "device", "cpu"),
        ("farm.chunk=5", "chunk", 5),
        ("size=256x256", "width", 256),
    ],
)
def test_a_rerun_takes_what_is_given_now(assignment: str, name: str, value: object, spec_of: Make) -> None:
    before = resolve(spec_of("farm.chunk=auto"), gpu(), SD)
    assert getattr(resolve_again(spec_of("farm.chunk=auto", assignment), SD, before), name) == value


GRAPHS = replace(SD, layout="onnx", dtype="fp16", size_step=64)


@pytest.mark.parametrize("cuda", [True, False], ids=["gpu", "cpu"])
def test_an_export_runs_as_it_was_exported(cuda: bool, spec_of: Make, machine: Machine) -> None:
    here = replace(gpu(), memory_bytes=1 << 30) if cuda else machine
    settings = resolve(spec_of("size=512x512"), here, GRAPHS)
    assert (settings.backend, settings.dtype, settings.memory) == ("onnx", "fp16", "normal")
    assert resolve_again(spec_of("size=512x512"), GRAPHS, settings) == settings


def test_what_an_unread_export_computes_in_is_a_guess(spec_of: Make, machine: Machine) -> None:
    unread = replace(GRAPHS, dtype=None)
    guessed = resolve(spec_of("size=512x512"), machine, unread)
    assert guessed.dtype == "fp32"
    assert "a worker looks into its graph" in guessed.reasons["dtype"]
    assert resolve(spec_of("size=512x512", "engine.dtype=fp16"), machine, unread).dtype == "fp16"


@pytest.mark.parametrize(
    ("model", "assignments", "words"),
    [
        (GRAPHS, ["engine.backend=eager"], "engine.backend: eager: the model is an ONNX export"),
        (GRAPHS, ["engine.backend=compile"], "engine.backend: compile: the model is an ONNX export"),
        (GRAPHS, ["engine.dtype=fp32"], "engine.dtype: fp32: the model was exported in fp16"),
        (GRAPHS, ["engine.memory=low"], "engine.memory: low: an ONNX graph cannot be sliced"),
        (
            GRAPHS,
            ["size=504x512"],
            "size: 504x512: an ONNX graph takes sides that are multiples of 64; write 448x512 or",
        ),
        (replace(SD, size_step=64), ["engine.backend=onnx", "size=520x72"], "write 512x64 or 576x128"),
    ],
    ids=["eager", "compile", "dtype", "memory", "size", "size on demand"],
)
def test_what_a_graph_cannot_do_is_refused(
    model: ModelInfo, assignments: list[str], words: str, spec_of: Make, machine: Machine
) -> None:
    with pytest.raises(SpecError, match=words):
        resolve(spec_of("size=512x512", *assignments), machine, model)
