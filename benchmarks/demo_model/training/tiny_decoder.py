"""Distil the demo model's decoder into a tiny one: `python -m benchmarks.demo_model.training.tiny_decoder --help`.

A student of plain convolutions (`AutoencoderTiny`: the architecture of TAESD, https://github.com/madebyollin/taesd)
learns to paint what the demo VAE paints from the same latents. Kill it at any time: the same command goes on.

Legend: N pictures, C channels, H, W height and width of the latents.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.demo_model.training.autoencoder import LATENT_NOISE, decode, psnr_db, to_tensor
from benchmarks.demo_model.training.loop import Stage, save_atomically, train_stage
from benchmarks.demo_model.training.projection import LATENT_CHANNELS
from benchmarks.demo_model.world.pictures import draw_picture
from benchmarks.demo_model.world.scene import draw_scene, draw_training_scene
from render.models.demo import WEIGHTS

BATCH: Final = 4
LATENT_SCALE: Final = 4.0  # the student squeezes its input with tanh(x / 3): latents must be well within 3


def build_tiny() -> AutoencoderTiny:
    """0.2 M parameters: blocks where the picture is small, for speed. Its encoder is a stub: nobody encodes with it."""
    torch.manual_seed(1)
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(1,),
        num_encoder_blocks=(0,),
        decoder_block_out_channels=(32,) * 4,
        num_decoder_blocks=(3, 3, 1, 0),
        latent_channels=LATENT_CHANNELS,
        scaling_factor=LATENT_SCALE,
    )
    for parameter in tiny.encoder.parameters():
        nn.init.zeros_(parameter)
    return tiny


@torch.no_grad()
def make_lessons(vae: AutoencoderKL, count: int) -> tuple[Tensor, Tensor]:
    """Slightly noisy latents (N, 16, H, W) of freshly drawn pictures, and what the teacher paints from them, bytes."""
    rng, noise = np.random.default_rng(77), torch.Generator().manual_seed(77)
    latents, painted = [], []
    for _ in range(0, count, BATCH):
        pictures = to_tensor(np.stack([draw_picture(draw_training_scene(rng)) for _ in range(BATCH)]))
        latents_NCHW = vae.encode(pictures).latent_dist.mode()
        latents_NCHW = latents_NCHW + LATENT_NOISE * torch.randn(latents_NCHW.shape, generator=noise)
        with torch.autocast("cpu", torch.bfloat16):
            painted.append(_to_bytes(decode(vae, latents_NCHW)))
        latents.append(latents_NCHW)
    return torch.cat(latents), torch.cat(painted)


def train(work: Path, steps: int, num_lessons: int, tell: Callable[[str], None]) -> AutoencoderTiny:
    """The student after `steps` steps, from the checkpoint in `work` if there is one."""
    vae, tiny = AutoencoderKL.from_pretrained(WEIGHTS / "vae").eval(), build_tiny()
    lessons = work / "lessons.pt"
    if not lessons.exists():
        save_atomically(dict(zip(("latents", "painted"), make_lessons(vae, num_lessons), strict=True)), lessons)
        tell(f"{num_lessons} lessons")
    stored = torch.load(lessons, weights_only=True)

    def loss_at(step: int) -> Tensor:
        rows = np.random.default_rng([7, step]).integers(len(stored["latents"]), size=BATCH).tolist()
        with torch.autocast("cpu", torch.bfloat16):
            out = tiny.decoder(stored["latents"][rows] / LATENT_SCALE)
        error = out.float() - (stored["painted"][rows].float() / 127.5 - 1)
        return error.abs().mean() + error.square().mean()  # type: ignore[no-any-return]

    stage = Stage("tiny decoder", steps, peak_lr=2e-3, ema_decay=0.998)
    train_stage(stage, nn.ModuleDict({"decoder": tiny.decoder}), loss_at, work / "tiny.pt", tell)
    return tiny


@torch.no_grad()
def fidelity_db(tiny: AutoencoderTiny, count: int = 64) -> tuple[float, float]:
    """PSNR of the student against teacher and pictures, on `count` of combinations no training saw; float32."""
    vae, rng = AutoencoderKL.from_pretrained(WEIGHTS / "vae").eval(), np.random.default_rng(78)
    drawn = np.stack([draw_picture(draw_scene(rng, held_out=True)) for _ in range(count)])
    latents_NCHW = vae.encode(to_tensor(drawn)).latent_dist.mode()
    by_tiny, by_vae = (
        _to_bytes(painted).permute(0, 2, 3, 1).numpy()
        for painted in (tiny.decode(latents_NCHW / LATENT_SCALE).sample, decode(vae, latents_NCHW))
    )
    return psnr_db(by_tiny, by_vae), psnr_db(by_tiny, drawn)


def _to_bytes(pictures_N3HW: Tensor) -> Tensor:
    return pictures_N3HW.float().add(1).mul(127.5).round().clamp(0, 255).byte()


def main() -> None:
    """Train, write down in float16, measure."""
    parser = argparse.ArgumentParser(description="Distil the demo model's decoder into a tiny one.")
    parser.add_argument("--out", type=Path, required=True, help="folder for config and weights")
    parser.add_argument("--work", type=Path, required=True, help="folder for lessons and checkpoints")
    parser.add_argument("--steps", type=int, default=9000)
    parser.add_argument("--lessons", type=int, default=2000, help="pictures to learn from")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    tiny = train(
        args.work,
        args.steps,
        args.lessons,
        lambda line: print(f"{time.monotonic() - begun:7.0f} s  {line}", flush=True),
    )
    tiny.save_config(args.out)
    half = {name: value.detach().half().contiguous() for name, value in tiny.state_dict().items()}
    save_file(half, args.out / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    against_vae, against_pictures = fidelity_db(AutoencoderTiny.from_pretrained(args.out))
    print(f"held out: {against_vae:.1f} dB against the VAE, {against_pictures:.1f} dB against the pictures")


if __name__ == "__main__":
    main()
