"""Rules between fields that hold in every mode. What a mode's own fields must obey stands with the mode."""

from collections.abc import Iterator

from render.errors import count
from render.spec.mistakes import Mistake
from render.spec.other_tools import no_such_name
from render.spec.samplers import SAMPLERS
from render.spec.schema import EngineSpec, JobSpec
from render.spec.units import Size
from render.video.codecs import CODECS, VideoFormat

__all__ = ["contradictions", "onnx_mistakes"]


GIF_MAX_FPS = 50  # its delays are whole hundredths of a second, and players slow down one of 1/100


def contradictions(spec: JobSpec) -> Iterator[Mistake]:
    """What the fields say against each other, though each is right by itself."""
    if spec.steps > (most := SAMPLERS[spec.sampler].max_steps):
        yield ("steps",), f"{spec.steps}: {spec.sampler} takes at most {count(most, 'step')}"
    yield from spec.mistakes()
    yield from _output_mistakes(spec)
    yield from _engine_mistakes(spec.engine, spec.steps)
    if spec.farm.deadline != "auto" and not spec.farm.deadline.seconds:
        yield ("farm", "deadline"), f"{spec.farm.deadline}: write a length with its unit, for example 90s or 10m"


def _engine_mistakes(engine: EngineSpec, steps: int) -> Iterator[Mistake]:
    if engine.guidance_interval:
        start, end = engine.guidance_interval
        if start >= end:
            yield ("engine", "guidance_interval"), "it ends where it begins, or before; write for example [0.1, 0.8]"
        elif not any(start <= step / steps < end for step in range(steps)):
            yield ("engine", "guidance_interval"), f"no step of {steps} lies in it; for no guidance write guidance: 1"
    if (engine.reuse_steps or 1) > 1 and (engine.interpolate_frames or 1) > 1:
        yield ("engine", "interpolate_frames"), "it excludes reuse_steps; keep one of the two"
    if engine.backend in ("onnx", "tensorrt"):
        yield from onnx_mistakes(engine)
    if engine.backend == "tensorrt" and engine.device == "cpu":
        yield ("engine", "backend"), "tensorrt: it needs an NVIDIA GPU; write onnx"


def onnx_mistakes(engine: EngineSpec) -> Iterator[Mistake]:
    """What an exported graph cannot do, because it was fixed when it was exported."""
    if engine.dtype == "bf16":
        yield ("engine", "dtype"), "ONNX graphs are exported in fp32 or fp16; write one of them, or auto"
    if engine.attention not in ("auto", "sdpa"):
        yield ("engine", "attention"), f"{engine.attention}: ONNX Runtime chooses its own kernels; write auto"
    if engine.memory == "low":
        yield ("engine", "memory"), "low: an ONNX graph cannot be sliced; write backend: eager"
    if engine.quality != "exact":
        yield ("engine", "quality"), f"{engine.quality}: an ONNX graph computes all of the UNet; write exact"
    for name in ("reuse_steps", "interpolate_frames"):
        if (getattr(engine, name) or 1) > 1:
            yield ("engine", name), "an ONNX graph computes all of the UNet; write backend: eager or compile"
    if engine.tiny_vae is not None:
        yield ("engine", "tiny_vae"), "an ONNX model brings its own decoder; write backend: eager or compile"


def _output_mistakes(spec: JobSpec) -> Iterator[Mistake]:
    codec, output = CODECS[spec.output.codec], spec.output
    for fault in VideoFormat(codec.name, Size.smallest, Size.smallest, spec.fps.value).faults():
        yield ("fps",), fault.removeprefix("fps ")
    if output.video in ("mp4", "mov") and output.video not in codec.containers:
        yield ("output", "video"), f"{codec.name} does not go into {output.video}; write video: {codec.containers[0]}"
    if output.video == "gif" and spec.fps.value > GIF_MAX_FPS:
        yield (
            ("output", "video"),
            f"a GIF shows at most {GIF_MAX_FPS} frames a second, not {spec.fps}; write video: webp",
        )
    if output.crf is not None and codec.crf_range is None:
        yield ("output", "crf"), f"{codec.name} has no crf; leave it out"
    elif output.crf is not None and codec.crf_range is not None and output.crf not in codec.crf_range:
        best, worst = codec.crf_range[0], codec.crf_range[-1]
        yield ("output", "crf"), f"{output.crf}: the crf of {codec.name} goes from {best} (best) to {worst}"
    if output.preset is not None and not codec.presets:
        yield ("output", "preset"), f"{codec.name} has no presets; leave it out"
    elif output.preset is not None and output.preset not in codec.presets:
        yield ("output", "preset"), no_such_name("preset", output.preset, codec.presets)
