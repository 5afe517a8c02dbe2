"""The ONNX backend against the eager engine; graphs exported on demand, by the command, and made by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from render import models
from render.cli import main
from render.engine import cache
from render.engine.backends import BACKENDS
from render.engine.backends import onnx_export as export
from render.engine.backends.onnx_session import Graph
from render.engine.engine import Engine, warmup_shapes
from render.engine.engine import open_engine as open_warm
from render.errors import EngineError, ModelError
from render.farm.worker import Worker
from render.plan import Settings, Stopwatch
from render.spec import load
from tests.engine.conftest import latents_of
from tests.models.folders import graph_folder

Open = Callable[..., Engine]

FRAMES = (0, 4, 11)  # a keyframe, and both kinds of walk: an odd batch
SETTINGS = Settings(64, 64, "cpu", "onnx", "fp32", 4, 1, "sdpa", "normal", 8)


@pytest.fixture(scope="session")
def sdxl_graphs(tiny_sdxl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny SDXL as ``render export`` writes it."""
    folder = tmp_path_factory.mktemp("exported") / "graphs"
    assert main(["export", str(tiny_sdxl), str(folder), "--json"]) == 0
    return folder


def latents(engine: Engine) -> torch.Tensor:
    return latents_of(engine, FRAMES)


def pictures(engine: Engine, frames: range) -> dict[int, bytes]:
    return {picture.index: picture.pixels.tobytes() for picture in engine.pictures(frames, Stopwatch())}


def distance(one: Engine, other: Engine) -> float:
    return float((latents(one) - latents(other)).abs().max())


@pytest.mark.long
def test_latents_of_the_demo_model_agree_with_eager(open_engine: Open) -> None:
    """Float32, 20 steps, a size that is not square, an odd batch: within 1e-4. So for SDXL below."""
    job = ("size=128x192", "steps=20", "engine.batch=3")
    assert distance(open_engine("demo", *job), open_engine("demo", *job, "engine.backend=onnx")) < 1e-4


@pytest.mark.slow
def test_an_export_is_made_once_a_machine(tiny_sd: Path, open_engine: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    graph_cache = cache.folder("onnx")
    first = open_engine(tiny_sd, "engine.backend=onnx", "engine.dtype=fp16")
    before = set(graph_cache.iterdir())
    monkeypatch.setattr("render.engine.backends.onnx.export_denoiser", None)
    second = open_engine(tiny_sd, "engine.backend=onnx", "engine.dtype=fp16")
    assert set(graph_cache.iterdir()) == before
    together, apart = pictures(first, range(5)), {}
    for index in range(5):
        apart |= pictures(second, range(index, index + 1))
    assert together == apart
    assert len(set(together.values())) == 5
    eager = open_engine(tiny_sd)
    assert (latents(first) - latents(eager)).abs().max() < 0.02 * latents(eager).abs().max()


@pytest.mark.slow
def test_a_frame_that_fp16_cannot_render_is_rendered_by_torch_in_fp32(tiny_sd: Path, open_engine: Open) -> None:
    engine = open_engine(tiny_sd, "engine.backend=onnx", "engine.dtype=fp16")
    models = engine._loaded.models
    decode = models.decode
    models.decode = lambda latents: decode(latents) * (torch.nan if models.dtype == torch.float16 else 1.0)  # type: ignore[method-assign]
    [picture] = engine.pictures([0], Stopwatch())
    [reference] = open_engine(tiny_sd).pictures([0], Stopwatch())
    assert (picture.remark or ("", ""))[0] == "fp32"
    assert np.abs(picture.pixels.astype(int) - reference.pixels).max() <= 1
    engine._loaded.models._load_plain = None  # type: ignore[attr-defined]
    with pytest.raises(EngineError, match=r"frames 0 came out as NaN or blank; .*fp16 only.*--dtype fp32"):
        list(engine.pictures([0], Stopwatch()))


@pytest.mark.slow
def test_warm_sessions_render_the_next_plan_as_fresh_ones_would(
    tiny_sd: Path, open_engine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After pictures of another size, and a frame that torch rendered in float32."""
    graphs = ("engine.backend=onnx", "engine.dtype=fp16")
    first = open_engine(tiny_sd, *graphs, "size=96x64", "engine.batch=2")
    judged = iter([[0]])
    with monkeypatch.context() as patch:
        patch.setattr("render.engine.bad_frames.bad_pictures", lambda *_: next(judged, []))
        assert [picture.remark is None for picture in first.pictures(range(3), Stopwatch())] == [False, True, True]
    fresh = open_engine(tiny_sd, *graphs, "guidance=3")
    warm = first.warm_for(fresh._plan)
    assert warm is not None
    second = open_warm(fresh._plan, tiny_sd, Stopwatch(), warm)
    assert second._loaded.models is first._loaded.models
    assert pictures(second, range(6)) == pictures(fresh, range(6))


@pytest.mark.slow
def test_an_exported_folder_is_a_model(sdxl_graphs: Path, tiny_sdxl: Path, open_engine: Open) -> None:
    info = models.describe(str(sdxl_graphs))
    plain = models.describe(str(tiny_sdxl))
    assert (info.layout, info.dtype, info.fingerprint != plain.fingerprint) == ("onnx", "fp32", True)
    assert replace(info, layout="diffusers", dtype=None, fingerprint=plain.fingerprint) == plain
    for part in ("denoiser", "vae"):
        ours, theirs = (models.num_parameters(str(folder), part) for folder in (sdxl_graphs, tiny_sdxl))
        assert ours == pytest.approx(theirs, rel=0.5)  # the VAE's encoder is a file of its own
    job = ("size=64x96", "steps=20", "engine.batch=3")
    engine = open_engine(sdxl_graphs, *job)
    assert engine._plan.settings.backend == "onnx"
    warmup = warmup_shapes(engine._plan, engine._sampler.inputs, Stopwatch())
    assert BACKENDS["tensorrt"].make(engine._loaded.models, warmup) is engine._loaded.models
    assert warmup.watch.seconds["compile"] > 0
    assert distance(engine, open_engine(tiny_sdxl, *job)) < 1e-4


@pytest.mark.slow
def test_weights_beside_a_graph_are_part_of_the_fingerprint(sdxl_graphs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(sdxl_graphs, folder)
    before = models.describe(str(folder)).fingerprint
    assert before == models.describe(str(sdxl_graphs)).fingerprint
    (folder / "unet/weights.bin").write_bytes(b"more")
    assert models.describe(str(folder)).fingerprint != before


@pytest.mark.slow
@pytest.mark.parametrize("part", ["unet/model.onnx", "text_encoder_2/model.onnx", "tokenizer/vocab.json"])
def test_a_damaged_export_is_refused(part: str, sdxl_graphs: Path, tmp_path: Path, open_engine: Open) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(sdxl_graphs, folder)
    (folder / part).write_bytes(b"nothing")
    if part.startswith("tokenizer"):
        (folder / "tokenizer/tokenizer.json").unlink(missing_ok=True)
    with pytest.raises(ModelError, match=str(folder)):
        open_engine(folder)


def test_the_command_refuses_what_is_in_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    assert main(["export", "demo", str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert main(["export", "testcard", str(tmp_path / "new")]) == 6
    assert main(["export", str(tmp_path / "missing"), str(tmp_path / "new")]) == 6
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.slow
def test_an_export_that_fails_leaves_nothing(
    tiny_sd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("no such operator\nat length")

    monkeypatch.setattr(torch.onnx, "export", fail)
    assert main(["export", str(tiny_sd), str(tmp_path / "new")]) == 7
    assert "unet: cannot be exported to ONNX: no such operator" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_optimum_is_named_where_it_is_missing(tiny_sd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise export.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    with pytest.raises(EngineError, match=r"pip install '\.\[optimum\]'"):
        export.export_with_optimum(tiny_sd, "fp32", tmp_path)


def test_a_size_that_no_graph_takes_is_refused_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(
        "version: 1\nmode: dream\nmodel: demo\nsize: 136x128\nkeyframes:\n  - {at: 0, prompt: hills}\n"
        "engine: {backend: onnx}\n"
    )
    assert main(["check", str(job)]) == 2
    words = "job.yaml:4: size: 136x128: an ONNX graph takes sides that are multiples of 16; write 128x128 or 144x128"
    assert words in capsys.readouterr().err
    assert main(["check", str(job), "--set", "size=144x128", "--set", f"output.dir={tmp_path / 'out'}"]) == 0


# Graphs made by hand: y = x + weights


def graph(folder: Path, *, batch: int | str = "batch", name: str = "sample", kind: int = TensorProto.FLOAT) -> Path:
    """A graph of one addition."""
    shape = [batch, 3]
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    weights = numpy_helper.from_array(np.array([1, 2, 3], dtype=dtype), "weights")
    inputs = [helper.make_tensor_value_info(name, kind, shape)]
    outputs = [helper.make_tensor_value_info("sum", kind, shape)]
    made = helper.make_graph([helper.make_node("Add", [name, "weights"], ["sum"])], "g", inputs, outputs, [weights])
    path = folder / "unet/model.onnx"
    path.parent.mkdir(exist_ok=True)
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(TensorProto.FLOAT, "fp32"), (TensorProto.FLOAT16, "fp16"), (TensorProto.DOUBLE, None)],
    ids=["float32", "float16", "double"],
)
def test_a_worker_looks_into_a_graph_that_nothing_is_noted_of(kind: int, dtype: str | None, tmp_path: Path) -> None:
    """Before there is a plan: its digest covers the type."""
    folder = graph_folder(tmp_path / "model")
    graph(folder, kind=kind)
    job = load(job_file(tmp_path, folder), ["engine.batch=1"])
    info = Worker("w0").plan(job.spec).model
    assert (info.layout, info.dtype) == ("onnx", dtype)
    assert replace(info, dtype=None) == models.describe(str(folder))


def test_a_plan_says_what_only_a_worker_can_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = job_file(tmp_path, graph_folder(tmp_path / "model"))
    assert main(["check", str(job)]) == 0
    assert main(["plan", str(job)]) == 0
    assert "dtype    a guess: the export does not say, a worker looks into its graph" in capsys.readouterr().out
    assert main(["check", str(job), "--set", "engine.backend=eager"]) == 2
    assert "the model is an ONNX export, which only ONNX Runtime runs" in capsys.readouterr().err
    with pytest.raises(ModelError, match=r"unet/model\.onnx: ONNX Runtime cannot load it"):
        Worker("w0").plan(load(job).spec)


def test_a_noted_graph_is_not_opened(tmp_path: Path) -> None:
    folder = graph_folder(tmp_path / "model", dtype="fp16", num_parameters=7)
    assert Worker("w0").plan(load(job_file(tmp_path, folder), ["engine.batch=1"]).spec).model.dtype == "fp16"


def job_file(folder: Path, model: Path) -> Path:
    path = folder / "job.yaml"
    path.write_text(
        f"version: 1\nmode: dream\nmodel: {model}\nframes: 4\noutput: {{dir: {folder / 'out'}}}\n"
        "keyframes:\n  - {at: 0, prompt: hills}\n"
    )
    return path


def test_tensors_are_bound_where_they_lie(tmp_path: Path) -> None:
    opened = Graph(graph(tmp_path), SETTINGS)
    given = torch.zeros((5, 3))
    assert opened._as_wanted("sample", given).data_ptr() == given.data_ptr()
    assert opened("sum", (5, 3), sample=given).tolist() == [[1.0, 2.0, 3.0]] * 5
    assert opened("sum", (2, 3), sample=torch.zeros((3, 2)).T).tolist() == [[1.0, 2.0, 3.0]] * 2
    assert opened.all(sample=given)["sum"].shape == (5, 3)


def test_fixed_shapes_and_unknown_inputs_are_refused(tmp_path: Path) -> None:
    fixed = Graph(graph(tmp_path, batch=2), SETTINGS)
    fixed.check({"sample": (2, 3)}, "batch")
    with pytest.raises(EngineError, match=r"exported for sample of shape 2x3, and this job needs 4x3 \(batch\)"):
        fixed.check({"sample": (4, 3)}, "batch")
    with pytest.raises(EngineError, match="wants sample, which this version does not feed"):
        fixed.check({"other": (4, 3)}, "batch")
    with pytest.raises(EngineError, match="ONNX Runtime failed"):
        fixed("sum", (4, 3), sample=torch.zeros((4, 3)))


def test_fractions_do_not_become_whole_numbers_in_silence(tmp_path: Path) -> None:
    whole = Graph(graph(tmp_path, name="timestep", kind=TensorProto.INT64), SETTINGS)
    assert whole._as_wanted("timestep", torch.tensor(981.0)).tolist() == [[981]]
    with pytest.raises(EngineError, match="takes whole numbers for timestep, and the sampler gives"):
        whole._as_wanted("timestep", torch.tensor(981.5))


def test_out_of_memory_is_told_as_torch_tells_it(tmp_path: Path) -> None:
    opened = Graph(graph(tmp_path), SETTINGS)
    error = RuntimeError("bfc_arena.cc: Failed to allocate memory for requested buffer of size 8589934592")
    assert isinstance(opened._explained(error), torch.OutOfMemoryError)
    assert isinstance(opened._explained(RuntimeError("Invalid rank")), EngineError)


@pytest.mark.parametrize("backend", ["onnx", "tensorrt"])
def test_a_gpu_that_onnx_runtime_cannot_use_is_an_error(
    backend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the provider is listed and the session falls back to the CPU in silence."""
    path, settings = graph(tmp_path), replace(SETTINGS, device="cuda", backend=backend)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    provider = {"onnx": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}[backend]
    with pytest.raises(EngineError, match=rf"cannot use {provider} here; .*onnxruntime-gpu"):
        Graph(path, settings)
    session = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [provider, "CPUExecutionProvider"])
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda *a, **_: session(*a, providers=["CPUExecutionProvider"])
    )
    with pytest.raises(EngineError, match=rf"cannot use {provider} here: it would fall back to the CPU; .*onnx-gpu"):
        Graph(path, settings)


def test_onnx_runtime_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(EngineError, match=r"not installed here .*; `pip install '\.\[onnx\]'` in /"):
        Graph(graph(tmp_path), SETTINGS)


def test_the_index_names_no_parts_that_were_not_exported(tmp_path: Path) -> None:
    source, folder = tmp_path / "source", tmp_path / "folder"
    (folder / "unet").mkdir(parents=True)
    source.mkdir()
    checker = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    index = {"_class_name": "X", "unet": ["diffusers", "U"], "safety_checker": checker, "requires_safety_checker": True}
    (source / "model_index.json").write_text(json.dumps(index))
    export._write_index(source, folder)
    written = json.loads((folder / "model_index.json").read_text())
    assert written == index | {"safety_checker": [None, None], "requires_safety_checker": False}
