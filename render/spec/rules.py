"""A job spec: YAML -> ``JobSpec``, validated, frozen, with every default filled in."""

from __future__ import annotations

from collections.abc import Iterator

from render.spec.mistakes import Mistake, did_you_mean
from render.spec.samplers import SAMPLERS
from render.spec.schema import EngineSpec, JobSpec
from render.spec.units import MAX_FRAMES, Size
from render.spec.yaml_reader import KeyPath
from render.video.codecs import CODECS, VideoFormat

__all__ = ["contradictions", "onnx_mistakes"]


GIF_MAX_FPS = 50  # its delays are whole hundredths of a second, and players slow down one of 1/100


def contradictions(spec: JobSpec) -> Iterator[Mistake]:
    """What the fields say against each other, though each is right by itself."""
    if spec.steps > (most := SAMPLERS[spec.sampler].max_steps):
        yield ("steps",), f"{spec.steps}: {spec.sampler} takes at most {most} steps"
    yield from list(_length_mistakes(spec)) or _keyframe_mistakes(spec)  # no length, nothing to stand in
    yield from _output_mistakes(spec)
    yield from _engine_mistakes(spec.engine, spec.steps)
    if spec.farm.deadline != "auto" and not spec.farm.deadline.seconds:
        yield ("farm", "deadline"), f"{spec.farm.deadline}: write a length with its unit, for example 90s or 10m"


def _length_mistakes(spec: JobSpec) -> Iterator[Mistake]:
    if spec.frames is not None and spec.duration is not None:
        yield ("duration",), "frames is given too; keep one of the two"
    if spec.loop and spec.frames is None and spec.duration is None:
        yield ("loop",), "a loop needs frames or duration: the walk back to the first keyframe has no length otherwise"
    if not 1 <= spec.num_frames <= MAX_FRAMES:
        path: KeyPath = ("duration",) if spec.duration else ("keyframes", len(spec.keyframes) - 1, "at")
        yield path, f"that makes {spec.num_frames:,} frames; a job has from 1 to {MAX_FRAMES:,}"


def _keyframe_mistakes(spec: JobSpec) -> Iterator[Mistake]:
    first = spec.keyframes[0]
    if first.at.at(spec.fps) != 0:
        yield ("keyframes", 0, "at"), f"the first keyframe stands at {first.at}; it must stand at 0"
    if first.prompt is None:
        yield ("keyframes", 0), "the first keyframe needs a prompt"
    before, in_order = -1, True
    for index, keyframe in enumerate(spec.keyframes):
        frame = keyframe.at.at(spec.fps)
        path: KeyPath = ("keyframes", index, "at")
        if frame <= before:
            in_order = False
            yield (
                path,
                f"{keyframe.at} is frame {frame}, not after the one before (frame {before}); keyframes go in order",
            )
        elif frame >= spec.num_frames and (spec.frames or spec.duration):
            yield path, f"{keyframe.at} is frame {frame}, but the film has frames 0 to {spec.num_frames - 1}"
        before = max(frame, before)
    if in_order:
        yield from _hold_mistakes(spec)


def _hold_mistakes(spec: JobSpec) -> Iterator[Mistake]:
    ends = [keyframe.at.at(spec.fps) for keyframe in spec.keyframes[1:]] + [spec.num_frames]
    for index, (keyframe, end) in enumerate(zip(spec.keyframes, ends, strict=True)):
        frame = keyframe.at.at(spec.fps)
        if keyframe.hold and frame + keyframe.hold.at(spec.fps) > end:
            yield (
                ("keyframes", index, "hold"),
                f"{keyframe.hold} reaches past frame {end}, where the next keyframe or the end stands",
            )


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
    if output.preset is not None and output.preset not in codec.presets:
        known = f"known: {', '.join(codec.presets)}" if codec.presets else "this codec has none; leave it out"
        yield (
            ("output", "preset"),
            f"unknown preset {output.preset!r}{did_you_mean(output.preset, codec.presets)}; {known}",
        )
