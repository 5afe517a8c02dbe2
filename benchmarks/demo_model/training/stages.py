"""The training stages one by one: each takes up what it finds in the work folder and returns what it made.

Legend: N pictures, C channels, H, W latent height and width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from benchmarks.demo_model.training import autoencoder, data
from benchmarks.demo_model.training.diffusion import diffusion_loss, draw_captions
from benchmarks.demo_model.training.loop import Stage, save_atomically, train_stage
from benchmarks.demo_model.training.model import (
    TEXT_WIDTH,
    Denoiser,
    Listener,
    build_listener,
    build_scheduler,
    build_unet,
)
from benchmarks.demo_model.training.projection import Projection, fit_projection, project
from benchmarks.demo_model.training.text import Heads
from benchmarks.demo_model.world.captions import draw_caption


@dataclass(frozen=True)
class Workshop:
    """Where and on what the stages work. `compiled` needs a C++ compiler and pays back in minutes."""

    work: Path
    seed: int
    num_parts: int
    device: str
    compiled: bool
    tell: Callable[[str], None]

    def autocast(self) -> torch.autocast:
        """bfloat16 where it is safe."""
        return torch.autocast(self.device, torch.bfloat16)


def step_generators(seed: int, step: int) -> tuple[np.random.Generator, torch.Generator]:
    """All the randomness of one step, from its number alone, so that a resumed run is the same run."""
    rng = np.random.default_rng([seed, step])
    return rng, torch.Generator().manual_seed(int(rng.integers(2**62)))


def encode_latents(shop: Workshop) -> tuple[Projection, Tensor]:
    """The projection fitted to the first part, and the latents of all pictures, (N, 16, 16, 16) in bfloat16."""
    path = shop.work / "latents.pt"
    if not path.exists():
        parts = data.load_pictures(shop.work, shop.seed, shop.num_parts)
        projection = fit_projection(autoencoder.to_tensor(np.array(parts[0])))
        latents = [project(projection, autoencoder.to_tensor(np.array(part))).bfloat16() for part in parts]
        save_atomically({"projection": vars(projection), "latents": torch.cat(latents)}, path)
    state = torch.load(path, weights_only=True)
    return Projection(**state["projection"]), state["latents"]


def train_decoder(shop: Workshop, stage: Stage, batch: int, projection: Projection) -> AutoencoderKL:
    """Train the decoder on slightly noisy latents; the encoder stays the projection."""
    torch.manual_seed(shop.seed)
    vae = autoencoder.build_autoencoder(projection).to(shop.device, memory_format=torch.channels_last)
    trained = nn.ModuleDict({"decoder": vae.decoder, "post_quant_conv": vae.post_quant_conv})
    parts = data.load_pictures(shop.work, shop.seed, shop.num_parts)

    def loss_at(step: int) -> Tensor:
        rng, noise_rng = step_generators(shop.seed, step)
        pictures = autoencoder.draw_batch(parts, rng, batch)
        latents = project(projection, pictures)
        latents = latents + autoencoder.LATENT_NOISE * torch.randn(latents.shape, generator=noise_rng)
        with shop.autocast():
            out = autoencoder.decode(vae, latents.to(shop.device, memory_format=torch.channels_last))
        return autoencoder.picture_loss(out, pictures.to(shop.device))

    train_stage(stage, trained, loss_at, shop.work / "decoder.pt", shop.tell)
    return vae


def train_listener(shop: Workshop, stage: Stage, batch: int) -> Listener:
    """Teach the text encoder to read captions, before the UNet listens to it (`text.py`)."""
    torch.manual_seed(shop.seed)
    listener = build_listener(shop.work / "tokenizer")
    heads = Heads(TEXT_WIDTH).to(shop.device)
    modules = nn.ModuleDict({"text_encoder": listener.encoder.to(shop.device), "heads": heads})
    scenes = data.load_scenes(shop.seed, shop.num_parts)

    def loss_at(step: int) -> Tensor:
        rng, _ = step_generators(shop.seed, step)
        drawn = [scenes[row] for row in rng.integers(len(scenes), size=batch)]
        with shop.autocast():
            text = listener.hear([draw_caption(rng, scene) for scene in drawn])
        return heads(text, drawn)  # type: ignore[no-any-return]

    train_stage(stage, modules, loss_at, shop.work / "text.pt", shop.tell)
    return listener


def train_diffusion(shop: Workshop, stage: Stage, batch: int, latents_NCHW: Tensor, listener: Listener) -> Denoiser:
    """Train the UNet on stored latents and freshly drawn captions; the text encoder stays as it is."""
    torch.manual_seed(shop.seed)
    scheduler = build_scheduler()
    unet = build_unet().to(shop.device, memory_format=torch.channels_last)
    unet.set_attn_processor(AttnProcessor())  # plain matmuls: a tenth faster than flash attention on a CPU
    predict = torch.compile(unet, dynamic=False) if shop.compiled else unet
    scenes = data.load_scenes(shop.seed, shop.num_parts)

    def loss_at(step: int) -> Tensor:
        rng, noise_rng = step_generators(shop.seed, step)
        rows = rng.integers(len(scenes), size=batch).tolist()
        captions = draw_captions(rng, [scenes[row] for row in rows])
        latents = latents_NCHW[rows].float().to(shop.device)
        with shop.autocast():
            with torch.no_grad():
                text = listener.hear(captions)
            return diffusion_loss(predict, scheduler, latents, text, noise_rng)

    train_stage(stage, nn.ModuleDict({"unet": unet}), loss_at, shop.work / "diffusion.pt", shop.tell)
    return Denoiser(listener, unet, scheduler)
