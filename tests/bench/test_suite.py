"""Which cases are measured."""

from __future__ import annotations

from dataclasses import replace

from render.bench.case import Case, plan_of
from render.bench.options import Options
from render.bench.suite import APPROXIMATIONS, suite
from render.models import describe
from render.plan import Machine

FAST = Machine("cpu", "test CPU", cores=2, memory_bytes=8 << 30, bf16=True, versions={})


def test_the_ladder_is_a_chain_from_diffusers_to_our_fastest() -> None:
    made = suite(Options(), FAST, "sd", (128, 128))
    assert [rung.cause for rung in made.ablations] == ["loop", "batch", "bf16 for fp32", "compile"]
    assert made.ablations[0].before == Case("demo", "fp32", 1, renderer="diffusers")
    assert all(a.after == b.before for a, b in zip(made.ablations, made.ablations[1:], strict=False))
    assert made.ablations[-1].after == made.best
    for rung in made.ablations:
        assert {rung.before, rung.after} | {case for case in (rung.start, rung.apart) if case} <= set(made.speed)


def test_baselines_are_a_b_b_in_our_dtype_and_c() -> None:
    made = suite(Options(), FAST, "sd", (128, 128))
    told = [(case.backend, case.dtype, case.batch) for case in made.baselines]
    assert told == [("eager", "fp32", 1), ("eager", "fp32", 16), ("eager", "bf16", 16), ("compile", "bf16", 16)]
    assert suite(Options(baselines=False), FAST, "sd", (128, 128)).baselines == ()


def test_a_gpu_begins_in_16_bits() -> None:
    gpu = replace(FAST, device="cuda")
    assert {case.dtype for case in suite(Options(), gpu, "sd", (512, 512)).speed} == {"fp16"}
    assert {case.dtype for case in suite(Options(), gpu, "sdxl", (1024, 1024)).speed} == {"bf16"}


def test_onnx_graphs_are_measured_in_a_dtype_they_have() -> None:
    for machine, dtype in ((FAST, "fp32"), (replace(FAST, device="cuda"), "fp16")):
        made = suite(Options(model="sdxl", backends=("onnx",)), machine, "sdxl", (128, 128))
        assert {case.dtype for case in (*made.speed, *made.films) if case.backend == "onnx"} == {dtype}
        assert (made.best.backend, made.best.dtype) == ("onnx", dtype)
    asked = suite(Options(backends=("onnx",), dtypes=("bf16",)), FAST, "sd", (128, 128))
    assert {case.dtype for case in asked.speed if case.backend == "onnx"} == {"bf16"}, "what was asked for is tried"


def test_every_approximation_is_a_case() -> None:
    made = suite(Options(), FAST, "sd", (128, 128))
    assert list(made.accuracy) == ["float32", "exact", *APPROXIMATIONS]


def test_variations_fit_the_model() -> None:
    info = describe("demo", fingerprint=False)
    for case in suite(Options(), FAST, "sd", info.native_size).variations:
        assert plan_of(case, 16, "demo", FAST, info).settings.batch == 16
