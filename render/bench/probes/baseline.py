"""What others do: diffusers' own pipeline, given the same work as the engine, to be measured beside it.

The same walk (the same noise and the same blended prompts a frame), the same sampler, the same numbers of steps and
guidance. Used as the scripts for latent walks use it, prompts encoded once a keyframe: one frame a call, or a batch a
call, or a batch a call with UNet and VAE compiled as diffusers' documentation says. Pictures come out as PIL images.

Step noises of stochastic samplers are the pipeline's own: the work is the same, those pictures are not.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from render.engine import device as device_module
from render.engine.backends.compiled import quiet
from render.engine.backends.loading import Source, pipeline_class, what_is_read
from render.engine.base import Frame
from render.engine.families import family_of
from render.engine.noise import seeded_noise, slerp
from render.engine.sampler.schedulers import make_scheduler
from render.engine.text import Text, blend_texts
from render.engine.text_encoder import TextEncoder
from render.errors import EngineError
from render.plan import Blend, FrameState, Plan, Stopwatch

__all__ = ["Baseline"]


class Baseline:
    """A picture source: diffusers' pipeline at the plan's dtype and batch; compiled where the plan's backend is."""

    sampler_table = ""
    warnings: tuple[str, ...] = ()

    def __init__(self, plan: Plan, folder: Path, watch: Stopwatch, *, trust: bool = False) -> None:
        """Load the pipeline and encode the keyframes' prompts."""
        settings = plan.settings
        device_module.set_up(settings.threads)
        self._plan = plan
        self._device = torch.device(settings.device)
        self._family = family_of(plan.model.family)
        with watch("load"):
            source = Source(folder, self._family, trust)
            self._pipeline = _pipeline(source, device_module.DTYPES[settings.dtype], self._device)
        self._pipeline.scheduler = make_scheduler(plan.sampler, plan.model.scheduler)
        with watch("prompt"):
            encoder = TextEncoder(self._pipeline, self._family, self._device)
            texts = encoder.encode(plan.timeline.texts())
            self._texts = {prompt: text.to(self._pipeline.unet.dtype) for prompt, text in texts.items()}
        scale = plan.model.latent_scale
        shape_CHW = (plan.model.latent_channels, settings.height // scale, settings.width // scale)
        self._noise = lru_cache(maxsize=8)(lambda seed: seeded_noise(seed, shape_CHW))
        if settings.backend == "compile":
            with watch("compile"):
                self._compile()

    def pictures(self, frames: Sequence[int], watch: Stopwatch) -> Iterator[Frame]:
        """The pictures of ``frames``, a batch a call."""
        batch = self._plan.settings.batch
        for start in range(0, len(frames), batch):
            states = [self._plan.timeline.state(index) for index in frames[start : start + batch]]
            rest = batch - len(states) if self._plan.settings.backend == "compile" else 0  # else it compiles again
            with watch("denoise"):
                images = self._call([*states, *[states[-1]] * rest])
            with watch("copy"):
                pixels = [np.asarray(image) for image in images[: len(states)]]
            for state, picture in zip(states, pixels, strict=True):
                yield Frame(state.index, picture)

    def _call(self, states: Sequence[FrameState]) -> Sequence[Any]:
        """One call of the pipeline, PIL images. All states of a benchmark have one guidance."""
        positive = self._blended([state.prompt for state in states])
        negative = self._blended([state.negative for state in states])
        settings = self._plan.settings
        output = self._pipeline(
            latents=self._latents(states),
            width=settings.width,
            height=settings.height,
            num_inference_steps=self._plan.spec.steps,
            guidance_scale=states[0].guidance,
            generator=torch.Generator("cpu").manual_seed(0),
            output_type="pil",
            **self._family.prompts(positive, negative),
        )
        images: Sequence[Any] = output.images
        return images

    def _latents(self, states: Sequence[FrameState]) -> Tensor:
        walked = [slerp(self._noise(s.seed.start), self._noise(s.seed.end), s.seed.weight) for s in states]
        return torch.stack(walked).to(self._device, self._pipeline.unet.dtype)

    def _blended(self, blends: Sequence[Blend[str]]) -> list[Text]:
        walk = self._plan.timeline.prompt_walk
        return [blend_texts(self._texts[b.start], self._texts[b.end], b.weight, walk) for b in blends]

    def _compile(self) -> None:
        """As diffusers' documentation says, and one batch to warm up. Raises EngineError where it cannot be."""
        self._pipeline.unet.to(memory_format=torch.channels_last)
        self._pipeline.vae.to(memory_format=torch.channels_last)
        self._pipeline.unet = torch.compile(self._pipeline.unet, fullgraph=True, dynamic=False)
        self._pipeline.vae.decode = torch.compile(self._pipeline.vae.decode, fullgraph=True, dynamic=False)
        state = self._plan.timeline.state(0)
        try:
            with quiet():
                self._call([state] * self._plan.settings.batch)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, OSError) as error:
            raise EngineError(f"diffusers' pipeline cannot be compiled here: {str(error).splitlines()[0]}") from error


def _pipeline(source: Source, dtype: torch.dtype, device: torch.device) -> Any:
    pipeline = pipeline_class(source.family).from_pretrained(
        source.folder, local_files_only=True, **what_is_read(source)
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device, dtype)
