"""``quality`` -> switches: which approximations a job allows. Pure: an engine section goes in, values and reasons come
out.

A switch that the job spec names overrides the preset; 1, and an interval of [0, 1], switch it off. No preset names a
tiny VAE: which one fits depends on the model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from render.spec import EngineSpec

__all__ = ["PRESETS", "Approximations", "approximations"]


@dataclass(frozen=True)
class Approximations:
    """What is approximated; by default nothing. The guidance interval is in shares of the steps, [from, until)."""

    guidance_from: float = 0.0
    guidance_until: float = 1.0
    reuse_steps: int = 1
    interpolate_frames: int = 1
    tiny_vae: str | None = None


# Chosen by measurement on the demo model (README, "Approximations"). At equal cost features interpolated between frames
# err 12 to 20 dB less than features kept from earlier steps; a guidance interval in the draft would save a seventh more
# and cost 4 to 11 dB.
PRESETS: Mapping[str, Approximations] = {
    "exact": Approximations(),
    "balanced": Approximations(interpolate_frames=4),
    "draft": Approximations(interpolate_frames=8),
}


def approximations(engine: EngineSpec) -> tuple[Approximations, dict[str, str]]:
    """The switches of an engine section, and the reason of each that is not at rest."""
    chosen = _fitting(PRESETS[engine.quality], engine)
    if engine.guidance_interval is not None:
        start, end = engine.guidance_interval
        chosen = replace(chosen, guidance_from=start, guidance_until=end)
    named = {
        name: value
        for name in ("reuse_steps", "interpolate_frames", "tiny_vae")
        if (value := getattr(engine, name)) is not None
    }
    chosen = replace(chosen, **named)
    given = {*named, *(("guidance_from", "guidance_until") if engine.guidance_interval is not None else ())}
    reasons = {
        name: "as given" if name in given else f"quality: {engine.quality}"
        for name, value in vars(chosen).items()
        if name in given or value != getattr(Approximations(), name)
    }
    return chosen, reasons


def _fitting(preset: Approximations, engine: EngineSpec) -> Approximations:
    """The preset without what excludes a switch that the spec names."""
    if (engine.reuse_steps or 1) > 1:
        return replace(preset, interpolate_frames=1)
    if (engine.interpolate_frames or 1) > 1:
        return replace(preset, reuse_steps=1)
    return preset
