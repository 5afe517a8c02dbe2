"""``render export``: a model in diffusers' layout -> a folder of ONNX graphs, whole or not at all."""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from render import models
from render.cli.parser import add_trust
from render.cli.places import given_folder
from render.errors import ModelError, SpecError, StoreError

__all__ = ["EXAMPLES", "add", "export", "run"]

EXAMPLES = "example: render export demo out/demo-onnx"


def add(parser: argparse.ArgumentParser) -> None:
    """Which model, and where to."""
    parser.add_argument("model", help="demo, a hub id or a folder in diffusers' layout")
    parser.add_argument("dir", type=given_folder, metavar="DIR", help="a folder that does not exist yet, or is empty")
    parser.add_argument("--dtype", choices=("fp32", "fp16"), default="fp32", help="of UNet and VAE (default: fp32)")
    add_trust(parser)
    parser.add_argument("--with", dest="optimum", choices=("optimum",), help="export through Optimum instead")


def run(options: argparse.Namespace) -> int:
    """Export, with a line on stderr for every part."""

    def on_part(part: str, seconds: float) -> None:
        print(f"export: {part} {seconds:.1f} s", file=sys.stderr, flush=True)

    summary = export(options, on_part)
    print(json.dumps(summary) if options.json else f"{summary['dir']}: {summary['dtype']}, use it as a job's model")
    return 0


def export(options: argparse.Namespace, on_part: Callable[[str, float], None]) -> dict[str, Any]:
    """Write the folder asked for and say what it is; ``on_part`` is called with every part and its seconds.

    Raises SpecError for a folder that is in the way, ModelError, EngineError, StoreError.
    """
    model, folder = options.model, options.dir
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SpecError(f"{folder}: is there already, and not empty; give another folder, or delete it first")
    if models.testcard_cost_s(model) is not None:
        raise ModelError(f"{model!r} has no network; give demo, a hub id or a folder")
    info = models.describe(model, download=True, fingerprint=False, trust=options.trust)
    if info.layout == "onnx":
        raise ModelError(f"{model!r} is an ONNX export already; give the model it was made of")
    began = time.perf_counter()
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)  # what a killed export left
        temporary.mkdir(parents=True)
        _write(options, info.family, temporary, on_part)
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
        "dtype": options.dtype,
        "exporter": "optimum" if options.optimum else "torch",
        "seconds": round(time.perf_counter() - began, 1),
    }


def _write(options: argparse.Namespace, family: str, folder: Path, on_part: Callable[[str, float], None]) -> None:
    from render.engine.backends import onnx_export as exporter
    from render.engine.backends.loading import Source
    from render.engine.device import DTYPES
    from render.engine.families import family_of

    source = models.find(options.model, download=True, trust=options.trust)
    if options.optimum:
        exporter.export_with_optimum(source, options.dtype, folder, on_part)
        return
    model = Source(source, family_of(family), options.trust)
    exporter.export_model(model, DTYPES[options.dtype], folder, on_part)
