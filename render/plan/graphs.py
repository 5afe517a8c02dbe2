"""What a job asks of an ONNX graph that was fixed when it was exported. Pure: job spec and model go in."""

from collections.abc import Iterator

from render.models import ModelInfo
from render.plan.settings import GRAPH_BACKENDS
from render.spec import JobSpec, Mistake, Size, onnx_mistakes

__all__ = ["graph_mistakes"]


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
