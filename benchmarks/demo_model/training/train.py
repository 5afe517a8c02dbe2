"""Train the demo model from nothing: `python -m benchmarks.demo_model.training.train --out DIR --work DIR`.

Pictures, latents, decoder, text encoder, UNet, export, evaluation. Every stage resumes: kill it at any time and
give the same command again. The work folder holds everything but the result.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from benchmarks.demo_model.training import data, evaluate, model, stages
from benchmarks.demo_model.training.loop import Stage


def main() -> None:
    """Run all stages, one after another, telling how far they are."""
    args = _arguments()
    begun = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - begun:7.0f} s  {line}", flush=True)

    shop = stages.Workshop(args.work, args.seed, args.parts, args.device, not args.eager, tell)
    data.draw_parts(shop.work, shop.seed, shop.num_parts, lambda done, total: tell(f"pictures {done}/{total} parts"))
    projection, latents = stages.encode_latents(shop)
    decoder = Stage("decoder", args.decoder_steps, peak_lr=2e-3, ema_decay=0.998)
    vae = stages.train_decoder(shop, decoder, args.decoder_batch, projection)
    text = Stage("text", args.text_steps, peak_lr=1e-3, warmup_steps=50)
    listener = stages.train_listener(shop, text, args.text_batch)
    diffusion = Stage("diffusion", args.diffusion_steps, peak_lr=1e-3, warmup_steps=100, ema_decay=0.998)
    denoiser = stages.train_diffusion(shop, diffusion, args.diffusion_batch, latents, listener)
    model.export(denoiser, vae, args.out)
    tell(f"written to {args.out}")
    print(evaluate.evaluate(args.out, evaluate.Settings()).table())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the demo model from nothing.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the finished model")
    parser.add_argument("--work", type=Path, required=True, help="folder for pictures and checkpoints, about 1.3 GB")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parts", type=int, default=20, help="thousands of pictures")
    parser.add_argument("--decoder-steps", type=int, default=5000)
    parser.add_argument("--decoder-batch", type=int, default=4)
    parser.add_argument("--text-steps", type=int, default=420)
    parser.add_argument("--text-batch", type=int, default=32)
    parser.add_argument("--diffusion-steps", type=int, default=8000)
    parser.add_argument("--diffusion-batch", type=int, default=16)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--eager", action="store_true", help="do not compile the UNet")
    return parser.parse_args()


if __name__ == "__main__":
    main()
