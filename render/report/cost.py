"""What a job will cost, before it runs: rough arithmetic for ``render plan``, or measured speed where there is some.

Rough means within a factor of three; it is good for knowing a minute from a day.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from render.plan import Plan
from render.store import Record
from render.video.codecs import CODECS

__all__ = ["Estimate", "estimate", "measured_s_per_frame"]

UNET_FLOP_PER_PARAMETER_AND_LATENT_PIXEL = 0.23  # SD 1.5: 0.803 TFLOP, 860 M parameters, 64 x 64 latents
VAE_FLOP_PER_PIXEL = 9.6e6  # SD's decoder: 2.51 TFLOP at 512 x 512
SHALLOW_SHARE = 0.1  # of a UNet evaluation that is spared its deep half: SD 1.5 0.07, the demo model 0.17
EFFECTIVE_FLOPS = {"cuda": 3.0e14, "cpu": 1.5e11}  # eager, guided batches: an H100 in fp16; two server cores in bf16
STILL_BITS_PER_PIXEL = {"png": 14.0, "jpg": 4.0, "webp": 3.0}


@dataclass(frozen=True)
class Estimate:
    """Seconds on one worker and bytes in the run directory, of all frames. ``measured``: the seconds are no guess."""

    seconds: float
    measured: bool
    film_bytes: int
    stills_bytes: int


def estimate(plan: Plan, unet_parameters: int, vae_parameters: int, records: Iterable[Record]) -> Estimate:
    """The cost of a plan; ``records`` of chunks that are done already make the time a measurement."""
    spec, settings = plan.spec, plan.settings
    pixels = spec.num_frames * settings.width * settings.height
    measured = measured_s_per_frame(records)
    per_frame = _flop_per_frame(plan, unet_parameters, vae_parameters) / EFFECTIVE_FLOPS[settings.device]
    stills = spec.output.frames
    return Estimate(
        seconds=spec.num_frames * (per_frame if measured is None else measured),
        measured=measured is not None,
        film_bytes=int(2 * pixels * CODECS[spec.output.codec].bits_per_pixel / 8),  # segments and film
        stills_bytes=int(pixels * STILL_BITS_PER_PIXEL[stills] / 8) if stills else 0,
    )


def measured_s_per_frame(records: Iterable[Record]) -> float | None:
    """Seconds of one worker for one frame, None without records."""
    done = list(records)
    frames = sum(len(record.pictures) for record in done)
    return sum(record.ended - record.began for record in done) / frames if frames else None


def _flop_per_frame(plan: Plan, unet_parameters: int, vae_parameters: int) -> float:
    """The UNet at every step, twice under guidance, and the VAE scaled by its size against SD's (50 M parameters)."""
    settings = plan.settings
    pixels = settings.width * settings.height
    latent_pixels = pixels / plan.model.latent_scale**2
    unet = _evaluations(plan) * unet_parameters * latent_pixels * UNET_FLOP_PER_PARAMETER_AND_LATENT_PIXEL
    return unet + pixels * VAE_FLOP_PER_PIXEL * vae_parameters / 50e6


def _evaluations(plan: Plan) -> float:
    """UNet evaluations a frame, cheap ones counted as the share of a whole one that they cost."""
    settings = plan.settings
    guided = settings.guidance_until - settings.guidance_from if plan.guided else 0.0
    whole = 1 / max(settings.reuse_steps, settings.interpolate_frames)  # they exclude each other
    return plan.spec.steps * (1 + guided) * (whole + (1 - whole) * SHALLOW_SHARE)
