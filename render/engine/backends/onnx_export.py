"""Models -> ONNX graphs, through torch's own exporter, in the folder layout and with the names that Optimum uses.

Batch, height and width stay open in every graph. Denoiser and VAE are exported in the dtype asked for (a VAE that would
overflow in it in float32), text encoders in float32, as the engine computes them. What is traced is said by
onnx_modules.py.
"""

import contextlib
import importlib.metadata
import json
import logging
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from render.engine.backends import onnx_modules
from render.engine.backends.eager import EagerModel
from render.engine.backends.loading import Source, open_pipeline, quieten
from render.engine.device import DTYPES
from render.errors import EngineError, pip_install

__all__ = ["EXPORTER", "OnPart", "export_denoiser", "export_model", "export_with_optimum"]

EXPORTER = 1  # part of the cache's keys: one more whenever other graphs are written

OnPart = Callable[[str, float], None]
"""Called with the name of a part that is written, and the seconds that its export took."""


def export_denoiser(models: EagerModel, folder: Path, on_part: OnPart | None = None) -> None:
    """Write the UNet and the VAE's decoder of ``models`` into ``folder``. Raises EngineError."""
    for part in (onnx_modules.unet(models), onnx_modules.vae_decoder(models)):
        _export(part, folder, on_part)


def export_model(source: Source, dtype: torch.dtype, folder: Path, on_part: OnPart | None = None) -> None:
    """Write all of a model in diffusers' layout as ONNX graphs into ``folder``. Raises ModelError, EngineError."""
    pipeline, family = open_pipeline(source, dtype), source.family
    models = EagerModel(getattr(pipeline, family.row.denoiser), pipeline.vae, family, dtype, torch.device("cpu"))
    export_denoiser(models, folder, on_part)
    _export(onnx_modules.vae_encoder(models), folder, on_part)
    for name in family.row.text_encoders:
        part = onnx_modules.text_encoder(name, getattr(pipeline, name), states=family.reads_hidden_states)
        _export(part, folder, on_part)
    for name in ("scheduler", *family.row.tokenizers):  # as they are: a tokenizer saved anew loses files others want
        if (source.folder / name).is_dir():
            shutil.copytree(source.folder / name, folder / name)
    _write_index(source.folder, folder)


def export_with_optimum(source: Path, dtype: str, folder: Path, on_part: OnPart | None = None) -> None:
    """The same through Optimum. Raises EngineError where optimum-onnx is not installed, or fails."""
    try:
        importlib.metadata.version("optimum-onnx")
        from optimum.exporters.onnx import main_export
    except ImportError as error:  # PackageNotFoundError too
        raise EngineError(
            f"--with optimum: optimum-onnx is not installed here ({error}); it needs older transformers and diffusers, "
            f"in an environment of its own: {pip_install('[optimum]')}"
        ) from None
    began = time.perf_counter()
    quieten()
    with _quietly():
        try:
            main_export(
                str(source), output=folder, task="text-to-image", library_name="diffusers", dtype=dtype, device="cpu"
            )
        except (RuntimeError, ValueError, KeyError, TypeError, OSError, NotImplementedError) as error:
            raise EngineError(f"{source}: optimum cannot export it: {_first_line(error)}") from error
    if on_part is not None:
        on_part("all parts, by optimum", time.perf_counter() - began)


def _export(part: onnx_modules.Part, folder: Path, on_part: OnPart | None) -> None:
    began = time.perf_counter()
    path = folder / part.name / "model.onnx"
    path.parent.mkdir(parents=True)
    config = {**part.config, "render_export": _note(part)}  # read by `render.models`, without onnx
    (path.parent / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    with _quietly(), torch.no_grad():
        try:
            program = torch.onnx.export(
                part.module.eval(),
                kwargs=dict(part.inputs),
                dynamo=True,
                dynamic_shapes={name: dict(part.axes.get(name, {})) for name in part.inputs},
                output_names=part.outputs,
                verbose=False,
            )
            assert program is not None
            program.save(path)  # weights beyond 2 GB go into a file beside it
        except ImportError as error:
            raise EngineError(f"cannot export to ONNX here: {error}; {pip_install('[onnx]')}") from None
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, torch.onnx.OnnxExporterError) as error:
            raise EngineError(f"{part.name}: cannot be exported to ONNX: {_first_line(error)}") from error
    if on_part is not None:
        on_part(part.name, time.perf_counter() - began)


def _note(part: onnx_modules.Part) -> dict[str, object]:
    """What nobody can know of a graph without reading it."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    weights = list(part.module.parameters())
    return {"dtype": names[weights[0].dtype], "num_parameters": sum(weight.numel() for weight in weights)}


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporters' notes about themselves: deprecations inside torch, no torchvision, traced branches."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "optimum", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    registration.addFilter(_no_torchvision)
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        registration.removeFilter(_no_torchvision)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _no_torchvision(record: logging.LogRecord) -> bool:
    return "torchvision" not in record.getMessage()


def _first_line(error: Exception) -> str:
    """The cause at the bottom says what happened; what wraps it says that it did."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[0] if lines else type(cause).__name__


def _write_index(source: Path, folder: Path) -> None:
    """The pipeline's index, without the parts that are not exported (a safety checker, an image encoder)."""
    index = json.loads((source / "model_index.json").read_text(encoding="utf-8"))
    kept = {"vae", *(path.name for path in folder.iterdir())}
    for name, value in index.items():
        if isinstance(value, list) and name not in kept:
            index[name] = [None, None]
    if "requires_safety_checker" in index or "safety_checker" in index:
        index["requires_safety_checker"] = False
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
