"""The compiled backend: UNet and VAE decoder as whole graphs of static shape, through torch.compile and Inductor.

Kernels are kept in the machine's cache, one folder a kind of plan. One worker compiles while the others of its
machine wait at the folder's lock, so that they find it warm instead of racing (facts of Inductor's cache: it holds for
one version of torch, of Triton, and one kind of device).

Shapes: N batch (twice the pictures under guidance), M the VAE's micro-batch, C, H, W channels and size of latents,
F channels of deep features.
"""

import contextlib
import hashlib
import json
import os
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType, MethodType
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor
from torch._dynamo.eval_frame import remove_from_cache

from render.engine import cache
from render.engine.backends.eager import EagerModel
from render.engine.text import Conditioning
from render.errors import EngineError
from render.plan import Stopwatch

__all__ = ["Compiled", "quiet"]

# Chosen by measurement. CPU, two cores, demo model in bf16, batch 16, milliseconds a picture (UNet, 20 guided steps):
# eager 119, compiled contiguous 113, channels_last 132, frozen contiguous 120, frozen channels_last 108.
OPTIONS: dict[str, dict[str, str | int | bool | Callable[..., Any]]] = {"cpu": {"freezing": True}, "cuda": {}}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Dynamo's paragraph on diffusers' ``functools.lru_cache``: what it caches is a constant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Dynamo detected a call to a `functools.lru_cache`", UserWarning)
        yield


class Compiled:
    """A backend whose first calls of a shape compile, and whose later ones are fast."""

    def __init__(
        self,
        models: EagerModel,
        evaluations: Sequence[tuple[Tensor, Conditioning]],
        latents_MCHW: Tensor,
        *,
        deep: bool = False,
    ) -> None:
        """Nothing is compiled yet: ``warm_up`` does, with inputs of the shapes that will come (see ``WarmupShapes``).

        Raises EngineError where the machine cannot compile.
        """
        models.arrange(torch.channels_last)
        self._models = models
        options = OPTIONS[models.device.type]
        self._predict = _graph(models.predict, options)
        self._predict_with_deep = _graph(models.predict_with_deep, options)
        self._predict_shallow = _graph(models.predict_shallow, options)
        self._paint = _graph(models.paint, options)
        self._evaluations = tuple(evaluations)
        self._latents_MCHW = latents_MCHW
        self._deep = deep

    def warm_up(self, watch: Stopwatch) -> None:
        """Compile, or read the kernels that an earlier worker left in the cache; charged to ``compile``."""
        folder = cache.folder("compiled") / self._key()
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
        with watch("compile"), FileLock(f"{folder}.lock"), torch.no_grad(), quiet():
            try:
                for latents_NCHW, conditioning in self._evaluations:
                    self._evaluate_once(latents_NCHW, conditioning)
                self.decode(self._latents_MCHW)
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, OSError) as error:
                raise EngineError(f"engine.backend: this model cannot be compiled here: {_reason(error)}") from error

    def _evaluate_once(self, latents_NCHW: Tensor, conditioning: Conditioning) -> None:
        """Call all that will be called with inputs of this shape."""
        zero = torch.zeros((), device=latents_NCHW.device)
        if not self._deep:
            self.denoise(latents_NCHW, zero, conditioning)
            return
        _, deep_NFHW = self.denoise_with_deep(latents_NCHW, zero, conditioning)
        self.denoise_shallow(latents_NCHW, zero, conditioning, deep_NFHW)

    def denoise(self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet's output, (N, C, H, W)."""
        with self._models.denoising():
            output: Tensor = self._predict(self._models.unet_input(latents_NCHW), timestep, conditioning)
        return output

    def denoise_with_deep(
        self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning
    ) -> tuple[Tensor, Tensor]:
        """The same output, and the deep features that led to it, (N, F, H, W)."""
        with self._models.denoising():
            output: tuple[Tensor, Tensor] = self._predict_with_deep(
                self._models.unet_input(latents_NCHW), timestep, conditioning
            )
        return output

    def denoise_shallow(
        self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning, deep_NFHW: Tensor
    ) -> Tensor:
        """The output with these deep features."""
        latents_NCHW, deep_NFHW = self._models.unet_input(latents_NCHW), self._models.unet_input(deep_NFHW)
        with self._models.denoising():
            output: Tensor = self._predict_shallow(latents_NCHW, timestep, conditioning, deep_NFHW)
        return output

    def decode(self, latents_NCHW: Tensor) -> Tensor:
        """Pictures (N, 3, height, width) in float32."""
        pictures: Tensor = self._paint(self._models.vae_input(latents_NCHW))
        return pictures.float()

    def _key(self) -> str:
        """One folder a version of torch, kind of device, and shape of graph; the weights are no part of it."""
        models = self._models
        device = (
            torch.cuda.get_device_name() if models.device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
        )
        shapes = [list(latents.shape) for latents in (*(pair[0] for pair in self._evaluations), self._latents_MCHW)]
        what = [torch.__version__, device, str(models.dtype), shapes, torch.get_num_threads(), self._deep]
        configs = [dict(part.config) for part in (models.unet, models.vae)]
        return hashlib.sha256(json.dumps([what, configs], sort_keys=True, default=str).encode()).hexdigest()[:16]


def _graph(method: Any, options: dict[str, str | int | bool | Callable[..., Any]]) -> Any:
    """A bound method, to be compiled as one graph a shape.

    Dynamo keeps graphs by code object, for ever, and refuses a ninth of one. So each has a code object of its own, and
    its graphs, with weights frozen into them, go when it goes: plans that a process opens one after another share
    neither limit nor memory.
    """
    function = method.__func__
    code = function.__code__.replace()
    own = FunctionType(code, function.__globals__, function.__name__, function.__defaults__)
    graph = torch.compile(MethodType(own, method.__self__), fullgraph=True, dynamic=False, options=options)
    weakref.finalize(graph, remove_from_cache, code).atexit = False
    return graph


def _reason(error: Exception) -> str:
    inner = getattr(error, "inner_exception", error)  # what failed in Inductor, without the words around it
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    return f"{lines[0] if lines else type(error).__name__}; write backend: eager, or install a C++ compiler"
