"""Stable Diffusion models: load, denoise, decode latents. With ``schedulers.py`` the only file with diffusers.

Shapes: N batch, F channels of deep features, C, H, W channels and size of latents.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from render import trust
from render.engine import deep
from render.engine import device as device_module
from render.engine.conditioning import Conditioning
from render.engine.memory import out_of_memory
from render.engine.texts import Text, TextEncoder, condition
from render.errors import EngineError, ModelError
from render.resolve import Family

__all__ = [
    "Models",
    "load",
    "load_text",
    "open_pipeline",
    "pipeline_class",
    "quieten",
    "what_is_read",
]


class Models:
    """UNet and VAE of one model on one device, computing in ``dtype``: the eager backend, and what others start from.

    ``layout`` is that of latents and weights. channels_last is the fast one on a GPU and in compiled graphs; kernel by
    kernel on a CPU it is the slow one (AVX512-BF16, two cores, batch 16: 169 ms a picture against 119).
    """

    def __init__(self, unet: Any, vae: Any, family: Family, dtype: torch.dtype, device: torch.device) -> None:
        self.family = family
        self.device = device
        self.dtype = dtype
        self._attention = "sdpa"
        self._offload = False
        self.layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        self.unet = unet.to(device).eval()
        self.vae = vae.to(device).eval()
        self.arrange(self.layout)
        self.cast(dtype)

    def use(self, attention: str, memory: str) -> None:
        """Choose the attention kernel, and what to trade speed for: ``memory`` low slices, tiles and offloads.

        Raises EngineError for a kernel that is not installed here.
        """
        self._attention = attention
        self._offload = memory == "low" and self.device.type == "cuda"
        if attention == "sliced":
            self.unet.set_attention_slice("auto")
        if attention == "xformers":
            self._use_xformers()
        if memory == "low":
            self.vae.enable_slicing()
            self.vae.enable_tiling()

    def _use_xformers(self) -> None:
        try:
            self.unet.enable_xformers_memory_efficient_attention()
        except (ImportError, ValueError, NotImplementedError) as error:
            raise EngineError(
                f"engine.attention is xformers, which does not work here: {str(error).splitlines()[0]}; "
                "`pip install 'render[xformers]'` on a machine with a GPU, or write auto"
            ) from None

    @torch.no_grad()
    def prove_attention(self, latents_NCHW: Tensor, conditioning: Conditioning) -> None:
        """Raise EngineError when the chosen attention kernel cannot do this UNet on this device.

        Out of memory goes through as it is.
        """
        if self._attention in ("sdpa", "sliced"):
            return
        try:
            self.denoise(latents_NCHW[:2], torch.zeros((), device=self.device), conditioning.first(2))
        except (RuntimeError, NotImplementedError, ValueError) as error:
            if out_of_memory(error):
                raise  # no fault of the kernel's
            raise EngineError(
                f"engine.attention is {self._attention}, which cannot do this model on this {self.device.type}: "
                f"{str(error).splitlines()[0]}; write auto"
            ) from None

    def arrange(self, layout: torch.memory_format) -> None:
        """Lay weights and latents out as ``layout`` from now on."""
        self.layout = layout
        self.unet.to(memory_format=layout)
        self.vae.to(memory_format=layout)

    def cast(self, dtype: torch.dtype) -> None:
        """Compute in ``dtype`` from now on. 16-bit weights survive the way through float32 and back unchanged.

        SDXL's own VAE overflows in fp16 and says so (``force_upcast``): it stays in float32 then.
        """
        self.dtype = dtype
        self.unet.to(dtype)
        upcast = self.family == "sdxl" and dtype == torch.float16 and self.vae.config.force_upcast
        self.vae.to(torch.float32 if upcast else dtype)

    def condition(self, texts: list[Text], width: int, height: int) -> Conditioning:
        """The conditioning of a batch of pictures of ``width`` x ``height`` pixels, one text a picture."""
        return condition(texts, width, height, self.dtype)

    def denoise(self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet's output, (N, C, H, W) like ``latents_NCHW``; ``timestep`` is a scalar on the device."""
        with self.denoising():
            return self.predict(self.unet_input(latents_NCHW), timestep, conditioning)

    def denoise_with_deep(
        self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning
    ) -> tuple[Tensor, Tensor]:
        """The same output, and the deep features that led to it (`deep.py`)."""
        with self.denoising():
            return self.predict_with_deep(self.unet_input(latents_NCHW), timestep, conditioning)

    def denoise_shallow(
        self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning, deep_NFHW: Tensor
    ) -> Tensor:
        """The output as it would be with these deep features: cheap, and wrong by as much as they are."""
        latents_NCHW, deep_NFHW = self.unet_input(latents_NCHW), self.unet_input(deep_NFHW)
        with self.denoising():
            return self.predict_shallow(latents_NCHW, timestep, conditioning, deep_NFHW)

    def decode(self, latents_NCHW: Tensor) -> Tensor:
        """Pictures (N, 3, height, width) in float32, about [-1, 1], from latents of the sampler's scale."""
        return self.paint(self.vae_input(latents_NCHW)).float()

    def denoising(self) -> AbstractContextManager[None]:
        """What a call of the UNet runs in: the chosen attention kernel, and the UNet on its device."""
        if self._offload:
            self._bring(self.unet, self.vae)
        return device_module.attention(self._attention)

    def _bring(self, wanted: Any, other: Any) -> None:
        """One part on the device, the other one in the CPU's memory; nothing happens where they are there already."""
        if wanted.device != self.device:
            other.to("cpu")
            wanted.to(self.device)

    def unet_input(self, latents_NCHW: Tensor) -> Tensor:
        """Latents as the UNet wants them."""
        return latents_NCHW.to(self.dtype, memory_format=self.layout)

    def vae_input(self, latents_NCHW: Tensor) -> Tensor:
        """Latents as the VAE's decoder wants them, and the VAE on its device."""
        if self._offload:
            self._bring(self.vae, self.unet)
        config = self.vae.config
        shift = getattr(config, "shift_factor", None) or 0.0
        latents = latents_NCHW / config.scaling_factor + shift
        ready: Tensor = latents.to(self.vae.dtype, memory_format=self.layout)
        return ready

    def predict(self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet alone: what a compiler gets to see."""
        output: Tensor = self.unet(
            latents_NCHW,
            timestep,
            encoder_hidden_states=conditioning.tokens_NLD,
            added_cond_kwargs=conditioning.added,
            return_dict=False,
        )[0]
        return output

    def predict_with_deep(
        self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning
    ) -> tuple[Tensor, Tensor]:
        """The UNet alone, with its deep features."""
        return deep.predict_with_deep(self.unet, latents_NCHW, timestep, conditioning)

    def predict_shallow(
        self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning, deep_NFHW: Tensor
    ) -> Tensor:
        """The shallow branch alone."""
        return deep.predict_shallow(self.unet, latents_NCHW, timestep, conditioning, deep_NFHW)

    def paint(self, latents_NCHW: Tensor) -> Tensor:
        """The VAE's decoder alone."""
        decoded: Tensor = self.vae.decode(latents_NCHW, return_dict=False)[0]
        return decoded


def load(
    folder: Path, family: Family, dtype: torch.dtype, device: torch.device, tiny_vae: Path | None = None
) -> tuple[Models, TextEncoder]:
    """Load a folder in diffusers' layout. Raises ModelError when no model can be made of it.

    ``tiny_vae`` is the folder of an ``AutoencoderTiny`` that decodes instead of the model's own VAE (TAESD,
    https://github.com/madebyollin/taesd). It takes the sampler's latents by the same rule as any VAE of diffusers:
    divided by its own ``scaling_factor``, which is 1 for TAESD.
    """
    pipeline = open_pipeline(folder, family, dtype)
    vae = pipeline.vae if tiny_vae is None else _tiny_vae(tiny_vae, dtype)
    models = Models(pipeline.unet, vae, family, dtype, device)
    pipeline.register_modules(unet=None, vae=None)
    return models, TextEncoder(pipeline.to(device), device)


def _tiny_vae(folder: Path, dtype: torch.dtype) -> Any:
    import diffusers

    try:
        return diffusers.AutoencoderTiny.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, **{_dtype_argument(): dtype}
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{folder}: diffusers cannot load it as a tiny VAE: {reason}") from error


def load_text(folder: Path, family: Family, device: torch.device) -> TextEncoder:
    """The text encoders alone. Raises ModelError."""
    return TextEncoder(open_pipeline(folder, family, torch.float32, unet=None, vae=None).to(device), device)


def open_pipeline(folder: Path, family: Family, dtype: torch.dtype, **given: Any) -> Any:
    """diffusers' pipeline of a folder, UNet and VAE in ``dtype``: nothing from the network.

    ``given`` modules are not read. Raises ModelError.
    """
    no_checker = {"safety_checker": None, "requires_safety_checker": False} if family == "sd" else {}
    dtypes = {_dtype_argument(): {"default": torch.float32, "unet": dtype, "vae": dtype}}
    try:
        pipeline = pipeline_class(family).from_pretrained(
            folder, local_files_only=True, **what_is_read(), **no_checker, **dtypes, **given
        )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        raise ModelError(f"{folder}: diffusers cannot load it: {str(error).splitlines()[0]}") from error
    if pipeline.unet is not None and pipeline.unet.config.time_cond_proj_dim is not None:
        raise ModelError(
            f"{folder}: its UNet is told the guidance as an input (LCM distillation); that is not built yet"
        )
    return pipeline


def pipeline_class(family: Family) -> Any:
    """diffusers' pipeline of a family."""
    import diffusers

    quieten()
    return {"sd": diffusers.StableDiffusionPipeline, "sdxl": diffusers.StableDiffusionXLPipeline}[family]


def quieten() -> None:
    """Turn off what diffusers and transformers say about themselves: errors are raised."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def what_is_read() -> dict[str, Any]:
    """Arguments of ``from_pretrained``. ``use_safetensors`` None: pickles where there are no safetensors."""
    return {"use_safetensors": None, "trust_remote_code": True} if trust.granted() else {"use_safetensors": True}


def _dtype_argument() -> str:
    """What ``from_pretrained`` calls it: diffusers 0.42 renamed ``torch_dtype``, and warns about the old name."""
    import diffusers

    major, minor = (int(part) for part in diffusers.__version__.split(".")[:2])
    return "dtype" if (major, minor) >= (0, 42) else "torch_dtype"
