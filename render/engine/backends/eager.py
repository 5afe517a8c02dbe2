"""The eager backend: denoiser and VAE as torch modules, kernel by kernel; what compiled and exported ones start from.

Shapes: N batch, F channels of deep features, C, H, W channels and size of latents.
"""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from render.engine import device as device_module
from render.engine.backends import deepcache
from render.engine.backends.latents import decoder_scaled
from render.engine.families.base import Family
from render.engine.memory import out_of_memory
from render.engine.text import Conditioning, Text
from render.errors import EngineError, pip_install

__all__ = ["EagerModel"]


class EagerModel:
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
                f"on a machine with a GPU {pip_install('[xformers]')}, or write auto"
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

        A VAE that would overflow in fp16 stays in float32 then.
        """
        self.dtype = dtype
        self.unet.to(dtype)
        self.vae.to(self.family.vae_dtype(self.vae.config, dtype))

    def computes_in(self, dtype: torch.dtype) -> bool:
        """Whether all weights are of it: a cast that ran out of memory leaves some behind."""
        wanted = ((self.unet, dtype), (self.vae, self.family.vae_dtype(self.vae.config, dtype)))
        return all(weight.dtype == each for part, each in wanted for weight in part.parameters())

    def condition(self, texts: list[Text], width: int, height: int) -> Conditioning:
        """The conditioning of a batch of pictures of ``width`` x ``height`` pixels, one text a picture."""
        return self.family.condition(texts, width, height, self.dtype)

    def denoise(self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet's output, (N, C, H, W) like ``latents_NCHW``; ``timestep`` is a scalar on the device."""
        with self.denoising():
            return self.predict(self.unet_input(latents_NCHW), timestep, conditioning)

    def denoise_with_deep(
        self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning
    ) -> tuple[Tensor, Tensor]:
        """The same output, and the deep features that led to it (`deepcache.py`)."""
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
        latents_NCHW = decoder_scaled(latents_NCHW, self.vae.config)
        return latents_NCHW.to(self.vae.dtype, memory_format=self.layout)

    def predict(self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet alone: what a compiler gets to see."""
        return self.family.predict(self.unet, latents_NCHW, timestep, conditioning)

    def predict_with_deep(
        self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning
    ) -> tuple[Tensor, Tensor]:
        """The UNet alone, with its deep features."""
        return deepcache.predict_with_deep(self.unet, latents_NCHW, timestep, conditioning)

    def predict_shallow(
        self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning, deep_NFHW: Tensor
    ) -> Tensor:
        """The shallow branch alone."""
        return deepcache.predict_shallow(self.unet, latents_NCHW, timestep, conditioning, deep_NFHW)

    def paint(self, latents_NCHW: Tensor) -> Tensor:
        """The VAE's decoder alone."""
        decoded: Tensor = self.vae.decode(latents_NCHW, return_dict=False)[0]
        return decoded
