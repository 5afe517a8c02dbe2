"""One ONNX graph in an ONNX Runtime session: on the CPU, through CUDA or TensorRT. The only file with onnxruntime.

Tensors are bound where they lie, on the CPU or on a GPU: nothing is copied on the way into a graph or out of it. A
session that landed on another device than the plan's is refused, never used.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from render.engine import cache
from render.engine.device import DTYPES
from render.errors import EngineError, ModelError, pip_install
from render.models import FAMILIES, ModelInfo
from render.plan import Settings

__all__ = ["Graph", "with_dtype"]

TYPES = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(int64)": torch.int64,
    "tensor(int32)": torch.int32,
}
PROVIDERS = {
    ("onnx", "cpu"): ("CPUExecutionProvider",),
    ("onnx", "cuda"): ("CUDAExecutionProvider",),
    ("tensorrt", "cuda"): ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
}
"""(backend, device) -> providers in order of preference; the first one must be among those that are used."""
OUT_OF_MEMORY = ("out of memory", "failed to allocate", "bad_alloc", "bad allocation", "cuda_error_out_of_memory")


class Graph:
    """A graph ready to be called. ``inputs`` are (dtype, shape) by name; a dimension that is open is text or None."""

    def __init__(self, path: Path, settings: Settings) -> None:
        """Open ``path`` as the settings say: device, threads, provider.

        Raises ModelError for a file that cannot be loaded, EngineError where ONNX Runtime cannot use the device.
        """
        self.path = path
        self.name = f"{path.parent.name}/{path.name}"
        self._session = _session(path, settings)
        self.inputs: dict[str, tuple[torch.dtype, list[int | str | None]]] = {}
        for given in self._session.get_inputs():
            if given.type not in TYPES:
                raise ModelError(f"{path}: its input {given.name} is a {given.type}; known: {', '.join(TYPES)}")
            self.inputs[given.name] = (TYPES[given.type], list(given.shape))
        self.outputs = {given.name: TYPES.get(given.type, torch.float32) for given in self._session.get_outputs()}

    def check(self, shapes: Mapping[str, tuple[int, ...]], what: str) -> None:
        """Raises EngineError where the graph wants other inputs, or fixed shapes that are not those of ``shapes``.

        ``what`` the shapes are made of, for the message.
        """
        if missing := set(self.inputs) - set(shapes):
            raise EngineError(f"{self.path}: it wants {', '.join(sorted(missing))}, which this version does not feed")
        for name, (_, fixed) in self.inputs.items():
            wanted = shapes[name]
            if len(wanted) == len(fixed) and any(
                isinstance(a, int) and a != b for a, b in zip(fixed, wanted, strict=True)
            ):
                raise EngineError(
                    f"{self.path}: it was exported for {name} of shape {_shape(fixed)}, and this job needs "
                    f"{_shape(list(wanted))} ({what}); choose a size and a batch that fit, or export the model "
                    "with open shapes: `render export`"
                )

    def __call__(self, output: str, shape: tuple[int, ...], **inputs: Tensor) -> Tensor:
        """The output of that name, of ``shape``, on the device of the inputs.

        Raises torch.OutOfMemoryError, and EngineError for anything else that ONNX Runtime says.
        """
        bound = {name: self._as_wanted(name, inputs[name]) for name in self.inputs}
        device = next(iter(bound.values())).device
        result = torch.empty(shape, dtype=self.outputs[output], device=device)
        binding = self._session.io_binding()
        for name, tensor in bound.items():
            binding.bind_input(name, *_binding(tensor))
        binding.bind_output(output, *_binding(result))
        if device.type == "cuda":
            torch.cuda.current_stream().synchronize()  # the session has a stream of its own
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # its exceptions have no common ancestor
            raise self._explained(error) from error
        return result

    def all(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Every output, on the CPU: for what happens once a job."""
        feed = {name: self._as_wanted(name, inputs[name]).cpu().numpy() for name in self.inputs}
        try:
            values = self._session.run(None, feed)
        except Exception as error:  # its exceptions have no common ancestor
            raise self._explained(error) from error
        return {name: torch.from_numpy(value) for name, value in zip(self.outputs, values, strict=True)}

    def _as_wanted(self, name: str, tensor: Tensor) -> Tensor:
        """Of the graph's type and rank; the same memory where it is so already."""
        dtype, shape = self.inputs[name]
        if len(shape) != tensor.dim():  # a timestep: a number for some exporters, a list of one for others
            tensor = tensor.reshape([1] * len(shape))
        if not dtype.is_floating_point and tensor.is_floating_point() and not torch.equal(tensor, tensor.round()):
            raise EngineError(
                f"{self.path}: it takes whole numbers for {name}, and the sampler gives {tensor.tolist()}; choose "
                "another sampler (ddim, euler), or export the model with `render export`"
            )
        return tensor.to(dtype).contiguous()

    def _explained(self, error: Exception) -> Exception:
        text = str(error)
        if any(words in text.lower() for words in OUT_OF_MEMORY):
            return torch.OutOfMemoryError(text)
        return EngineError(f"{self.path}: ONNX Runtime failed: {_short(text)}")


def with_dtype(model: ModelInfo, folder: Path) -> ModelInfo:
    """``model`` with what its graphs compute in, looked up in the denoiser's where the export does not say it.

    Opens the graph on the CPU, as it stands. Raises ModelError, EngineError.
    """
    if model.layout != "onnx" or model.dtype is not None:
        return model
    onnxruntime = _runtime("onnx", pip_install("[onnx]"))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    path = folder / FAMILIES[model.family].denoiser / "model.onnx"
    session = _opened(onnxruntime, path, options, ["CPUExecutionProvider"])
    types = {given.name: TYPES.get(given.type) for given in session.get_inputs()}
    return replace(model, dtype=next((name for name, dtype in DTYPES.items() if dtype == types.get("sample")), None))


def _runtime(backend: str, cure: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineError(
            f"engine.backend: {backend}: ONNX Runtime is not installed here ({error}); {cure}, or write backend: eager"
        ) from None
    return onnxruntime


def _opened(onnxruntime: Any, path: Path, options: Any, providers: list[Any]) -> Any:
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        raise ModelError(f"{path}: ONNX Runtime cannot load it: {_short(str(error))}") from error


def _session(path: Path, settings: Settings) -> Any:
    onnxruntime = _runtime(settings.backend, _cure(settings))
    wanted = PROVIDERS.get((settings.backend, settings.device))
    if wanted is None:
        raise EngineError(
            f"engine.backend: {settings.backend}: it needs an NVIDIA GPU, and there is none here; write onnx"
        )
    missing = f"engine.backend: {settings.backend}: this ONNX Runtime cannot use {wanted[0]} here"
    if wanted[0] not in onnxruntime.get_available_providers():
        raise EngineError(f"{missing}; {_cure(settings)}")
    providers = [(name, _provider_options(name, settings)) for name in wanted]
    session = _opened(onnxruntime, path, _options(onnxruntime, settings), providers)
    if wanted[0] not in session.get_providers():  # it falls back to the CPU without a word
        raise EngineError(f"{missing}: it would fall back to the CPU; {_cure(settings)}")
    return session


def _cure(settings: Settings) -> str:
    if settings.device == "cuda":
        gpu = pip_install("[onnx-gpu]")
        return f"`pip uninstall onnxruntime`, then {gpu} (onnxruntime-gpu, with its CUDA libraries)"
    return pip_install("[onnx]")


def _options(onnxruntime: Any, settings: Settings) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # what matters is raised
    return options


def _provider_options(name: str, settings: Settings) -> dict[str, str]:
    """Kernels not chosen by race, where that can be had: another choice gives a picture other bits."""
    if name == "CUDAExecutionProvider":
        return {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"}
    if name == "TensorrtExecutionProvider":  # it races when it builds; the cache keeps the winners
        return {
            "trt_fp16_enable": str(settings.dtype == "fp16"),
            "trt_engine_cache_enable": "True",
            "trt_timing_cache_enable": "True",
            "trt_engine_cache_path": str(cache.folder("tensorrt")),
            "trt_timing_cache_path": str(cache.folder("tensorrt")),
        }
    return {}


def _binding(tensor: Tensor) -> tuple[str, int, Any, list[int], int]:
    """Where a tensor lies, as a binding wants to be told."""
    element = torch.empty(0, dtype=tensor.dtype).numpy().dtype.type
    return tensor.device.type, tensor.device.index or 0, element, list(tensor.shape), tensor.data_ptr()


def _shape(shape: list[int | str | None]) -> str:
    return "x".join(str(side) if isinstance(side, int) else "?" for side in shape) or "one number"


def _short(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:300] if lines else "it does not say why"
