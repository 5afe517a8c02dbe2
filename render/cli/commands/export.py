"""``render export``: a model in diffusers' layout -> a folder of ONNX graphs, whole or not at all."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from render import models
from render.cli.parser import add_trust
from render.errors import ModelError, SpecError, StoreError

__all__ = ["EXAMPLES", "add", "export", "run"]

EXAMPLES = "example: render export demo out/demo-onnx"


def add(parser: argparse.ArgumentParser) -> None:
    """Which model, and where to."""
    parser.add_argument("model", help="demo, a hub id or a folder in diffusers' layout")
    parser.add_argument("dir", type=Path, metavar="DIR", help="a folder that does not exist yet, or is empty")
    parser.add_argument("--dtype", choices=("fp32", "fp16"), default="fp32", help="of UNet and VAE (default: fp32)")
    add_trust(parser)
    parser.add_argument("--with", dest="optimum", choices=("optimum",), help="export through Optimum instead")


def run(options: argparse.Namespace) -> int:
    """Export, with a line on stderr for every part."""

    def on_part(part: str, seconds: float) -> None:
        print(f"export: {part} {seconds:.1f} s", file=sys.stderr, flush=True)

    summary = export(options.model, options.dir, options.dtype, on_part, optimum=bool(options.optimum))
    print(json.dumps(summary) if options.json else f"{summary['dir']}: {summary['dtype']}, use it as a job's model")
    return 0


def export(
    model: str, folder: Path, dtype: Literal["fp32", "fp16"], on_part: Callable[[str, float], None], *, optimum: bool
) -> dict[str, Any]:
    """Write ``folder`` and say what it is; ``on_part`` is called with every part and its seconds.

    Raises SpecError for a folder that is in the way, ModelError, EngineError, StoreError.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SpecError(f"{folder}: is there already, and not empty; give another folder, or delete it first")
    if models.testcard_cost_s(model) is not None:
        raise ModelError(f"{model!r} has no network; give demo, a hub id or a folder")
    info = models.describe(model, download=True, fingerprint=False)
    if info.layout == "onnx":
        raise ModelError(f"{model!r} is an ONNX export already; give the model it was made of")
    began = time.perf_counter()
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)  # what a killed export left
        temporary.mkdir(parents=True)
        _write(model, temporary, dtype, on_part, optimum=optimum)
        if folder.is_dir():
            folder.rmdir()
        temporary.rename(folder)
    except OSError as error:
        raise StoreError.of(error, folder) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return {
        "model": model,
        "dir": str(folder),
        "dtype": dtype,
        "exporter": "optimum" if optimum else "torch",
        "seconds": round(time.perf_counter() - began, 1),
    }


def _write(
    model: str, folder: Path, dtype: Literal["fp32", "fp16"], on_part: Callable[[str, float], None], *, optimum: bool
) -> None:
    from render.engine.backends import onnx_export as exporter
    from render.engine.device import DTYPES

    source = models.find(model, download=True)
    if optimum:
        exporter.export_with_optimum(source, dtype, folder, on_part)
        return
    family = models.describe(model, fingerprint=False).family
    exporter.export_model(source, family, DTYPES[dtype], folder, on_part)
