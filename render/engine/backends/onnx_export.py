"""Models -> ONNX graphs, through torch's own exporter, in the folder layout and with the names that Optimum uses.

Batch, height and width stay open in every graph. UNet and VAE are exported in the dtype asked for (SDXL's VAE in
float32 where it would overflow), text encoders in float32, as the engine computes them.

Shapes: N batch, L tokens, D width of the text embedding, P of the pooled one; C, H, W channels and size of latents.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import logging
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from render.engine.backends.eager import EagerModel
from render.engine.backends.loading import Source, open_pipeline, quieten
from render.engine.device import DTYPES
from render.errors import EngineError

__all__ = ["EXPORTER", "Told", "export_denoiser", "export_model", "export_with_optimum"]

EXPORTER = 1  # part of the cache's keys: one more whenever other graphs are written
# Sizes to trace with: the exporter takes equal sizes, and those of 1, for constants of the model.
BATCH, HEIGHT, WIDTH = 2, 32, 48
COPIED = ("scheduler", "tokenizer", "tokenizer_2")  # as they are: a tokenizer saved anew loses files others want

Told = Callable[[str, float], None]
"""Is told the name of a part and the seconds that its export took."""


@dataclass(frozen=True)
class _Part:
    """One graph. ``axes`` name the open dimensions of every input."""

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    axes: Mapping[str, Mapping[int, str]]
    outputs: tuple[str, ...]
    config: Mapping[str, Any]


def export_denoiser(models: EagerModel, folder: Path, told: Told | None = None) -> None:
    """Write the UNet and the VAE's decoder of ``models`` into ``folder``. Raises EngineError."""
    for part in (_unet(models), _vae_decoder(models)):
        _export(part, folder, told)


def export_model(source: Source, dtype: torch.dtype, folder: Path, told: Told | None = None) -> None:
    """Write all of a model in diffusers' layout as ONNX graphs into ``folder``. Raises ModelError, EngineError."""
    pipeline, family = open_pipeline(source, dtype), source.family
    models = EagerModel(pipeline.unet, pipeline.vae, family, dtype, torch.device("cpu"))
    export_denoiser(models, folder, told)
    _export(_vae_encoder(models), folder, told)
    for name in family.row.text_encoders:
        _export(_text_encoder(name, getattr(pipeline, name), states=family.reads_hidden_states), folder, told)
    for name in COPIED:
        if (source.folder / name).is_dir():
            shutil.copytree(source.folder / name, folder / name)
    _write_index(source.folder, folder)


def export_with_optimum(source: Path, dtype: str, folder: Path, told: Told | None = None) -> None:
    """The same through Optimum. Raises EngineError where optimum-onnx is not installed, or fails."""
    try:
        importlib.metadata.version("optimum-onnx")
        from optimum.exporters.onnx import main_export
    except ImportError as error:  # PackageNotFoundError too
        raise EngineError(
            f"--with optimum: optimum-onnx is not installed here ({error}); `pip install 'render[optimum]'` in an "
            "environment of its own: it needs older transformers and diffusers"
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
    if told is not None:
        told("all parts, by optimum", time.perf_counter() - began)


def _export(part: _Part, folder: Path, told: Told | None) -> None:
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
            raise EngineError(f"cannot export to ONNX here: {error}; `pip install 'render[onnx]'`") from None
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, torch.onnx.OnnxExporterError) as error:
            raise EngineError(f"{part.name}: cannot be exported to ONNX: {_first_line(error)}") from error
    if told is not None:
        told(part.name, time.perf_counter() - began)


def _note(part: _Part) -> dict[str, Any]:
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


class _UNet(nn.Module):
    """The UNet with its conditioning as plain inputs."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        text_embeds: Tensor | None = None,
        time_ids: Tensor | None = None,
    ) -> Tensor:
        added = None
        if text_embeds is not None:  # float: diffusers joins it with a float32 embedding, and ONNX mixes no types
            added = {"text_embeds": text_embeds.float(), "time_ids": time_ids}
        output: Tensor = self.unet(
            sample, timestep, encoder_hidden_states=encoder_hidden_states, added_cond_kwargs=added, return_dict=False
        )[0]
        return output


class _Decoder(nn.Module):
    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latent_sample: Tensor) -> Tensor:
        decoded: Tensor = self.vae.decode(latent_sample, return_dict=False)[0]
        return decoded


class _Encoder(nn.Module):
    """Pictures -> mean and logarithm of the variance of their latents."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, sample: Tensor) -> Tensor:
        parameters: Tensor = self.vae.encode(sample).latent_dist.parameters
        return parameters


class _TextEncoder(nn.Module):
    """A CLIP text encoder; with ``states`` all hidden states are outputs as well."""

    def __init__(self, encoder: Any, *, states: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.states = states

    def forward(self, input_ids: Tensor) -> tuple[Tensor, ...]:
        output = self.encoder(input_ids, output_hidden_states=self.states)
        projected = getattr(output, "text_embeds", None)
        main = (output.last_hidden_state, output.pooler_output) if projected is None else (projected, output[1])
        return (*main, *(output.hidden_states if self.states else ()))


def _unet(models: EagerModel) -> _Part:
    config, dtype = models.unet.config, models.dtype
    if config.upcast_attention and dtype == torch.float16:  # SD 2.1: attention scores overflow in fp16
        from diffusers.models.attention_processor import AttnProcessor

        models.unet.set_attn_processor(AttnProcessor())
    conditioning = models.family.blank(config, BATCH, dtype)
    inputs = {
        "sample": torch.randn(BATCH, config.in_channels, HEIGHT, WIDTH, dtype=dtype),
        "timestep": torch.tensor(500.0),
        "encoder_hidden_states": conditioning.tokens_NLD,
        **(conditioning.added or {}),
    }
    axes = {"sample": {0: "batch", 2: "height", 3: "width"}, "encoder_hidden_states": {0: "batch", 1: "sequence"}}
    axes |= {name: {0: "batch"} for name in conditioning.added or {}}
    return _Part("unet", _UNet(models.unet), inputs, axes, ("out_sample",), dict(config))


def _vae_decoder(models: EagerModel) -> _Part:
    vae = models.vae
    latents = torch.randn(BATCH, vae.config.latent_channels, HEIGHT // 4, WIDTH // 4, dtype=vae.dtype)
    axes = {"latent_sample": {0: "batch", 2: "latent_height", 3: "latent_width"}}
    return _Part("vae_decoder", _Decoder(vae), {"latent_sample": latents}, axes, ("sample",), dict(vae.config))


def _vae_encoder(models: EagerModel) -> _Part:
    vae = models.vae
    scale = 2 ** (len(vae.config.block_out_channels) - 1)
    pictures = torch.randn(BATCH, 3, scale * HEIGHT // 4, scale * WIDTH // 4, dtype=vae.dtype)
    axes = {"sample": {0: "batch", 2: "sample_height", 3: "sample_width"}}
    return _Part("vae_encoder", _Encoder(vae), {"sample": pictures}, axes, ("latent_parameters",), dict(vae.config))


def _text_encoder(name: str, encoder: Any, *, states: bool) -> _Part:
    """``states``: with all hidden states. The first output of an encoder that projects is the pooled embedding."""
    module = _TextEncoder(encoder.float(), states=states)
    ids_NL = torch.zeros((BATCH, encoder.config.max_position_embeddings), dtype=torch.int64)
    with torch.no_grad():
        projected = hasattr(encoder(ids_NL[:1]), "text_embeds")
    outputs: tuple[str, ...] = (
        ("text_embeds", "last_hidden_state") if projected else ("last_hidden_state", "pooler_output")
    )
    if states:
        outputs += tuple(f"hidden_states.{layer}" for layer in range(encoder.config.num_hidden_layers + 1))
    axes = {"input_ids": {0: "batch_size", 1: "sequence_length"}}
    return _Part(name, module, {"input_ids": ids_NL}, axes, outputs, encoder.config.to_dict())


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
