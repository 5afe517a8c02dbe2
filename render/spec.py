"""A job spec: YAML -> ``JobSpec``, validated, frozen, with every default filled in.

Refusals name the file, the line and the field, and say what would be right. Reads no model, no GPU, no run
directory: what can be known from the text alone is checked here, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    model_serializer,
)

from render import document, place
from render.codecs import CODECS, VideoFormat
from render.document import Document, KeyPath
from render.errors import SpecError
from render.place import Place
from render.refusals import Mistake, did_you_mean, explained, spec_error
from render.samplers import SAMPLERS
from render.units import MAX_FRAMES, Rate, Size, Time

__all__ = [
    "EngineSpec",
    "FarmSpec",
    "JobFile",
    "JobSpec",
    "Keyframe",
    "OutputSpec",
    "dump",
    "json_schema",
    "load",
    "onnx_mistakes",
    "validate",
]

MAX_KEYFRAMES = 10_000
MAX_PROMPT_CHARS = 4_000
GIF_MAX_FPS = 50  # its delays are whole hundredths of a second, and players slow down one of 1/100

Ease = Literal["linear", "in", "out", "in-out", "hold"]
Auto = Literal["auto"]


def _listed(kind: str, names: Iterable[str]) -> AfterValidator:
    """Accept the names of a table; an unknown name is answered with the nearest and with all of them."""
    known = sorted(names)

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"unknown {kind} {value!r}{did_you_mean(value, known)}; known: {', '.join(known)}")
        return value

    return AfterValidator(check)


def _possible(path: str) -> str:
    if not path.isprintable():
        raise ValueError(f"{path!r} holds a character that no folder's name should have")
    if place.is_url(path) and (mistake := place.url_mistake(path)):
        raise ValueError(mistake)
    return path


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    @model_serializer(mode="wrap")
    def _without_nothing(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out None where it is the default anyway. ``video: null`` says something and stays."""
        fields = type(self).model_fields
        return {
            key: value for key, value in plain(self).items() if value is not None or fields[key].default is not None
        }


Prompt = Annotated[str, StringConstraints(max_length=MAX_PROMPT_CHARS)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]
Guidance = Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Keyframe(_Section):
    """A frame at which some properties are pinned. What a keyframe leaves out is not pinned there: it walks on."""

    at: Annotated[Time, Field(description="where the keyframe stands; the first one stands at 0")]
    prompt: Annotated[Prompt | None, Field(description="what the picture shows")] = None
    negative: Annotated[Prompt | None, Field(description="what the picture must not show")] = None
    seed: Annotated[Seed | None, Field(description="the picture diffusers gives with manual_seed(seed)")] = None
    guidance: Annotated[Guidance | None, Field(description="classifier-free guidance scale")] = None
    ease: Annotated[Ease, Field(description="how the walk leaves this keyframe; hold: stay, then cut to the next")] = (
        "linear"
    )
    hold: Annotated[Time | None, Field(description="rest at this keyframe for so long before the walk leaves it")] = (
        None
    )


class EngineSpec(_Section):
    """How the pictures are computed. ``auto`` is resolved once, by the first worker, and kept in ``plan.json``."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    backend: Annotated[
        Literal["auto", "eager", "compile", "onnx", "tensorrt"],
        Field(description="onnx: ONNX Runtime, on a GPU its CUDA kernels; tensorrt: the same graph through TensorRT"),
    ] = "auto"
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    batch: Annotated[Auto | Annotated[int, Field(ge=1, le=256)], Field(description="frames per denoiser call")] = "auto"
    threads: Annotated[Auto | Annotated[int, Field(ge=1, le=1024)], Field(description="CPU threads of one worker")] = (
        "auto"
    )
    attention: Literal["auto", "sdpa", "flash", "cudnn", "efficient", "sliced", "xformers"] = "auto"
    memory: Annotated[
        Literal["auto", "normal", "low"], Field(description="low: slices, tiles and offloading; slower")
    ] = "auto"
    quality: Annotated[
        Literal["exact", "balanced", "draft"],
        Field(description="approximations that are allowed; the four switches below say which, one by one"),
    ] = "exact"
    guidance_interval: Annotated[
        tuple[Share, Share] | None,
        Field(strict=False, description="guide only from this share of the steps to that one, for example [0.1, 0.8]"),
    ] = None
    reuse_steps: Annotated[
        int | None, Field(ge=1, le=20, description="compute the deep half of the UNet at every n-th step only")
    ] = None
    interpolate_frames: Annotated[
        int | None, Field(ge=1, le=16, description="compute the deep half of the UNet for every k-th frame only")
    ] = None
    tiny_vae: Annotated[
        str | None,
        StringConstraints(min_length=1, max_length=4096),
        Field(description="an AutoencoderTiny (TAESD) that decodes instead of the model's own VAE: hub id or folder"),
    ] = None
    bad_frame: Annotated[
        Literal["retry", "fail"],
        Field(description="a NaN or blank picture: render it again in fp32, or fail its chunk"),
    ] = "retry"


class FarmSpec(_Section):
    """Who computes the pictures, and what happens when someone does not. Changes no pixel."""

    workers: Annotated[
        Auto | Annotated[int, Field(ge=1, le=4096)], Field(description="auto: one a GPU, else one a node")
    ] = "auto"
    chunk: Annotated[Auto | Annotated[int, Field(ge=1, le=10_000)], Field(description="frames per chunk")] = "auto"
    attempts: Annotated[int, Field(ge=1, le=20, description="workers a chunk may fail on before it is given up")] = 3
    deadline: Annotated[
        Auto | Time,
        Field(union_mode="left_to_right", description="longest time one chunk may take on a worker, for example 10m"),
    ] = "auto"
    max_failed: Annotated[
        Auto | Annotated[int, Field(ge=0, le=1_000_000)],
        Field(description="more chunks than that given up, and the rest is not begun; auto: a tenth, at least 3"),
    ] = "auto"
    priority: Annotated[
        int, Field(ge=-1000, le=1000, description="among jobs of one command, the higher one gets workers first")
    ] = 0
    workers_per_gpu: Annotated[int, Field(ge=1, le=16, description="workers that share one GPU")] = 1


class OutputSpec(_Section):
    """What is written, and where. ``dir`` is the run directory: a folder, or a prefix in an object store
    (``s3://bucket/prefix``); left out, ``out/<name>``."""

    dir: Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(_possible)] | None = None
    video: Literal["mp4", "mov", "gif", "webp"] | None = "mp4"
    codec: Annotated[str, _listed("codec", CODECS)] = "h264"
    crf: Annotated[int | None, Field(ge=0, le=63, description="quality of the codec: lower is better and larger")] = (
        None
    )
    preset: Annotated[str | None, StringConstraints(max_length=20)] = None
    frames: Annotated[Literal["png", "jpg", "webp"] | None, Field(description="also keep every picture as a still")] = (
        None
    )


class JobSpec(_Section):
    """One job: what to render, how, on what, and where to put it."""

    version: Literal[1]
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    mode: Literal["dream"]
    model: Annotated[
        str, StringConstraints(min_length=1, max_length=4096), Field(description="demo, testcard, a hub id or a folder")
    ]
    size: Annotated[Size | None, Field(description="width x height; left out, the model's native size")] = None
    fps: Annotated[Rate, Field(description="frames per second")] = Rate.parse(24)
    frames: Annotated[int | None, Field(ge=1, le=MAX_FRAMES, description="length of the film in frames")] = None
    duration: Annotated[Time | None, Field(description="length of the film as a time, instead of frames")] = None
    sampler: Annotated[str, _listed("sampler", SAMPLERS)] = "dpm++2m"
    steps: Annotated[int, Field(ge=1, le=1000)] = 20
    guidance: Guidance = 7.5
    negative: Prompt = ""
    seed: Seed = 0
    prompt_walk: Annotated[Literal["lerp", "slerp"], Field(description="how text embeddings are interpolated")] = "lerp"
    loop: Annotated[
        bool, Field(description="walk back to the first keyframe, so that the film repeats without a seam")
    ] = False
    keyframes: Annotated[tuple[Keyframe, ...], Field(strict=False, min_length=1, max_length=MAX_KEYFRAMES)]
    engine: EngineSpec = EngineSpec()
    farm: FarmSpec = FarmSpec()
    output: OutputSpec = OutputSpec()

    @property
    def num_frames(self) -> int:
        """Length of the film: ``frames``, else ``duration``, else the last keyframe + 1."""
        if self.frames is not None:
            return self.frames
        if self.duration is not None:
            return self.duration.at(self.fps)
        return self.keyframes[-1].at.at(self.fps) + 1

    @property
    def run_dir(self) -> Place:
        """The run directory as the user wrote it; a folder is relative to where the command runs, ``~`` is home."""
        return place.parse(self.output.dir) if self.output.dir else Path("out") / self.name


@dataclass(frozen=True)
class JobFile:
    """A job spec together with the text it was read from, so that later refusals can name the line as well."""

    spec: JobSpec
    source: Document

    def mistake(self, path: KeyPath, message: str) -> SpecError:
        """A SpecError about the value at ``path``, for what only the disk or the network can tell."""
        return spec_error(self.source, [(path, message)])


def load(path: Path, overrides: Iterable[str] = ()) -> JobFile:
    """Read a job spec and apply ``--set`` overrides. Raises SpecError with one line a mistake."""
    source = document.read(path)
    if isinstance(source.data, dict):
        source.data.setdefault("name", path.stem)
        for assignment in overrides:
            source.override(assignment)
    return JobFile(validate(source), source)


def validate(source: Document) -> JobSpec:
    """Validate a parsed document. Raises SpecError with one line a mistake, in the order of the file's lines."""
    if not isinstance(source.data, Mapping):
        raise SpecError(f"{source.name}: a job spec is a mapping of keys; `render new dream` prints one to start from")
    try:
        spec = JobSpec.model_validate(source.data)
    except ValidationError as error:
        raise spec_error(source, explained(error.errors(include_url=False), source.data, _keys_at)) from None
    if mistakes := list(_contradictions(spec)):
        raise spec_error(source, mistakes)
    return spec


def dump(spec: JobSpec) -> str:
    """The spec as YAML with every default written out; ``load`` reads it back to an equal spec."""
    return document.write(spec.model_dump(mode="json"))


def json_schema() -> str:
    """JSON Schema of a job spec (draft 2020-12), for editors that complete and check YAML."""
    schema = JobSpec.model_json_schema(mode="validation")
    schema["properties"]["sampler"]["enum"] = sorted(SAMPLERS)
    schema["$defs"]["OutputSpec"]["properties"]["codec"]["enum"] = sorted(CODECS)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "render job spec"
    schema["required"] = [key for key in schema["required"] if key != "name"]  # left out, it is the file's stem
    return json.dumps(schema, indent=2)


def _contradictions(spec: JobSpec) -> Iterator[Mistake]:
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


_SECTIONS: dict[str, type[_Section]] = {
    "engine": EngineSpec,
    "farm": FarmSpec,
    "output": OutputSpec,
    "keyframes": Keyframe,
}


def _keys_at(path: KeyPath) -> list[str]:
    section = _SECTIONS[str(path[0])] if path else JobSpec
    return list(section.model_fields)
