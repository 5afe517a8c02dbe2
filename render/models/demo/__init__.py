"""The demo model that ships inside: a small latent diffusion model of landscapes, in diffusers' layout."""

from pathlib import Path

__all__ = ["WEIGHTS"]

WEIGHTS: Path = Path(__file__).parent / "weights"
"""The folder of the demo model, as `StableDiffusionPipeline.from_pretrained` takes it."""
