"""The engine: holds the models of one plan and turns frames into pictures.

A frame's picture depends on the plan and its index only: noise is drawn on the CPU in float32 from its seed, every
batch has the same shape (the tail is padded and the padding dropped), and the number of threads is the plan's.

Shapes: B batch of pictures, C, H, W channels and size of latents, K step noises of the sampler.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from render.engine import device as device_module
from render.engine.backends import BACKENDS, open_model, open_text
from render.engine.backends.base import Backend, LoadedModel, SplitBackend, WarmupShapes
from render.engine.base import Frame
from render.engine.batching import micro_batch, padded, parts
from render.engine.device import Marks, download, upload
from render.engine.guidance import Conditionings, Denoiser, denoiser, guided, schedule
from render.engine.interpolate import FrameInterpolator, anchors_of
from render.engine.memory import NOT_EVEN_ONE, out_of_memory, release
from render.engine.noise import seeded_noise, seeded_step_noises, slerp
from render.engine.pixels import Flags, bad_places, to_uint8
from render.engine.sampler.denoise import denoise
from render.engine.sampler.schedulers import make_scheduler
from render.engine.sampler.table import SamplerTable, tabulate
from render.engine.text import Text, blend_texts
from render.errors import EngineError
from render.plan import Blend, FrameState, Plan, Stopwatch
from render.spec import SAMPLERS
from render.video.pixels import Pixels

__all__ = ["Engine"]

AHEAD = {"cpu": 0, "cuda": 1}  # batches queued while one is fetched; a CPU does one thing after another anyway
NO_ROOM = "out of memory while they were tried in fp32; render smaller pictures or use a larger device"
STUCK = "the model could not be brought back from fp32 to {}: this worker renders nothing more with it"


class Engine:
    """A picture source over a diffusion model."""

    def __init__(self, plan: Plan, folder: Path, watch: Stopwatch, warm: LoadedModel | None = None) -> None:
        """Load the model, encode the keyframes' prompts, write the sampler out. Raises ModelError or EngineError.

        ``warm`` is what an engine of before left for this plan (``warm_for``): it is not loaded again.
        """
        settings = plan.settings
        device_module.set_up(settings.threads)
        self._plan = plan
        self._dtype = device_module.DTYPES[settings.dtype]
        self._device = torch.device(settings.device)
        if warm is None:
            self._models, encoder = open_model(plan, folder, watch)
        else:
            self._models, encoder = warm.models, open_text(plan, folder, watch)
        with watch("prompt"):
            texts = plan.timeline.texts()
            self._prompts = encoder.encode(texts)
            self._negatives = self._prompts | encoder.no_negative()
        ends = {text: end for text in texts if (end := encoder.cut_off(text))}
        self.warnings = tuple(
            f"the prompt {text[:40]!r}… is longer than the model reads; no effect has: {end!r}"
            for text, end in ends.items()
        )
        self._table: SamplerTable = tabulate(
            make_scheduler(SAMPLERS[plan.spec.sampler], plan.model.scheduler), plan.spec.steps
        )
        self.sampler_table = self._table.digest
        self._steps = schedule(settings, self._table.num_evaluations, guided=plan.timeline.guided)
        scale = plan.model.latent_scale
        self._shape_CHW = (plan.model.latent_channels, settings.height // scale, settings.width // scale)
        self._noises = lru_cache(maxsize=8)(self._draw)
        self._ahead = AHEAD[settings.device]
        self._fits = settings.batch  # pictures that fit into memory at once
        self._stuck = False  # whether the model is in another dtype than the plan's
        warmup = self._warmup(watch)
        self._shapes = warmup.shapes
        self._backend: Backend = (
            warm.backend
            if warm and warm.shapes == self._shapes
            else BACKENDS[settings.backend].make(self._models, warmup)
        )
        self._between: FrameInterpolator | None = None
        if settings.interpolate_frames > 1:
            anchors = anchors_of(plan.spec.num_frames, settings.interpolate_frames, plan.timeline.cuts())
            assert isinstance(self._backend, SplitBackend)
            self._between = FrameInterpolator(self._walked_frames, self._backend, anchors)

    def warm_for(self, plan: Plan) -> LoadedModel | None:
        """What of this engine another one can go on with, None where ``plan`` loads something else."""
        same = plan.model_key == self._plan.model_key and not self._stuck
        return LoadedModel(self._models, self._backend, self._shapes) if same else None

    def pictures(self, frames: Sequence[int], watch: Stopwatch) -> Iterator[Frame]:
        """The pictures of ``frames`` in that order. Raises EngineError for one that cannot be rendered.

        A GPU gets a batch before the one before it is fetched, so that it never waits for the host.
        """
        if self._stuck:
            raise EngineError(STUCK.format(self._plan.settings.dtype))
        batch = self._plan.settings.batch
        if self._between is not None:
            self._between.expect(frames)
        queued: deque[_Batch] = deque()
        for part in parts(frames, batch):
            queued.append(self._queue([self._plan.timeline.state(index) for index in part]))
            while len(queued) > self._ahead:
                yield from self._checked(queued.popleft(), watch)
        for rest in queued:
            yield from self._checked(rest, watch)

    def latents(self, states: Sequence[FrameState]) -> Tensor:
        """Denoised latents (B, C, H, W), float32, of at most a batch of states, before the VAE."""
        return self._denoised(padded(states, self._plan.settings.batch))[: len(states)]

    def decode(self, latents_BCHW: Tensor) -> Tensor:
        """Pictures (B, 3, height, width) in float32, about [-1, 1], before they are rounded to bytes.

        In micro-batches of one size, the last one padded: in a smaller one the same picture would get other bits.
        """
        count = len(latents_BCHW)
        size = micro_batch(count)
        whole = torch.cat([latents_BCHW, latents_BCHW[-1:].expand(-count % size, -1, -1, -1)])
        return torch.cat([self._backend.decode(part) for part in torch.split(whole, size)])[:count]

    @torch.no_grad()
    def _warmup(self, watch: Stopwatch) -> WarmupShapes:
        """Zeros of the shapes that the backend will be called with."""
        batch = self._plan.settings.batch
        told = self._told([self._plan.timeline.state(0)] * batch)
        zeros_BCHW = torch.zeros((batch, *self._shape_CHW), device=self._device)
        both = [(zeros_BCHW.repeat(2, 1, 1, 1), told.both)] if told.both else []
        conditional = [(zeros_BCHW, told.conditional)] if told.conditional else []
        return WarmupShapes(
            evaluations=(*both, *conditional),
            latents_MCHW=zeros_BCHW[: micro_batch(batch)],
            deep=self._plan.settings.cuts_unet,
            watch=watch,
        )

    def _checked(self, batch: _Batch, watch: Stopwatch) -> Iterator[Frame]:
        """Pictures of one batch; what is NaN or blank is rendered again in float32 or refused, as the spec says."""
        pixels, finite = batch.fetch(watch)
        bad = bad_places(pixels, finite, self._plan.settings.dtype)
        again = self._again_in_fp32([batch.states[place] for place in bad], watch) if bad else {}
        for place, state in enumerate(batch.states):
            yield again.get(state.index) or Frame(state.index, pixels[place], batch.remark)

    def _again_in_fp32(self, states: list[FrameState], watch: Stopwatch) -> dict[int, Frame]:
        named = f"frames {', '.join(str(state.index) for state in states)} came out as"
        if self._plan.spec.engine.bad_frame == "fail":
            raise EngineError(f"{named} NaN or blank, and engine.bad_frame is fail")
        usual = self._backend, self._between, self._fits
        try:
            self._models.cast(torch.float32)
            self._backend = self._models  # the eager one: nothing is compiled for a single frame
            self._between = None  # NaN may come from an anchor: this frame needs none
            batch = self._queue(states)
            pixels, finite = batch.fetch(watch)
        except EngineError as error:
            raise EngineError(f"{named} NaN or blank; {error}") from error
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            raise EngineError(f"{named} NaN or blank; {NO_ROOM}") from error
        finally:
            self._backend, self._between, self._fits = usual
            self._cast_back()
        if not finite.all():
            raise EngineError(f"{named} NaN, in float32 too; the model or its prompt is broken")
        kind, text = "fp32", f"NaN or blank in {self._plan.settings.dtype}"
        if batch.remark:
            kind, text = batch.remark[0], f"{text}; in fp32 {batch.remark[1]}"
        pictures = (Frame(state.index, each, (kind, text)) for state, each in zip(states, pixels, strict=True))
        return {picture.index: picture for picture in pictures}

    def _cast_back(self) -> None:
        """To the plan's dtype. In any other the model would render other bits without a word: then it is not used."""
        self._stuck = True
        try:
            self._models.cast(self._dtype)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            raise EngineError(STUCK.format(self._plan.settings.dtype)) from error
        self._stuck = False

    def _queue(self, states: list[FrameState]) -> _Batch:
        """Give up to a batch of states to the device.

        Out of memory halves the batch for the rest of this engine's life: what does not fit once does not fit later.
        """
        while True:
            size = self._fits
            try:
                queued = [self._queue_padded(part, size) for part in parts(states, size)]
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                if size == 1:
                    raise EngineError(NOT_EVEN_ONE) from None
            else:
                text = f"out of memory: rendered at batch {size}, not bit-identical"
                return _Batch(states, queued, ("batch", text) if size < self._plan.settings.batch else None)
            self._fits = size // 2
            release()

    @torch.no_grad()
    def _queue_padded(self, states: Sequence[FrameState], size: int) -> _Part:
        marks = Marks(self._device)
        latents_BCHW = self._denoised(padded(states, size))
        marks.end("denoise")
        pictures = self.decode(latents_BCHW)
        finite, pixels = pictures.isfinite().flatten(1).all(1), to_uint8(pictures)
        marks.end("decode")
        part = _Part(len(states), download(pixels), download(finite), marks)
        marks.end("copy")
        return part

    def _denoised(self, states: Sequence[FrameState]) -> Tensor:
        """Latents (B, C, H, W) of exactly these states."""
        if self._between is not None:
            return self._between.latents([state.index for state in states])
        return self._walked(states, denoiser(self._backend, self._steps))

    @torch.no_grad()
    def _walked(self, states: Sequence[FrameState], denoiser: Denoiser) -> Tensor:
        """Latents (B, C, H, W) of exactly these states, by this network."""
        noise_BCHW, step_noises_KBCHW = self._noise_of(states)
        return denoise(guided(denoiser, self._told(states), self._steps), self._table, noise_BCHW, step_noises_KBCHW)

    def _walked_frames(self, frames: Sequence[int], denoiser: Denoiser) -> Tensor:
        return self._walked([self._plan.timeline.state(index) for index in frames], denoiser)

    def _told(self, states: Sequence[FrameState]) -> Conditionings:
        """Texts and guidance of the states. Guidance is one batch [unconditional; conditional]."""
        settings, both, conditional = self._plan.settings, None, None
        texts = [self._text(self._prompts, state.prompt) for state in states]
        if any(step.guided for step in self._steps):
            negatives = [self._text(self._negatives, state.negative) for state in states]
            both = self._models.condition(negatives + texts, settings.width, settings.height)
        if not all(step.guided for step in self._steps):
            conditional = self._models.condition(texts, settings.width, settings.height)
        scale = torch.tensor([state.guidance for state in states])
        return Conditionings(both, conditional, upload(scale, self._device).reshape(-1, 1, 1, 1))

    def _noise_of(self, states: Sequence[FrameState]) -> tuple[Tensor, Tensor | None]:
        """Starting noise (B, C, H, W) and step noises (K, B, C, H, W) of the states, on the device, float32."""
        walked = [self._walk_noise(state.seed) for state in states]
        stacked_KBCHW = upload(torch.stack(walked, dim=1), self._device)
        return stacked_KBCHW[0], stacked_KBCHW[1:] if self._table.num_noises else None

    def _walk_noise(self, seed: Blend[int]) -> Tensor:
        """(1 + K, C, H, W) of one frame: every noise walks along its own sphere."""
        if seed.weight == 0.0:
            return self._noises(seed.start)
        return slerp(self._noises(seed.start), self._noises(seed.end), seed.weight)

    def _draw(self, seed: int) -> Tensor:
        """(1 + K, C, H, W): the starting noise of a seed and the step noises behind it."""
        start = seeded_noise(seed, self._shape_CHW)[None]
        if not self._table.num_noises:
            return start
        return torch.cat([start, seeded_step_noises(seed, self._shape_CHW, self._table.num_noises)])

    def _text(self, encoded: dict[str, Text], blend: Blend[str]) -> Text:
        return blend_texts(encoded[blend.start], encoded[blend.end], blend.weight, self._plan.spec.prompt_walk)


@dataclass(frozen=True)
class _Part:
    """What one call of the device makes: ``count`` pictures and their padding, to be read once ``marks`` are passed."""

    count: int
    pixels_BHW3: Tensor
    finite_B: Tensor
    marks: Marks


@dataclass(frozen=True)
class _Batch:
    """Up to a batch of pictures that the device works on."""

    states: list[FrameState]
    parts: list[_Part]
    remark: tuple[str, str] | None

    def fetch(self, watch: Stopwatch) -> tuple[Pixels, Flags]:
        """(pictures, whether each is finite), once they are done; waits for the device."""
        for part in self.parts:
            part.marks.charge(watch)
        pixels = [part.pixels_BHW3.numpy()[: part.count] for part in self.parts]
        finite = [part.finite_B.numpy()[: part.count] for part in self.parts]
        return np.concatenate(pixels), np.concatenate(finite)
