"""The demo model that ships inside: a small latent diffusion model of landscapes, in diffusers' layout.

Knows where its weights lie and nothing else: they are found and loaded as any model's. Read `README.md`, the model
card; how they were made stands in `benchmarks/demo_model/` of the repository.
"""

from pathlib import Path

__all__ = ["WEIGHTS"]

WEIGHTS: Path = Path(__file__).parent / "weights"
"""The folder of the demo model, as `StableDiffusionPipeline.from_pretrained` takes it."""
