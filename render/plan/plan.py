"""JobSpec + settings + model -> ``Plan``: chunks, digest, and the state of every frame. Pure: no torch, no disk.

A plan is the whole truth about a job's pixels. Two plans with the same digest make the same pictures, the same segments
and the same film; what does not change those (workers, attempts, the run directory's name) is not in the digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from render.models import ModelInfo
from render.plan.auto import resolve_again
from render.plan.chunks import Chunk, parse_frames
from render.plan.modes import MODES
from render.plan.sampling import sampler_of
from render.plan.settings import Settings
from render.plan.timeline import Timeline
from render.spec import Document, JobSpec, Sampler, validate
from render.video.codecs import VideoFormat

__all__ = ["Plan", "film_name", "select"]


PLAN_VERSION = 2


@dataclass(frozen=True)
class Plan:
    """Everything that decides a job's pixels, and nothing else but the spec it came from."""

    spec: JobSpec
    settings: Settings
    model: ModelInfo

    @cached_property
    def timeline(self) -> Timeline:
        """The states of all frames."""
        return MODES[self.spec.mode].timeline(self.spec)

    @cached_property
    def sampler(self) -> Sampler:
        """The job's sampler, with the scheduler class and the options that go with the model's noise."""
        return sampler_of(self.spec, self.model)

    @property
    def guided(self) -> bool:
        """Whether a frame is evaluated twice, with its prompt and without: not where the model is told the guidance."""
        return self.timeline.guided and not self.model.guidance_width

    @cached_property
    def chunks(self) -> tuple[Chunk, ...]:
        """The film's chunks in order, without gap or overlap."""
        return MODES[self.spec.mode].chunks(self.spec, self.settings)

    @property
    def video(self) -> VideoFormat:
        """How segments are encoded. One thread: the bytes of most encoders depend on the number of threads."""
        output, settings = self.spec.output, self.settings
        return VideoFormat(
            codec=output.codec,
            width=settings.width,
            height=settings.height,
            fps=self.spec.fps.value,
            crf=output.crf,
            preset=output.preset,
            container="mov" if output.video == "mov" else None,
        )

    @cached_property
    def digest(self) -> str:
        """sha256 over what changes pixels or segment bytes, as canonical JSON."""
        return hashlib.sha256(json.dumps(self._essence(), sort_keys=True).encode()).hexdigest()

    @cached_property
    def model_key(self) -> str:
        """What a worker has to load for this plan, as one text: plans that agree in it can share what is loaded.

        Threads are built into sessions and compiled kernels, and TensorRT's engines into the shapes they have seen.
        """
        settings, spec = self.settings, self.spec
        what: list[object] = [self.model.fingerprint, settings.device, settings.backend, settings.dtype]
        what += [settings.attention, settings.memory, settings.threads, settings.cuts_unet, settings.tiny_vae]
        if settings.backend == "tensorrt":
            what += [settings.width, settings.height, settings.batch, self.guided, spec.sampler, spec.steps]
            what += [settings.guidance_from, settings.guidance_until]
        return " ".join(str(part) for part in what)

    def _essence(self) -> dict[str, Any]:
        """What the digest covers: the tracks, not how they were written, so that ``at: 4s`` is ``at: 96``."""
        spec, sampler = self.spec, self.sampler
        return self._technique() | {
            "plan_version": PLAN_VERSION,
            "mode": spec.mode,
            "frames": spec.num_frames,
            "tracks": self.timeline.tracks(),
            "prompt_walk": self.timeline.prompt_walk,
            "steps": spec.steps,
            "sampler": [sampler.scheduler, dict(sampler.options)],
            "fps": str(spec.fps),
        }

    def _technique(self) -> dict[str, Any]:
        """What decides pixels and bytes beside the timeline."""
        settings, model = asdict(self.settings), _model_as_data(self.model)
        del settings["reasons"]
        for key in ("revision", "layout", "dtype"):  # the fingerprint says which model it is, wherever it lies
            del model[key]
        video = self.video
        return {
            "settings": settings,
            "bad_frame": self.spec.engine.bad_frame,
            "model": model,
            "video": {
                "encoder": video.settings.encoder,
                "pixel_format": video.settings.pixel_format,
                "crf": video.quality,
                "preset": video.speed,
                "container": video.suffix,
            },
        }

    def rerun(self, spec: JobSpec, model: ModelInfo | None = None) -> Plan:
        """The plan of a rerun with ``spec``: the same digest unless something that changes pixels was edited.

        ``model`` is what ``spec.model`` names now; left out, it is the one of this plan.
        """
        model = model or self.model
        return Plan(spec, resolve_again(spec, model, self.settings), model)

    def to_json(self) -> str:
        """The plan as the text of ``plan.json``; ``from_json`` reads it back to an equal plan."""
        content = {
            "plan_version": PLAN_VERSION,
            "digest": self.digest,
            "spec": self.spec.model_dump(mode="json"),
            "settings": asdict(self.settings),
            "model": _model_as_data(self.model),
            "chunks": len(self.chunks),
        }
        return json.dumps(content, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan of a ``plan.json``. Raises ValueError or KeyError for text that is none."""
        content = json.loads(text)
        if content["plan_version"] != PLAN_VERSION:
            raise ValueError(f"plan version {content['plan_version']}; this program writes {PLAN_VERSION}")
        spec = validate(Document("plan.json", content["spec"]))
        model = content["model"]
        plan = cls(
            spec,
            Settings(**content["settings"]),
            ModelInfo(**(model | {"native_size": tuple(model["native_size"])})),
        )
        if plan.digest != content["digest"]:
            raise ValueError("its digest does not fit its content")
        return plan

    @property
    def padded_batch(self) -> int:
        """Frames that are computed at a time, however few of them are wanted: of test cards one."""
        return 1 if self.model.family == "testcard" else self.settings.batch

    def differences(self, other: Plan) -> list[str]:
        """What makes ``other`` another plan, as ``steps: 20 -> 30``, for the message that refuses it."""
        written = {"name", "model", "farm", "output", "engine", "size"}
        old, new = (plan.spec.model_dump(mode="json", exclude=written) for plan in (self, other))
        names = _differences(self.spec.model, other.spec.model, "model")
        return [*names, *_differences(old, new, ""), *_differences(self._technique(), other._technique(), "")]


def _model_as_data(model: ModelInfo) -> dict[str, Any]:
    """The model without what few of them have: so plans of the others, and their digests, are what they always were."""
    usual = {"noise": "betas", "guidance_width": 0, "centred": False}
    return {name: value for name, value in asdict(model).items() if name not in usual or value != usual[name]}


def _differences(old: Any, new: Any, path: str) -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = dict.fromkeys([*old, *new])
        return [line for key in keys for line in _differences(old.get(key), new.get(key), f"{path}.{key}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for index, (one, two) in pairs for line in _differences(one, two, f"{path}[{index}]")]
    if old == new:
        return []
    if isinstance(old, list) and isinstance(new, list):
        old, new = f"{len(old)} of them", f"{len(new)} of them"
    name = path.removeprefix(".")
    short = [text if len(text) < 50 else f"{text[:47]}…" for text in (str(old), str(new))]
    return [f"{name}: {short[0]} -> {short[1]}"]


def select(plan: Plan, text: str) -> tuple[Chunk, ...]:
    """Chunks of the frames that ``--frames 0-99,200-300x2`` names. Raises SpecError as ``parse_frames`` does."""
    size = plan.settings.chunk
    ranges = parse_frames(text, plan.spec.num_frames)
    pieces = [frames[at : at + size] for frames in ranges for at in range(0, len(frames), size)]
    return tuple(Chunk(piece[0], piece[-1] + 1, piece.step) for piece in pieces)


def film_name(plan: Plan) -> str | None:
    """The film's name in the run directory, None for a job that wants none."""
    video = plan.spec.output.video
    return f"video.{video}" if video else None
