"""The driver's loop: requests of jobs and messages of the farm -> decisions of the dispatcher -> calls and deliveries.

It holds no state that is not on disk too: killed at any line, the next run starts from the done records. Knows
neither Ray nor torch nor disks nor the terminal; jobs hear of everything through their ``Client``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from render.client import Client, Committed, Describe, Finished, Leave, Logged, Measure, Render, Request
from render.dispatch import Dispatcher
from render.errors import FarmError, RenderError, StoppedError
from render.farm import Answered, ChunkDone, ChunkFailed, Farm, Message, Refused, WorkerLost, WorkerReady
from render.ledger import Ledger
from render.metrics import Sample
from render.plan import Plan
from render.progress import Progress, Watcher
from render.roster import Ask, Kind, Open, Send, Step
from render.staff import Staff
from render.words import count
from render.worker import Opened

__all__ = ["Driver", "Stop"]

TICK_S = 1.0  # how often deadlines are looked at and the terminal hears something
FLICKER_S = 0.1  # how often at most it hears of chunks that are done
SHARED_TICK_S = 0.1  # with several jobs one may wait for an answer while the others' chunks take their time
MAX_FAILED_STARTS = 3  # in a row, without success in between: it is not bad luck


class Stop:
    """A request to stop, by signal handlers or from another thread: finish what is being rendered, begin nothing."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def request(self, signal: int) -> None:
        """Stop because of this signal."""
        self.signal = signal

    @property
    def requested(self) -> bool:
        """Whether somebody has asked."""
        return self.signal is not None


@dataclass
class _Job:
    """What the driver knows of a client beside the dispatcher."""

    client: Client
    kind: Kind | None = None
    question: Describe | Measure | None = None
    plan: Plan | None = None
    plan_json: str = ""
    ledger: Ledger | None = None
    settled: bool = False  # it has heard how its chunks ended
    total: int = 0
    done_before: int = 0
    rendered: int = 0
    first_ready: float | None = None
    lost_asks: int = 0
    failed_opens: int = 0  # in a row
    opened: int = 0
    s_per_image: float | None = None  # of the last chunks
    warned: set[str] = field(default_factory=set)


class Driver:
    """All jobs of one command on one farm. ``run`` belongs to the main thread, each client to its job's thread."""

    def __init__(self, make_farm: Callable[[], Farm], stop: Stop | None = None) -> None:
        """``make_farm`` is called when a job first needs a worker."""
        self._make_farm = make_farm
        self._stop = stop or Stop()
        self._farm: Farm | None = None
        self._no_farm: RenderError | None = None
        self._staff = Staff()
        self._requests: SimpleQueue[Request] = SimpleQueue()
        self._jobs: dict[int, _Job] = {}
        self._dispatcher = Dispatcher()
        self._draining = False
        self._told = self._checked = 0.0
        self._news = False

    def client(self, watcher: Watcher, priority: int = 0) -> Client:
        """A place for one more job; those of before come first. Before ``run``."""
        client = Client(len(self._jobs), priority, watcher, self._requests.put)
        self._jobs[client.number] = _Job(client)
        return client

    def run(self) -> None:
        """Serve the jobs until the last one has left. An exception here ends all of them."""
        try:
            while self._jobs:
                self._turn()
        except BaseException:
            for job in self._jobs.values():
                job.client.deliver(StoppedError("stopped at once; what is done stays done"))
            raise
        finally:
            if self._farm is not None:
                self._farm.close()

    def _turn(self) -> None:
        now = time.monotonic()
        if self._stop.requested and not self._draining:
            self._drain()
        if self._farm is not None and not self._draining:
            for step in self._dispatcher.assign(now, self._staff.starting_by_kind()):
                self._take(self._farm, step)
            self._hire(self._farm, now)
        for message in self._listen():
            self._hear(message)
        self._stop_overdue()
        self._report()

    # Requests

    def _listen(self) -> list[Message]:
        """Serve the requests that have come; wait for a message, or for a request where nobody works."""
        working = self._farm is not None and (self._staff.starting or self._dispatcher.busy or self._dispatcher.wanting)
        try:
            request = self._requests.get(timeout=0.0 if working else TICK_S)
            while True:
                self._serve(request)
                request = self._requests.get_nowait()
        except Empty:
            pass
        if self._farm is None or not working:
            return []
        return self._farm.wait(TICK_S if len(self._jobs) == 1 else SHARED_TICK_S)

    def _serve(self, request: Request) -> None:
        job = self._jobs[request.job]
        match request:
            case Committed(number, frames):
                self._dispatcher.committed(number)
                job.rendered += frames
                self._news = True
                if job.settled:
                    self._show(job)
            case Leave():
                self._dispatcher.remove_job(request.job)
                del self._jobs[request.job]
            case Describe() | Measure() | Render() if self._draining:
                job.client.deliver(_stopped())
            case Describe() | Measure() | Render():
                try:
                    self._admit(job, request, self._ready_farm())
                except RenderError as error:
                    self._fail(job, error)

    def _ready_farm(self) -> Farm:
        """The farm, made at the first request. Raises FarmError; it is not tried a second time."""
        if self._no_farm is not None:
            raise self._no_farm
        if self._farm is None:
            try:
                self._farm = self._make_farm()
            except RenderError as error:
                self._no_farm = error
                raise
        return self._farm

    def _admit(self, job: _Job, request: Describe | Measure | Render, farm: Farm) -> None:
        number, client = request.job, job.client
        if isinstance(request, Describe):
            kind = farm.kind(request.spec, request.spec.engine.device)
        else:
            kind = farm.kind(request.plan.spec, request.plan.settings.device)
        if job.kind != kind:
            self._dispatcher.remove_job(number)
            self._dispatcher.add_job(number, kind, client.priority)
            job.kind = kind
        self._staff.changed = True
        if isinstance(request, Render):
            self._submit(job, request)
        else:
            job.question = request
            self._dispatcher.ask(number)

    def _submit(self, job: _Job, request: Render) -> None:
        plan, farm = request.plan, request.plan.spec.farm
        deadline, limit = farm.deadline, farm.max_failed
        job.plan, job.plan_json = plan, plan.to_json()
        job.done_before, job.rendered = request.done_before, 0
        job.settled = False
        job.total = request.done_before + sum(len(chunk.frames) for chunk in request.chunks)
        job.ledger = Ledger(
            request.chunks,
            attempts=farm.attempts,
            max_failed=max(3, len(plan.chunks) // 10) if limit == "auto" else limit,
            deadline_s=None if deadline == "auto" else float(deadline.seconds or 0),
        )
        workers = None if farm.workers == "auto" else farm.workers
        room = self._farm.capacity(job.kind) if self._farm and job.kind else 0
        if workers and 0 < room < workers:
            job.client.watcher.notice(f"{workers} workers are asked for, there are devices for {room}")
        self._dispatcher.submit(request.job, job.ledger, model=plan.loads, max_workers=workers)
        self._settle(job)  # there may be nothing to render

    # Workers

    def _hire(self, farm: Farm, now: float) -> None:
        """Start workers that would have something to do, and let go of idle ones in their way."""
        if not self._staff.due(now):
            return
        orders = self._staff.orders(farm, self._dispatcher, now)
        for worker in orders.stop:
            farm.stop(worker)
            self._dispatcher.lost(worker, "not needed any more", charge=False)
        for kind in orders.start:
            name = farm.start(kind)
            self._staff.starting[name] = (kind, now)
            self._tell(kind, "worker-starting", worker=name)
        for kind, text in orders.notices:
            self._notice(kind, text)
        for kind, text in orders.hopeless:
            self._fail_all(kind, FarmError(text))

    def _take(self, farm: Farm, step: Step) -> None:
        job = self._jobs[step.job]
        match step:
            case Send(worker, _, chunk):
                job.client.deliver(Logged("sent", {"worker": worker, "chunk": chunk.name}))
                farm.send(worker, chunk)
            case Open(worker):
                farm.open(worker, job.plan_json)
            case Ask(worker):
                assert job.question is not None
                if isinstance(job.question, Describe):
                    farm.describe(worker, job.question.spec)
                else:
                    farm.measure(worker, job.question.plan.to_json())

    # Messages

    def _hear(self, message: Message) -> None:
        worker = message.worker
        if worker not in self._staff.starting and not self._dispatcher.knows(worker):
            return  # stopped a moment ago, with this message on its way; its chunks went back
        match message:
            case WorkerReady(_, hello):
                kind, _ = self._staff.ready(worker)
                self._dispatcher.add_worker(worker, kind)
                self._tell(kind, "worker-ready", worker=worker, host=hello.host, pid=hello.pid)
            case Answered():
                self._answered(message)
            case Refused():
                self._refused(message)
            case ChunkDone():
                self._done(message)
            case ChunkFailed():
                self._chunk_failed(message)
            case WorkerLost():
                self._worker_lost(message)
        if self._draining:
            self._let_go(worker)

    def _answered(self, message: Answered) -> None:
        worker, job = message.worker, self._job_of(message.worker)
        if isinstance(message.answer, Opened):
            self._dispatcher.opened(worker)
            if job is not None:
                self._opened(job, worker, message.answer)
            return
        self._end_question(worker, job)
        if job is not None:
            job.client.deliver(message.answer)

    def _end_question(self, worker: str, job: _Job | None) -> None:
        """A device that was measured had to close its plan."""
        described = job is not None and isinstance(job.question, Describe)
        self._dispatcher.answered(worker, keeps_plan=described)

    def _opened(self, job: _Job, worker: str, opened: Opened) -> None:
        job.opened += 1
        job.failed_opens = 0
        job.first_ready = job.first_ready or time.monotonic()
        job.client.deliver(Logged("opened", {"worker": worker, "seconds": round(opened.seconds, 3)}))
        for warning in [text for text in dict.fromkeys(opened.warnings) if text not in job.warned]:
            job.warned.add(warning)
            job.client.deliver(Logged("warning", {"text": warning}))
            job.client.watcher.notice(warning)

    def _refused(self, message: Refused) -> None:
        """A worker could not answer, or not open a plan."""
        worker, job = message.worker, self._job_of(message.worker)
        if isinstance(self._dispatcher.errand(worker), Ask):
            self._end_question(worker, job)
            if job is not None:
                self._fail(job, message.error or FarmError(f"worker {worker} failed: {message.cause}"))
            return
        self._dispatcher.open_failed(worker)
        if job is None:
            return
        self._tell(job.kind, "worker-lost", worker=worker, cause=message.cause, **_details(message.details))
        if message.error is None and self._farm is not None:  # nobody knows what state its process is in
            self._farm.stop(worker)
            self._dispatcher.lost(worker, message.cause, charge=False)
        self._open_failed(job, worker, message.cause, message.error)

    def _open_failed(self, job: _Job, worker: str, cause: str, error: RenderError | None) -> None:
        """A wrong model stays wrong however often it is loaded; a bad machine leaves the others to work."""
        job.failed_opens += 1
        self._staff.changed = True
        others = self._dispatcher.workers_of(job.client.number)
        if error is not None and not others and (not job.opened or self._nobody_left(job)):
            return self._fail(job, error)
        if job.failed_opens >= MAX_FAILED_STARTS and not others:
            text = f"{job.failed_opens} workers in a row could not open the job; the last one said: {cause}"
            return self._fail(job, FarmError(text))
        if job.failed_opens >= MAX_FAILED_STARTS and job.kind is not None:
            self._staff.pause(job.kind, time.monotonic())
        return job.client.watcher.notice(f"worker {worker} could not open the job: {cause}")

    def _nobody_left(self, job: _Job) -> bool:
        """Whether no worker is or will be there that might still open the job's plan."""
        if self._farm is None or job.kind is None or self._staff.starting_by_kind()[job.kind]:
            return False
        full = self._dispatcher.count(job.kind) >= self._farm.capacity(job.kind)
        return full and not self._dispatcher.fit_workers(job.client.number)

    def _done(self, message: ChunkDone) -> None:
        worker, record = message.worker, message.segment.record
        job = self._job_of(worker)
        self._dispatcher.completed(worker, record.chunk, time.monotonic())
        if job is None:
            return
        frames, seconds = len(record.chunk.frames), record.ended - record.began
        before = seconds / frames if job.s_per_image is None else job.s_per_image
        job.s_per_image = before + (seconds / frames - before) / 8
        job.client.deliver(message.segment)
        self._settle(job)

    def _chunk_failed(self, message: ChunkFailed) -> None:
        worker, job = message.worker, self._job_of(message.worker)
        if job is not None:
            self._failure(job, message)
        self._dispatcher.failed(worker, message.chunk, message.cause, time.monotonic())
        if self._dispatcher.retired(worker):
            self._retire(worker)
        if job is not None:
            self._settle(job)

    def _retire(self, worker: str) -> None:
        """Let a worker go that failed too often. A bad device (nothing completed) is not tried again beside others."""
        kind = self._dispatcher.kind_of(worker)
        fruitless = self._dispatcher.fruitless(worker)
        self._tell(kind, "worker-retired", worker=worker)
        if self._farm is not None:
            self._farm.stop(worker)
        self._dispatcher.lost(worker, "retired", charge=False)
        benched = fruitless and bool(self._dispatcher.count(kind) or self._staff.starting_by_kind().get(kind))
        if benched:
            self._staff.bench(kind)
        end = "gets no more; the others go on without it" if benched else "is replaced"
        self._notice(kind, f"worker {worker} failed several chunks and {end}")
        self._staff.changed = True

    def _worker_lost(self, message: WorkerLost) -> None:
        worker, cause = message.worker, message.cause
        self._staff.changed = True
        starting = self._staff.starting.get(worker)
        kind = starting[0] if starting else self._dispatcher.kind_of(worker)
        details = _details(message.details)
        self._tell(kind, "worker-lost", worker=worker, cause=cause, preempted=message.preempted, **details)
        if starting:
            self._start_failed(kind, message)
            return
        job, errand, held = self._job_of(worker), self._dispatcher.errand(worker), self._dispatcher.held(worker)
        if job is not None and held and not message.preempted:
            self._failure(job, ChunkFailed(worker, held[0], cause))
        else:
            self._notice(kind, f"worker {worker} is gone ({cause}); its chunks go to others")
        self._dispatcher.lost(worker, cause, charge=not message.preempted)
        if job is None:
            return
        if errand is not None and not message.preempted:
            self._errand_failed(job, worker, errand, cause)
        self._settle(job)

    def _errand_failed(self, job: _Job, worker: str, errand: Step, cause: str) -> None:
        if isinstance(errand, Open):
            self._open_failed(job, worker, cause, None)
            return
        job.lost_asks += 1
        if job.lost_asks >= MAX_FAILED_STARTS:
            self._fail(job, FarmError(f"{job.lost_asks} workers died over the job's model; of the last one: {cause}"))

    def _start_failed(self, kind: Kind, message: WorkerLost) -> None:
        failed = self._staff.start_failed(message.worker, counts=not message.preempted)
        alone = not self._dispatcher.count(kind) and not self._staff.starting_by_kind().get(kind)
        self._notice(kind, f"worker {message.worker} could not start: {message.cause}")
        if failed >= MAX_FAILED_STARTS and alone:
            text = f"{failed} workers in a row could not start; the last one said: {message.cause}"
            self._fail_all(kind, FarmError(text))
        elif failed >= MAX_FAILED_STARTS:
            self._staff.pause(kind, time.monotonic())

    def _stop_overdue(self) -> None:
        """Workers that hang: over a chunk, over a model, or before they were ready at all."""
        now = time.monotonic()
        if now - self._checked < TICK_S:
            return
        self._checked = now
        overdue = [(name, f"not ready after {seconds:.0f} s") for name, seconds in self._staff.overdue(now)]
        for name, seconds in self._dispatcher.overdue(now):
            what = "no result" if self._dispatcher.held(name) else "no answer"
            overdue.append(
                (name, f"{what} after {seconds:.0f} s; the worker was stopped (farm.deadline sets the limit)")
            )
        for name, cause in overdue:
            if self._farm is not None:
                self._farm.stop(name)
            self._hear(WorkerLost(name, cause))

    # Stopping

    def _drain(self) -> None:
        """Begin nothing more; jobs end when what their workers render just now is committed."""
        self._draining = True
        rendering = self._rendering()
        self._dispatcher.drain()
        for job in rendering:
            executing = job.ledger.executing if job.ledger else 0
            job.client.deliver(Logged("draining", {"executing": executing}))
            chunks = f"{count(executing, 'chunk')} being rendered {'is' if executing == 1 else 'are'} done"
            job.client.watcher.notice(f"stopping when {chunks}; once more stops at once" if executing else "stopping")
            self._settle(job)
        for job in [job for job in self._jobs.values() if job.question is not None and job not in rendering]:
            self._fail(job, _stopped())
        for worker in self._dispatcher.workers:
            self._let_go(worker)

    def _let_go(self, worker: str) -> None:
        """Stop a worker that has finished what it was executing, before it begins what waits in its own queue."""
        if self._farm is not None and self._dispatcher.knows(worker) and not self._dispatcher.held(worker):
            self._farm.stop(worker)
            self._dispatcher.lost(worker, "drained", charge=False)

    # Jobs

    def _job_of(self, worker: str) -> _Job | None:
        """The job that a worker works for, None where it has left."""
        number = self._dispatcher.job_of(worker)
        return None if number is None else self._jobs.get(number)

    def _settle(self, job: _Job) -> None:
        """Tell a job whose chunks are all done, given up or abandoned."""
        ledger = job.ledger
        if ledger is None or job.settled or not ledger.finished:
            return
        job.settled = True
        if ledger.given_up:
            job.client.deliver(FarmError(_given_up(ledger)))
        elif ledger.abandoned:
            job.client.deliver(_stopped())
        else:
            job.client.deliver(Finished())

    def _fail(self, job: _Job, error: RenderError) -> None:
        """End a job's request with an error; what its workers still do counts for nobody."""
        self._dispatcher.remove_job(job.client.number)
        job.kind = job.ledger = job.question = None
        job.client.deliver(error)

    def _fail_all(self, kind: Kind, error: RenderError) -> None:
        for job in self._of_kind(kind):
            self._fail(job, error)

    def _of_kind(self, kind: Kind | None) -> Iterator[_Job]:
        yield from [job for job in self._jobs.values() if kind is not None and job.kind == kind]

    def _tell(self, kind: Kind | None, event: str, **details: object) -> None:
        """Into the log of every job that such workers serve."""
        for job in self._of_kind(kind):
            job.client.deliver(Logged(event, details))

    def _notice(self, kind: Kind, text: str) -> None:
        for job in self._of_kind(kind):
            job.client.watcher.notice(text)

    def _failure(self, job: _Job, failed: ChunkFailed) -> None:
        """Tell of an attempt that came to nothing; details (a stack trace) go into the log only."""
        what = {"worker": failed.worker, "chunk": failed.chunk.name, "cause": failed.cause}
        job.client.deliver(Logged("failed", what | _details(failed.details)))
        job.client.watcher.notice(f"{failed.chunk} failed on worker {failed.worker}: {failed.cause}")

    def _report(self) -> None:
        now = time.monotonic()
        if now - self._told < (FLICKER_S if self._news else TICK_S):
            return
        self._told, self._news = now, False
        for job in self._rendering():
            self._show(job)
        if self._farm is not None:
            self._farm.publish([self._sample(job) for job in self._rendering()])

    def _rendering(self) -> list[_Job]:
        return [job for job in self._jobs.values() if job.ledger is not None and not job.settled]

    def _sample(self, job: _Job) -> Sample:
        assert job.ledger is not None
        ledger = job.ledger
        busy = self._dispatcher.workers_of(job.client.number)
        idle, workers = len(self._dispatcher.idle()), len(self._dispatcher.workers)
        values = {
            "render_frames": job.rendered,
            "render_retries": ledger.retries,
            "render_frames_left": job.total - job.done_before - job.rendered,
            "render_queue_depth": ledger.waiting,
            "render_workers": len(busy),
            "render_idle_share": idle / workers if workers else 0.0,
        }
        if job.s_per_image is not None:
            values["render_seconds_per_image"] = job.s_per_image
        return Sample(job.plan.spec.name if job.plan else "", values)

    def _show(self, job: _Job) -> None:
        busy = self._dispatcher.workers_of(job.client.number)
        opening = sum(isinstance(self._dispatcher.errand(worker), Open) for worker in busy)
        job.client.watcher.progress(
            Progress(
                frames_done=job.done_before + job.rendered,
                frames_total=job.total,
                rendered=job.rendered,
                elapsed_s=time.monotonic() - job.first_ready if job.first_ready else 0.0,
                workers=len(busy) - opening,
                retries=job.ledger.retries if job.ledger else 0,
                opening=opening,
            )
        )


def _details(details: str) -> dict[str, str]:
    return {"details": details} if details else {}


def _stopped() -> StoppedError:
    return StoppedError("stopped; what is done stays done, the same command goes on")


def _given_up(ledger: Ledger) -> str:
    others = f"{ledger.abandoned} were not begun after that" if ledger.abandoned else "all others are done"
    total = len(ledger.given_up) + ledger.num_done + ledger.abandoned
    lines = [f"{len(ledger.given_up)} of {total} chunks failed for good; {others}:"]
    for chunk, failures in sorted(ledger.given_up.items()):
        last = failures[-1]
        lines.append(f"  {chunk}: {len(failures)} attempts; the last, on worker {last.worker}: {last.cause}")
    lines.append("mend the cause and run the same command again: it renders only what is missing")
    return "\n".join(lines)
