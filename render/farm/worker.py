"""One process on one device: a chunk in, an encoded segment out. No Ray here; the engine is imported inside.

Takes and returns plain data, so that it runs the same as a Ray actor and in the driver's own process.
"""

import hashlib
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from render import models
from render.engine.base import Renderer
from render.errors import RunDirError
from render.farm.base import Opened, WorkerInfo
from render.farm.encoding import SegmentEncoder
from render.farm.planning import as_planned, machine_and_model, make_plan
from render.plan import BatchTimings, Chunk, Plan, Stopwatch, stage_info
from render.spec import JobSpec
from render.store import Record, Segment

__all__ = ["Worker"]


@dataclass(frozen=True)
class _Rendered:
    """A chunk whose pictures are rendered; the encoder may still be at work on the last ones."""

    chunk: Chunk
    encoder: SegmentEncoder
    watch: Stopwatch
    film: bool
    sampler_table: str
    began: float
    ended: float


class Worker:
    """Makes a plan for its machine, opens one, renders chunks of it; then another plan, if there is one."""

    def __init__(self, name: str, *, trust: bool = False) -> None:
        """``trust``: the command line said ``--trust``."""
        self.name = name
        self._trust = trust
        self._doing = ""
        self._opening = Stopwatch()
        self._source: Renderer | None = None
        # All work on the device happens in this thread, a chunk after another; encoding what it leaves goes on beside.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="device")

    def hello(self) -> WorkerInfo:
        """The process this is: what there is to ask before any work."""
        return WorkerInfo(socket.gethostname(), os.getpid())

    def doing(self) -> str:
        """How far it is with a question, or with opening a plan, in a few words; may be asked from another thread."""
        stage = self._opening.stage
        return stage_info(stage).doing if stage else self._doing

    def plan(self, spec: JobSpec, before: Plan | None = None) -> Plan:
        """The plan of a job, with every ``auto`` resolved by this machine and the model as found from here.

        Fetches a hub model. Where the batch is open, measures how many pictures at a time keep the device busy; what
        was open is closed then, to be out of the way. With the plan of a run ``before``: the plan of a rerun, which
        measures nothing; another name may mean the same model's files.

        Raises ModelError when the model is not to be had, EngineError when the wanted device is not there.
        """
        return make_plan(spec, before, self._measure, self._say, trust=self._trust)

    def _say(self, doing: str) -> None:
        self._doing = doing

    def _measure(self, plan: Plan) -> BatchTimings:
        from render.engine.batch_size import measure

        self._source = None
        folder = models.find(as_planned(plan).model, download=True, trust=self._trust)
        return self._thread.submit(measure, plan, folder, trust=self._trust).result()

    def open(self, plan_json: str) -> Opened:
        """Load the plan's model, or keep the one that is loaded where it is the same. Nothing may be rendering.

        Raises ModelError, VideoError where this machine cannot encode the film, and RunDirError when its model files
        are not those of the plan.
        """
        return self._thread.submit(self._open, plan_json).result()

    def _open(self, plan_json: str) -> Opened:
        from render.video.segment import check_format

        began, self._doing = time.monotonic(), "importing torch"
        self._plan = plan = Plan.from_json(plan_json)
        planned = as_planned(plan)
        self._opening = Stopwatch()
        source = self._open_source(plan, planned.model)
        check_format(plan.video)  # the codecs are loaded now, and the first chunk need not wait for them
        # after loading: files swapped meanwhile are noticed
        self._machine, model = machine_and_model(planned, self._say, trust=self._trust)
        if model.fingerprint != plan.model.fingerprint:
            raise RunDirError(
                f"{plan.spec.model} on {socket.gethostname()} has other files than the plan (fingerprint "
                f"{model.fingerprint[:12]}, planned {plan.model.fingerprint[:12]}); use the planned model, "
                "or another output.dir"
            )
        self._source = source
        return Opened(source.warnings, time.monotonic() - began)

    def _open_source(self, plan: Plan, model: str) -> Renderer:
        before, self._source = self._source, None
        if plan.model.family == "testcard":
            from render.engine.testcard import TestCard

            return TestCard(plan)
        from render.engine.engine import Engine, open_engine
        from render.engine.memory import release

        warm = before.warm_for(plan) if isinstance(before, Engine) else None
        del before
        self._doing = "loading the model"
        release()  # what is not kept goes before the next model comes: an engine holds itself until then
        folder = models.find(model, download=True, trust=self._trust)
        return open_engine(plan, folder, self._opening, warm, trust=self._trust)

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
        encoder = SegmentEncoder(self._plan, self._plan.spec.output.frames, film=film)
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
