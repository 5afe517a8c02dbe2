"""Frames between anchors: deep features of every k-th frame, interpolated for the frames between them.

Neighbouring frames of a walk run the same steps at nearly the same place, so what the deep half of the UNet says of
them changes slowly from frame to frame. It is computed for anchors only; every other frame runs the shallow branch with
features on the straight line between those of its two anchors at the same evaluation. Which frames are anchors follows
from the plan, never from a chunk, so a frame stays a function of plan and index: a chunk that needs an anchor
outside itself computes it too.

Shapes: B batch of pictures, G rows a picture (2 under guidance), N = GB, F channels of deep features,
C, H, W channels and size of latents.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from render.engine.backends.base import SplitBackend
from render.engine.batching import padded, parts
from render.engine.device import upload
from render.engine.guidance import Denoiser
from render.engine.text import Conditioning

__all__ = ["FrameInterpolator", "anchors_of"]

Denoise = Callable[[Sequence[int], Denoiser], Tensor]
"""(indices of B frames, denoiser) -> their latents (B, C, H, W)."""


def anchors_of(num_frames: int, every: int, cuts: Iterable[int] = ()) -> tuple[int, ...]:
    """The frames to compute in full, ascending: every ``every``-th, the last, and both sides of every cut."""
    sides = (side for cut in cuts for side in (cut - 1, cut))
    return tuple(sorted({*range(0, num_frames, every), num_frames - 1, *sides}))


@dataclass(frozen=True)
class _Anchor:
    """A frame computed in full: its latents (C, H, W) and, at every evaluation, its deep features (G, F, H, W)."""

    latents_CHW: Tensor
    deep: tuple[Tensor, ...]

    def owned(self) -> _Anchor:
        """A copy that does not hold its whole batch in memory."""
        return _Anchor(self.latents_CHW.clone(), tuple(part.clone() for part in self.deep))


class FrameInterpolator:
    """Latents of frames in the order asked for, a stretch of at most a batch of new anchors at a time.

    No more than a batch of anchors and one carried over are alive; one holds as many features as the sampler has
    evaluations (Stable Diffusion 1.5, 512x512, 20 of them in 16 bits: 105 MB).
    """

    def __init__(self, denoise: Denoise, backend: SplitBackend, anchors: Sequence[int]) -> None:
        self._denoise = denoise
        self._backend = backend
        self._all = anchors
        self._anchors: dict[int, _Anchor] = {}  # the last one of a walk serves the next

    def walk(self, frames: Sequence[int], batch: int) -> Iterator[Tensor]:
        """Latents (batch, C, H, W), a batch of ``frames`` at a time in that order, the last one padded."""
        ahead = list(frames)
        ready: list[Tensor] = []
        while ahead:
            stretch, missing = self._stretch(ahead, batch)
            del ahead[: len(stretch)]
            for part in parts(missing, batch):
                self._anchors |= self._computed(part, batch)
            ready += self._filled(stretch, batch)
            needed = self._pair(ahead[0]) if ahead else self._pair(stretch[-1])[1:]
            self._anchors = {frame: self._anchors[frame].owned() for frame in needed if frame in self._anchors}
            while len(ready) >= batch:
                yield torch.stack(ready[:batch])
                del ready[:batch]
        if ready:
            yield torch.stack(padded(ready, batch))

    def _stretch(self, ahead: Sequence[int], batch: int) -> tuple[list[int], list[int]]:
        """(the next frames, the anchors that are missing for them): as many as a batch of new anchors serves."""
        stretch: list[int] = []
        missing: dict[int, None] = {}
        for frame in ahead:
            more = {anchor: None for anchor in self._pair(frame) if anchor not in self._anchors}
            if stretch and len(missing | more) > batch:
                break
            missing |= more
            stretch.append(frame)
        return stretch, list(missing)

    def _filled(self, stretch: Sequence[int], batch: int) -> list[Tensor]:
        """Latents (C, H, W) of each frame of a stretch whose anchors are there."""
        found: dict[int, Tensor] = {}
        for part in parts([frame for frame in stretch if frame not in self._anchors], batch):
            found |= self._interpolated(part, batch)
        return [found[frame] if frame in found else self._anchors[frame].latents_CHW.clone() for frame in stretch]

    def _pair(self, frame: int) -> tuple[int, int]:
        """The anchors at or before, and at or behind a frame."""
        place = bisect_left(self._all, frame)
        behind = self._all[place]
        return (behind, behind) if behind == frame else (self._all[place - 1], behind)

    def _computed(self, anchors: Sequence[int], batch: int) -> dict[int, _Anchor]:
        recording = _Recorder(self._backend, batch)
        latents_BCHW = self._denoise(padded(anchors, batch), recording)
        return {
            anchor: _Anchor(latents_BCHW[row], tuple(deep[row] for deep in recording.deep))
            for row, anchor in enumerate(anchors)
        }

    def _interpolated(self, frames: Sequence[int], batch: int) -> dict[int, Tensor]:
        pairs = [self._pair(frame) for frame in padded(frames, batch)]
        places = zip(padded(frames, batch), pairs, strict=True)
        weights = [(frame - before) / (behind - before) for frame, (before, behind) in places]
        denoiser = _Interpolating(self._backend, [(self._anchors[a], self._anchors[b]) for a, b in pairs], weights)
        latents_BCHW = self._denoise(padded(frames, batch), denoiser)
        return {frame: latents_BCHW[row] for row, frame in enumerate(frames)}


class _Recorder:
    """A denoiser that computes everything and keeps the deep features: at each evaluation (B, G, F, H, W)."""

    def __init__(self, backend: SplitBackend, batch: int) -> None:
        self.deep: list[Tensor] = []
        self._backend = backend
        self._batch = batch

    def __call__(self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning, _index: int) -> Tensor:
        output, deep_NFHW = self._backend.denoise_with_deep(latents_NCHW, timestep, conditioning)
        self.deep.append(deep_NFHW.reshape(-1, self._batch, *deep_NFHW.shape[1:]).transpose(0, 1))
        return output


class _Interpolating:
    """A denoiser that runs the shallow branch alone, with features between those of two anchors a row."""

    def __init__(
        self, backend: SplitBackend, pairs: Sequence[tuple[_Anchor, _Anchor]], weights: Sequence[float]
    ) -> None:
        self._backend = backend
        self._pairs = pairs
        device = pairs[0][0].latents_CHW.device
        self._weights_B1111 = upload(torch.tensor(weights), device).reshape(-1, 1, 1, 1, 1)

    def __call__(self, latents_NCHW: Tensor, timestep: Tensor, conditioning: Conditioning, index: int) -> Tensor:
        before, behind = (torch.stack([pair[side].deep[index] for pair in self._pairs]).float() for side in (0, 1))
        # Products and sum are kernels of their own: fused into lerp, what rounds how depends on a picture's place.
        mixed_BGFHW = before * (1 - self._weights_B1111) + behind * self._weights_B1111
        deep_NFHW = mixed_BGFHW.transpose(0, 1).flatten(0, 1)
        return self._backend.denoise_shallow(latents_NCHW, timestep, conditioning, deep_NFHW)
