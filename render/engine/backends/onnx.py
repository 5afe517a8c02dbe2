"""The ONNX backend: a model as graphs that ONNX Runtime runs, exported on demand or found in a folder.

Shapes: N batch (twice the pictures under guidance), M the VAE's micro-batch, C, H, W channels and size of latents.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from render.engine import cache
from render.engine.backends.eager import EagerModel
from render.engine.backends.latents import decoder_scaled
from render.engine.backends.loading import Source, load, load_text, pipeline_class
from render.engine.backends.onnx_export import EXPORTER, export_denoiser
from render.engine.backends.onnx_session import Graph
from render.engine.device import DTYPES
from render.engine.families import family_of
from render.engine.text import Conditioning, Text
from render.engine.text_encoder import TextEncoder
from render.errors import EngineError, ModelError
from render.plan import Plan, Stopwatch

__all__ = ["Graphs", "open_graphs", "text_encoder"]


class Graphs:
    """UNet and VAE decoder of one model as graphs: the ONNX backend. Its dtypes are those of the graphs.

    ``plain`` loads the same model as torch modules in float32, for frames that the graphs cannot render; None where
    there are graphs only.
    """

    def __init__(self, folder: Path, plan: Plan, plain: Callable[[], EagerModel] | None) -> None:
        """Open the graphs of ``folder``. Raises ModelError, EngineError."""
        self._unet = Graph(folder / "unet/model.onnx", plan.settings)
        self._vae = Graph(folder / "vae_decoder/model.onnx", plan.settings)
        self._config = json.loads((folder / "vae_decoder/config.json").read_text(encoding="utf-8"))
        self._scale = plan.model.latent_scale
        self._family = family_of(plan.model.family)
        self._load_plain = plain
        self._plain: EagerModel | None = None
        self.dtype = self._dtype = DTYPES[plan.settings.dtype]
        computes = self._unet.inputs["sample"][0]
        if computes != self._dtype:
            raise EngineError(f"{self._unet.path}: it computes in {computes}, and the plan wants {plan.settings.dtype}")

    def check(self, latents_NCHW: Tensor, latents_MCHW: Tensor, conditioning: Conditioning) -> None:
        """Raises EngineError where the graphs cannot take batches of these shapes."""
        what = "engine.batch, twice that under guidance; size / 8; tokens of a prompt"
        given = {"sample": latents_NCHW, **conditioning.inputs()}
        shapes = {name: tuple(tensor.shape) for name, tensor in given.items()}
        self._unet.check(shapes | {"timestep": ()}, what)
        self._vae.check({"latent_sample": tuple(latents_MCHW.shape)}, "pictures a VAE call; size / 8")

    def condition(self, texts: list[Text], width: int, height: int) -> Conditioning:
        """The conditioning of a batch of pictures of ``width`` x ``height`` pixels, one text a picture."""
        return self._family.condition(texts, width, height, self.dtype)

    def cast(self, dtype: torch.dtype) -> None:
        """Compute in ``dtype`` from now on: the graphs' own, or float32 through torch.

        Raises EngineError where there is no way to float32.
        """
        if dtype == self._dtype:
            self._plain = None
        elif self._load_plain is None:
            raise EngineError(
                f"{self._unet.path} computes in fp16 only, so it cannot be tried in fp32; "
                "export the model again: `render export MODEL DIR --dtype fp32`"
            )
        else:
            self._plain = self._load_plain()
        self.dtype = dtype

    def computes_in(self, dtype: torch.dtype) -> bool:
        """Whether it does now."""
        return self.dtype == dtype

    def denoise(self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet's output, (N, C, H, W) like ``latents_NCHW``; ``timestep`` is a scalar on the device."""
        if self._plain is not None:
            return self._plain.denoise(latents_NCHW, timestep, conditioning)
        return self._unet(
            "out_sample",
            tuple(latents_NCHW.shape),
            sample=latents_NCHW,
            timestep=timestep,
            **conditioning.inputs(),
        )

    def decode(self, latents_NCHW: Tensor) -> Tensor:
        """Pictures (N, 3, height, width) in float32, about [-1, 1], from latents of the sampler's scale."""
        if self._plain is not None:
            return self._plain.decode(latents_NCHW)
        latents = decoder_scaled(latents_NCHW, self._config)
        count, _, height, width = latents.shape
        shape = (count, self._config["out_channels"], height * self._scale, width * self._scale)
        return self._vae("sample", shape, latent_sample=latents).float()


def open_graphs(plan: Plan, source: Source, watch: Stopwatch) -> tuple[Graphs, TextEncoder]:
    """A model's graphs and its text encoders. Weights in diffusers' layout are exported first, once a machine.

    Raises ModelError, EngineError.
    """
    device = torch.device(plan.settings.device)
    if plan.model.layout == "onnx":
        with watch("load"):
            return Graphs(source.folder, plan, None), text_encoder(plan, source.folder, device)
    with watch("export"):
        graphs = _exported(plan, source)
    with watch("load"):
        plain = lambda: load(source, torch.float32, device)[0]  # noqa: E731
        return Graphs(graphs, plan, plain), load_text(source, device)


def _exported(plan: Plan, source: Source) -> Path:
    """The graphs of the plan's model in the machine's cache: found, or made while other workers wait."""
    what = [plan.model.fingerprint, plan.settings.dtype, EXPORTER, torch.__version__]
    path = cache.folder("onnx") / hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
    with cache.making(path) as temporary:
        if path.exists():
            return path
        shutil.rmtree(temporary, ignore_errors=True)  # of a process that died, and had our number
        try:
            models, _ = load(source, DTYPES[plan.settings.dtype], torch.device("cpu"))
            export_denoiser(models, temporary)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    return path


def text_encoder(plan: Plan, folder: Path, device: torch.device) -> TextEncoder:
    """diffusers' own ``encode_prompt`` over the folder's graphs."""
    from transformers import CLIPTokenizer

    family = family_of(plan.model.family)
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    modules: dict[str, Any] = {"vae": None, family.row.denoiser: None, "scheduler": None}
    modules |= family.pipeline_arguments(index)
    make = pipeline_class(family)
    try:
        for name in family.row.text_encoders:
            modules[name] = _TextGraph(Graph(folder / name / "model.onnx", plan.settings), device)
        for name in family.row.tokenizers:
            modules[name] = CLIPTokenizer.from_pretrained(folder / name)
        return TextEncoder(make(**modules), family, device)
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{folder}: its text encoders cannot be loaded: {str(error).splitlines()[0]}") from error


class _TextGraph(torch.nn.Module):
    """A text encoder's graph that looks like one of transformers' to diffusers."""

    dtype = torch.float32
    config = SimpleNamespace()

    def __init__(self, graph: Graph, device: torch.device) -> None:
        super().__init__()
        self._graph = graph
        self.register_buffer("device_mark", torch.empty(0, device=device))  # by which diffusers knows where it is

    def forward(self, input_ids: Tensor, **_options: object) -> _TextOutput:
        return _TextOutput(self._graph.all(input_ids=input_ids), input_ids.device)


class _TextOutput:
    """Outputs by place, and the hidden states of all layers where the graph gives them."""

    def __init__(self, outputs: dict[str, Tensor], device: torch.device) -> None:
        self._outputs = [value.float().to(device) for value in outputs.values()]
        states = [place for place, name in enumerate(outputs) if name.startswith("hidden_states")]
        self.hidden_states = [self._outputs[place] for place in states]

    def __getitem__(self, place: int) -> Tensor:
        return self._outputs[place]
