"""Seeded noise, and the way from one keyframe's noise or text to the next one's.

Mathematics only: tensors in, tensors out; no models, no files, no global random state.

Shapes: C channels, H height, W width of the latents; K step noises; L tokens, D width of a text embedding.
"""

import torch
from torch import Tensor

__all__ = ["lerp", "seeded_noise", "seeded_step_noises", "slerp", "slerp_text"]

SMALLEST_SINE = 1e-6  # below it the two directions are one, or opposite, as far as float32 can tell
CHW = (-3, -2, -1)


def seeded_noise(seed: int, shape_CHW: tuple[int, int, int]) -> Tensor:
    """The starting noise of seed `seed`: what diffusers' pipelines draw with ``torch.Generator("cpu")``.

    Float32 on the CPU whatever the device and dtype of the model, with standard deviation 1: samplers that start
    from more have it in their table.
    """
    return _draws(seed, shape_CHW, 1)[0]


def seeded_step_noises(seed: int, shape_CHW: tuple[int, int, int], count: int) -> Tensor:
    """The `count` noises (K, C, H, W) that a stochastic sampler draws after the starting noise of the same seed."""
    return _draws(seed, shape_CHW, 1 + count)[1:]


def _draws(seed: int, shape_CHW: tuple[int, int, int], count: int) -> Tensor:
    """The first `count` draws of a seed. One call each: a single larger draw gives other numbers."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.cat([torch.randn((1, *shape_CHW), generator=generator, dtype=torch.float32) for _ in range(count)])


def lerp(a: Tensor, b: Tensor, weight: float) -> Tensor:
    """The straight way from `a` (weight 0, exactly) to `b` (weight 1, exactly); `a` all the way where they agree."""
    return torch.lerp(a, b, weight)


def slerp(a_CHW: Tensor, b_CHW: Tensor, weight: float) -> Tensor:
    """The way from one noise to another along the sphere: every noise on it looks like a normal draw.

    (K, C, H, W) walks each of the K noises on its own. `weight` 0 gives exactly `a`, 1 exactly `b`; where the two
    are equal, exactly that noise all the way. Opposite noises have no shortest way between them and fall
    back to lerp, as do those closer than 1e-6 rad; two seeds are neither.

    Everything happens in float64: in fp16 the norms overflow, and what float64 leaves of rounding errors vanishes on
    the way back to float32, hence "exactly". Source: Shoemake, "Animating rotation with quaternion
    curves", 1985; the norm goes straight from one to the other.
    """
    return _slerp(a_CHW, b_CHW, weight, CHW)


def slerp_text(a_LD: Tensor, b_LD: Tensor, weight: float) -> Tensor:
    """`slerp` of text embeddings, each token (or a pooled embedding, shape D) on its own."""
    return _slerp(a_LD, b_LD, weight, (-1,))


def _slerp(a: Tensor, b: Tensor, weight: float, dims: tuple[int, ...]) -> Tensor:
    """Interpolate direction and norm over `dims`, independently for every index of the other axes."""
    norm_a, direction_a = _polar(a, dims)
    norm_b, direction_b = _polar(b, dims)
    # Kahan's form of the angle: acos of the dot product loses half the digits where the two are close.
    angle = 2 * torch.atan2(_norm(direction_a - direction_b, dims), _norm(direction_a + direction_b, dims))
    sine = torch.sin(angle)
    direction = (torch.sin((1 - weight) * angle) * direction_a + torch.sin(weight * angle) * direction_b) / sine
    on_sphere = direction * ((1 - weight) * norm_a + weight * norm_b)
    straight = torch.lerp(a.double(), b.double(), weight)
    return torch.where(sine < SMALLEST_SINE, straight, on_sphere).to(a.dtype)


def _polar(v: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Norm and unit vector in float64; a zero vector stays zero."""
    wide = v.double()
    norm = _norm(wide, dims)
    return norm, wide / norm.clamp_min(torch.finfo(torch.float64).tiny)


def _norm(v: Tensor, dims: tuple[int, ...]) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(v, dim=dims, keepdim=True)
    return norm
