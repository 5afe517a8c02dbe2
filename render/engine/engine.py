"""The engine: holds the model of one plan and turns frames into pictures.

A frame's picture depends on the plan and its index only: noise is drawn on the CPU in float32 from its seed, every
batch has the same shape (the tail is padded and the padding dropped), and the number of threads is the plan's.

Shapes: B batch of pictures, M the VAE's micro-batch, C, H, W channels and size of latents.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from render.engine import device as device_module
from render.engine.backends import BACKENDS, open_model, open_text
from render.engine.backends.base import LoadedModel, SplitBackend, WarmupShapes
from render.engine.bad_frames import NOT_RESTORED, BadFrames
from render.engine.base import Frame
from render.engine.batch_renderer import Batch, BatchRenderer
from render.engine.batching import micro_batch
from render.engine.frame_sampler import FrameSampler, Walk, evaluations_of
from render.engine.inputs import Inputs, encode_texts, latent_shape
from render.engine.interpolate import FrameInterpolator, anchors_of
from render.errors import EngineError
from render.plan import Plan, Stopwatch

__all__ = ["Engine", "open_engine"]

AHEAD = {"cpu": 0, "cuda": 1}  # batches queued while one is fetched; a CPU does one thing after another anyway


def open_engine(
    plan: Plan, folder: Path, watch: Stopwatch, warm: LoadedModel | None = None, *, trust: bool = False
) -> Engine:
    """Load the model, encode the keyframes' prompts, write the sampler out. Raises ModelError or EngineError.

    ``warm`` is what an engine of before left for this plan (``warm_for``): it is not loaded again. With ``trust`` also
    what could run code is loaded.
    """
    device_module.set_up(plan.settings.threads)
    if warm is None:
        models, encoder = open_model(plan, folder, watch, trust=trust)
    else:
        models, encoder = warm.models, open_text(plan, folder, watch, trust=trust)
    texts = encode_texts(plan, encoder, watch)
    table, steps = evaluations_of(plan)
    inputs = Inputs(plan, texts, models, table.num_noises, steps)
    warmup = warmup_shapes(plan, inputs, watch)
    fits = warm is not None and warm.shapes == warmup.shapes
    backend = warm.backend if warm and fits else BACKENDS[plan.settings.backend].make(models, warmup)
    loaded = LoadedModel(models, backend, warmup.shapes)
    return Engine(FrameSampler(plan, inputs, table, steps), loaded, texts.warnings)


@torch.no_grad()
def warmup_shapes(plan: Plan, inputs: Inputs, watch: Stopwatch) -> WarmupShapes:
    """Zeros of the shapes that the plan's backend will be called with."""
    batch = plan.settings.batch
    given = inputs.conditionings([plan.timeline.state(0)] * batch)
    zeros_BCHW = torch.zeros((batch, *latent_shape(plan)), device=plan.settings.device)
    both = [(zeros_BCHW.repeat(2, 1, 1, 1), given.both)] if given.both else []
    conditional = [(zeros_BCHW, given.conditional)] if given.conditional else []
    return WarmupShapes(
        evaluations=(*both, *conditional),
        latents_MCHW=zeros_BCHW[: micro_batch(batch)],
        deep=plan.settings.cuts_unet,
        watch=watch,
    )


class Engine:
    """A renderer over a diffusion model. ``open_engine`` makes one of a plan."""

    def __init__(self, sampler: FrameSampler, loaded: LoadedModel, warnings: tuple[str, ...] = ()) -> None:
        """``loaded`` is the model of the sampler's plan, and a backend for the shapes of its batches."""
        self.warnings = warnings
        self.sampler_table = sampler.table.digest
        self._plan = plan = sampler.plan
        self._sampler = sampler
        self._loaded = loaded
        self._renderer = BatchRenderer(self._walk(), loaded.backend, plan, plan.settings.batch)
        self._bad_frames = BadFrames(plan, loaded.models, self._eagerly)

    def warm_for(self, plan: Plan) -> LoadedModel | None:
        """What of this engine another one can go on with, None where ``plan`` loads something else."""
        return self._loaded if plan.model_key == self._plan.model_key and self._usable() else None

    def pictures(self, frames: Sequence[int], watch: Stopwatch) -> Iterator[Frame]:
        """The pictures of ``frames`` in that order. Raises EngineError for one that cannot be rendered.

        A GPU gets a batch before the one before it is fetched, so that it never waits for the host.
        """
        if not self._usable():
            raise EngineError(NOT_RESTORED.format(self._plan.settings.dtype))
        queued: deque[Batch] = deque()
        for batch in self._renderer.batches(frames):
            queued.append(batch)
            while len(queued) > AHEAD[self._plan.settings.device]:
                yield from self._bad_frames.checked(queued.popleft(), watch)
        for rest in queued:
            yield from self._bad_frames.checked(rest, watch)

    def _usable(self) -> bool:
        """Whether the model computes in the plan's dtype: in any other it would render other bits without a word."""
        return self._loaded.models.computes_in(device_module.DTYPES[self._plan.settings.dtype])

    def _walk(self) -> Walk:
        """How latents come about: every frame by itself, or with features between those of its anchors."""
        settings, backend = self._plan.settings, self._loaded.backend
        if settings.interpolate_frames == 1:
            return self._sampler.walk(backend)
        assert isinstance(backend, SplitBackend)
        anchors = anchors_of(self._plan.spec.num_frames, settings.interpolate_frames, self._plan.timeline.cuts())
        return FrameInterpolator(self._sampler.latents, backend, anchors).walk

    def _eagerly(self, frames: Sequence[int]) -> Iterator[Batch]:
        """Batches by the model as it was loaded: nothing is compiled for a single frame.

        Every frame by itself: NaN may come from an anchor.
        """
        models = self._loaded.models
        return BatchRenderer(self._sampler.walk(models), models, self._plan, self._renderer.size).batches(frames)
