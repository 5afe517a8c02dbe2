"""What a batch begins with and what the model is conditioned on, as functions of the plan and of frames' states.

Here latents begin as noise. Whatever begins elsewhere (a picture, a masked one, the frame before) begins in this file.
Knows no sampler, no backend and no batch size.

Shapes: B batch of pictures, C, H, W channels and size of latents, K step noises of the sampler.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from render.engine.backends.base import LoadedBackend
from render.engine.device import upload
from render.engine.guidance import Conditionings, StepPlan, told
from render.engine.noise import seeded_noise, seeded_step_noises, slerp
from render.engine.text import Text, blend_texts
from render.engine.text_encoder import TextEncoder
from render.plan import Blend, FrameState, Plan, Stopwatch

__all__ = ["EncodedTexts", "Inputs", "encode_texts", "latent_shape"]


@dataclass(frozen=True)
class EncodedTexts:
    """All texts of a plan, encoded; ``warnings`` name those that the model does not read to their end."""

    prompts: Mapping[str, Text]
    negatives: Mapping[str, Text]
    warnings: tuple[str, ...]


def encode_texts(plan: Plan, encoder: TextEncoder, watch: Stopwatch) -> EncodedTexts:
    """Encode the texts of all keyframes, once a job."""
    texts = plan.timeline.texts()
    with watch("prompt"):
        prompts = encoder.encode(texts)
        negatives = prompts | encoder.no_negative()
    ends = {text: end for text in texts if (end := encoder.cut_off(text))}
    warnings = tuple(
        f"the prompt {text[:40]!r}… is longer than the model reads; no effect has: {end!r}"
        for text, end in ends.items()
    )
    if plan.model.guidance_width and any(pin.value for pin in plan.timeline.negative.pins):
        warnings += ("this model is told the guidance and knows no negative prompt: negative has no effect",)
    return EncodedTexts(prompts, negatives, warnings)


def latent_shape(plan: Plan) -> tuple[int, int, int]:
    """(C, H, W) of one picture's latents."""
    settings, scale = plan.settings, plan.model.latent_scale
    return plan.model.latent_channels, settings.height // scale, settings.width // scale


class Inputs:
    """What goes into the denoising of frames of one plan, on its device."""

    def __init__(
        self, plan: Plan, texts: EncodedTexts, models: LoadedBackend, num_noises: int, steps: Sequence[StepPlan]
    ) -> None:
        """``num_noises``: K of the sampler. ``steps`` say which conditionings are needed at all."""
        self._plan = plan
        self._texts = texts
        self._models = models
        self._num_noises = num_noises
        self._guides = any(step.guided for step in steps), not all(step.guided for step in steps)
        self._device = torch.device(plan.settings.device)
        self._noises = lru_cache(maxsize=8)(self._draw)

    def start(self, states: Sequence[FrameState]) -> tuple[Tensor, Tensor | None]:
        """Starting latents (B, C, H, W) of standard deviation 1 and step noises (K, B, C, H, W) of the states.

        Both in float32 on the device; no step noises where the sampler draws none.
        """
        walked = [self._walk_noise(state.seed) for state in states]
        stacked_KBCHW = upload(torch.stack(walked, dim=1), self._device)
        return stacked_KBCHW[0], stacked_KBCHW[1:] if self._num_noises else None

    def conditionings(self, states: Sequence[FrameState]) -> Conditionings:
        """Texts and guidance of the states. Guidance is one batch [unconditional; conditional]."""
        guided, unguided = self._guides
        texts = [self._blend(self._texts.prompts, state.prompt) for state in states]
        negatives = [self._blend(self._texts.negatives, state.negative) for state in states] if guided else []
        width, height = self._plan.settings.width, self._plan.settings.height
        scale = torch.tensor([state.guidance for state in states])
        conditional = self._models.condition(texts, width, height) if unguided else None
        if conditional:
            conditional = told(conditional, scale, self._plan.model.guidance_width)
        return Conditionings(
            both=self._models.condition(negatives + texts, width, height) if guided else None,
            conditional=conditional,
            scale_B111=upload(scale, self._device).reshape(-1, 1, 1, 1),
        )

    def _walk_noise(self, seed: Blend[int]) -> Tensor:
        """(1 + K, C, H, W) of one frame: every noise walks along its own sphere."""
        if seed.weight == 0.0:
            return self._noises(seed.start)
        return slerp(self._noises(seed.start), self._noises(seed.end), seed.weight)

    def _draw(self, seed: int) -> Tensor:
        """(1 + K, C, H, W): the starting noise of a seed and the step noises behind it."""
        shape_CHW = latent_shape(self._plan)
        start = seeded_noise(seed, shape_CHW)[None]
        if not self._num_noises:
            return start
        return torch.cat([start, seeded_step_noises(seed, shape_CHW, self._num_noises)])

    def _blend(self, encoded: Mapping[str, Text], blend: Blend[str]) -> Text:
        return blend_texts(encoded[blend.start], encoded[blend.end], blend.weight, self._plan.timeline.prompt_walk)
