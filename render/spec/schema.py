"""The fields that the jobs of all modes have: names, units, ranges and defaults, frozen once they are read.

Knows what one value may be. What several of them say against each other is in `rules.py` and in the modes.
"""

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from render.spec.fields import Auto, Folder, Guidance, Prompt, Section, Seed, Share, listed
from render.spec.location import Location, parse_location
from render.spec.mistakes import Mistake
from render.spec.samplers import SAMPLERS
from render.spec.units import Rate, Size, Time
from render.video.codecs import CODECS

__all__ = ["EngineSpec", "FarmSpec", "Footer", "Header", "JobSpec", "OutputSpec", "Sampling"]


class EngineSpec(Section):
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
        StringConstraints(min_length=1, max_length=4096, pattern=r"\S"),
        Field(description="an AutoencoderTiny (TAESD) that decodes instead of the model's own VAE: hub id or folder"),
    ] = None
    bad_frame: Annotated[
        Literal["retry", "fail"],
        Field(description="a NaN or blank picture: render it again in fp32, or fail its chunk"),
    ] = "retry"


class FarmSpec(Section):
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
        int, Field(ge=-1000, le=1000, description="of jobs on one kind of device, the higher one gets workers first")
    ] = 0
    workers_per_gpu: Annotated[int, Field(ge=1, le=16, description="workers that share one GPU")] = 1


class OutputSpec(Section):
    """What is written, and where. ``dir`` is the run directory: a folder, or a prefix in an object store
    (``s3://bucket/prefix``); left out, ``out/<name>``."""

    dir: Folder | None = None
    video: Literal["mp4", "mov", "gif", "webp"] | None = "mp4"
    codec: Annotated[str, listed("codec", CODECS)] = "h264"
    crf: Annotated[int | None, Field(ge=0, le=63, description="quality of the codec: lower is better and larger")] = (
        None
    )
    preset: Annotated[str | None, StringConstraints(max_length=20)] = None
    frames: Annotated[Literal["png", "jpg", "webp"] | None, Field(description="also keep every picture as a still")] = (
        None
    )


def _no_switch(value: object) -> object:
    """``true``, which Python takes for 1, as a word."""
    return str(value).lower() if isinstance(value, bool) else value


class Header(Section):
    """What a job file begins with."""

    version: Annotated[Literal[1], BeforeValidator(_no_switch)]
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    mode: str
    model: Annotated[
        str,
        StringConstraints(min_length=1, max_length=4096, pattern=r"\S"),
        Field(description="demo, testcard, a hub id or a folder"),
    ]
    size: Annotated[Size | None, Field(description="width x height; left out, the model's native size")] = None
    fps: Annotated[Rate, Field(description="frames per second")] = Rate.parse(24)


class Sampling(Section):
    """How noise becomes a picture."""

    sampler: Annotated[str, listed("sampler", SAMPLERS)] = "dpm++2m"
    steps: Annotated[int, Field(ge=1, le=1000)] = 20
    guidance: Guidance = 7.5
    negative: Prompt = ""
    seed: Seed = 0


class Footer(Section):
    """What a job file ends with."""

    engine: EngineSpec = EngineSpec()
    farm: FarmSpec = FarmSpec()
    output: OutputSpec = OutputSpec()


class JobSpec(Footer, Sampling, Header):
    """What the jobs of all modes have in common. A mode is a subclass: its own fields, and what is abstract here.

    The fields of a job stand in the order of the bases, the last one first: so they are written, listed and checked.
    """

    template: ClassVar[str]  # what `render new` prints: short enough to read, complete enough to run

    @property
    @abstractmethod
    def num_frames(self) -> int:
        """Length of the film in frames."""

    @property
    @abstractmethod
    def num_keyframes(self) -> int:
        """At how many frames the job pins something."""

    @abstractmethod
    def mistakes(self) -> Iterator[Mistake]:
        """What the mode's fields say against each other and against the common ones."""

    @property
    def run_dir(self) -> Location:
        """The run directory as the user wrote it; a folder is relative to where the command runs, ``~`` is home."""
        return parse_location(self.output.dir) if self.output.dir else Path("out") / self.name
