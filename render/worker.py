"""One process on one device: a chunk in, an encoded segment out. No Ray here; the engine is imported inside.

Takes a plan as text and returns plain data, so that it runs the same as a Ray actor and in the driver's own process.
"""

from __future__ import annotations

import hashlib
import io
import os
import socket
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module

from render import modelfiles, trust
from render.errors import RunDirError
from render.machine import this_cpu
from render.picture import Picture, PictureSource, Stopwatch
from render.plan import Chunk, Plan
from render.record import Note, Record, Segment
from render.resolve import Machine, ModelInfo, Saturation
from render.spec import JobSpec

__all__ = ["Answer", "Described", "Hello", "Opened", "Worker"]

AHEAD = 32  # pictures rendered but not yet encoded: one or two batches, so that neither side waits for long


@dataclass(frozen=True)
class Hello:
    """The process that a worker is, and the node of the cluster it runs on."""

    host: str
    pid: int
    node: str = ""


@dataclass(frozen=True)
class Described:
    """What ``resolve`` needs to know: the worker's machine, and the model as found from there."""

    machine: Machine
    model: ModelInfo


@dataclass(frozen=True)
class Opened:
    """A plan is open: what a person should know of it there, and the seconds it took."""

    warnings: tuple[str, ...]
    seconds: float


Answer = Described | Saturation | Opened


class Worker:
    """Says what its machine is, opens a plan, renders chunks of it; then another plan, if there is one."""

    def __init__(self, name: str, *, trusting: bool = False) -> None:
        """``trusting``: the command line said ``--trust`` (`trust.py`)."""
        if trusting:
            trust.grant()
        self.name = name
        self._opening = Stopwatch()
        self._source: PictureSource | None = None
        # All work on the device happens in this thread, a chunk after another; encoding what it leaves goes on beside.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="device")

    def hello(self) -> Hello:
        """The process this is: what there is to ask before any work."""
        return Hello(socket.gethostname(), os.getpid())

    def describe(self, spec: JobSpec) -> Described:
        """This machine, and the model as found from here. Fetches a hub model.

        Raises ModelError when the model is not to be had, EngineError when the wanted device is not there.
        """
        if modelfiles.testcard_cost_s(spec.model) is not None:
            return Described(this_cpu(), modelfiles.describe(spec.model))
        from render.engine.device import machine

        model = modelfiles.describe(spec.model, spec.engine.tiny_vae, download=True)
        return Described(machine(spec.engine.device), model)

    def measure(self, plan_json: str) -> Saturation:
        """How many pictures at a time keep this device busy. What was open is closed, to be out of the way.

        Raises ModelError or EngineError.
        """
        from render.engine.saturation import measure

        self._source = None
        plan = Plan.from_json(plan_json)
        folder = modelfiles.find(_as_planned(plan).model, download=True)
        return self._thread.submit(measure, plan, folder).result()

    def open(self, plan_json: str) -> Opened:
        """Load the plan's model, or keep the one that is loaded where it is the same. Nothing may be rendering.

        Raises ModelError, and RunDirError when this machine's model files are not those of the plan.
        """
        return self._thread.submit(self._open, plan_json).result()

    def _open(self, plan_json: str) -> Opened:
        began = time.monotonic()
        self._plan = plan = Plan.from_json(plan_json)
        planned = _as_planned(plan)
        self._opening = Stopwatch()
        source = self._open_source(plan, planned.model)
        import_module("render.video")  # the first chunk is not to wait until the codecs are loaded
        described = self.describe(planned)  # after loading: files swapped meanwhile are noticed too
        self._machine, model = described.machine, described.model
        if model.fingerprint != plan.model.fingerprint:
            raise RunDirError(
                f"{plan.spec.model} on {socket.gethostname()} has other files than the plan (fingerprint "
                f"{model.fingerprint[:12]}, planned {plan.model.fingerprint[:12]}); use the planned model, "
                "or another output.dir"
            )
        self._source = source
        return Opened(source.warnings, time.monotonic() - began)

    def _open_source(self, plan: Plan, model: str) -> PictureSource:
        before, self._source = self._source, None
        if plan.model.family == "testcard":
            from render.testcard import TestCard

            return TestCard(plan)
        from render.engine.engine import Engine
        from render.engine.memory import release

        warm = before.warm_for(plan) if isinstance(before, Engine) else None
        del before
        release()  # what is not kept goes before the next model comes: an engine holds itself until then
        return Engine(plan, modelfiles.find(model, download=True), self._opening, warm)

    def render(self, chunk: Chunk) -> Segment:
        """Render and encode one chunk. The seconds of loading the model are told with the first one.

        May be called from two threads: the device works for one, while the other one's pictures are still encoded.
        Raises EngineError or VideoError; the worker can go on with another chunk after either.
        """
        rendered = self._thread.submit(self._render, chunk).result()
        with rendered.encoder as encoder:
            data = encoder.finish()
        return Segment(self._record(rendered, data), data, encoder.stills)

    def _render(self, chunk: Chunk) -> _Rendered:
        """Everything that needs the device."""
        began, watch = time.time(), Stopwatch()
        watch.seconds |= self._opening.seconds
        self._opening = Stopwatch()
        source = self._source
        assert source is not None, "no plan is open"
        film = chunk in self._plan.chunks  # else it is a piece of a selection, which gets stills only
        encoder = _Encoder(self._plan, self._plan.spec.output.frames, film=film)
        try:
            for picture in source.pictures(chunk.frames, watch):
                with watch("wait"):
                    encoder.put(picture)
        except BaseException:
            encoder.close()
            raise
        return _Rendered(chunk, encoder, watch, film, source.sampler_table, began, time.time())

    def _record(self, rendered: _Rendered, data: bytes) -> Record:
        """The done record. ``ended`` is when the device was through: what follows overlaps the next chunk."""
        chunk, encoder, suffix = rendered.chunk, rendered.encoder, self._plan.spec.output.frames
        seconds = rendered.watch.seconds | encoder.watch.seconds
        return Record(
            digest=self._plan.digest,
            chunk=chunk,
            pictures=tuple(encoder.sums),
            file=f"segments/{chunk.name}{self._plan.video.suffix}" if rendered.film else None,
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            stills=suffix,
            stills_bytes={f"{index:06}.{suffix}": len(still) for index, still in encoder.stills.items()},
            worker=self.name,
            device=f"{self._machine.device} {self._machine.name} on {socket.gethostname()}",
            began=rendered.began,
            ended=rendered.ended,
            timings_s={stage: round(spent, 6) for stage, spent in seconds.items()},
            versions=self._machine.versions,
            sampler_table=rendered.sampler_table,
            notes=tuple(encoder.notes),
        )


def _as_planned(plan: Plan) -> JobSpec:
    """The spec with the device and the model's revision that the plan found: ``auto`` and ``main`` may move."""
    engine = plan.spec.engine.model_copy(update={"device": plan.settings.device})
    model = modelfiles.pinned(plan.spec.model, plan.model.revision)
    return plan.spec.model_copy(update={"engine": engine, "model": model})


@dataclass(frozen=True)
class _Rendered:
    """A chunk whose pictures are rendered; the encoder may still be at work on the last ones."""

    chunk: Chunk
    encoder: _Encoder
    watch: Stopwatch
    film: bool
    sampler_table: str
    began: float
    ended: float


class _Encoder:
    """Sums, encodes and keeps pictures in a thread of its own, beside the rendering of the next batch."""

    def __init__(self, plan: Plan, suffix: str | None, *, film: bool) -> None:
        from render.video import SegmentWriter

        self.sums: list[str] = []
        self.notes: list[Note] = []
        self.stills: dict[int, bytes] = {}
        self.watch = Stopwatch()
        self._suffix = suffix
        self._file = io.BytesIO()
        self._writer = SegmentWriter(self._file, plan.video) if film else None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> _Encoder:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the thread; pictures that wait are dropped."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def put(self, picture: Picture) -> None:
        """Hand over a picture; waits while too many are ahead. Raises what encoding an earlier one raised."""
        if len(self._waiting) >= AHEAD:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._take, picture))

    def finish(self) -> bytes:
        """Wait for all pictures; the segment's bytes, none when only stills were asked for."""
        while self._waiting:
            self._waiting.popleft().result()
        with self.watch("encode"):
            if self._writer is not None:
                self._writer.close()
        return self._file.getvalue()

    def _take(self, picture: Picture) -> None:
        with self.watch("encode"):
            self.sums.append(hashlib.sha256(picture.pixels.tobytes()).hexdigest())
            if self._writer is not None:
                self._writer.write(picture.pixels)
            if self._suffix is not None:
                from render.stills import encode_still

                self.stills[picture.index] = encode_still(picture.pixels, f".{self._suffix}")
        if picture.remark is not None:
            self.notes.append(Note(picture.index, *picture.remark))
