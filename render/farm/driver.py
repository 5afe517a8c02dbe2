"""The driver's loop: requests of jobs and messages of the farm -> decisions of the dispatcher -> calls and deliveries.

It holds no state that is not on disk too: killed at any line, the next run starts from the done records. Knows
neither Ray nor torch nor disks nor the terminal; jobs hear of everything through their ``Client``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from render.errors import RenderError, StoppedError
from render.farm.base import Farm
from render.farm.client import Client, Committed, Describe, Leave, Measure, Render, Request
from render.farm.dispatch.dispatcher import Dispatcher
from render.farm.dispatch.state import Job, Open, stopped
from render.farm.dispatch.supervisor import Supervisor
from render.farm.progress import Watcher
from render.farm.signals import Stop
from render.report import count
from render.store import Event

__all__ = ["Driver"]

TICK_S = 1.0  # how often the terminal and monitors hear something
FLICKER_S = 0.1  # and how often at the most
SHARED_TICK_S = 0.1  # with several jobs one may wait for an answer while the others' chunks take their time


class Driver:
    """All jobs of one command on one farm. ``run`` belongs to the main thread, each client to its job's thread."""

    def __init__(self, make_farm: Callable[[], Farm], stop: Stop | None = None) -> None:
        """``make_farm`` is called when a job first needs a worker."""
        self._make_farm = make_farm
        self._stop = stop or Stop()
        self._farm: Farm | None = None
        self._no_farm: RenderError | None = None
        self._crew: Supervisor | None = None
        self._requests: SimpleQueue[Request] = SimpleQueue()
        self._jobs: dict[int, Job] = {}
        self._dispatcher = Dispatcher()
        self._draining = False
        self._told = 0.0
        self._news = False  # something was committed since the terminal heard of it

    def client(self, watcher: Watcher, priority: int = 0) -> Client:
        """A place for one more job; those of before come first. Before ``run``."""
        client = Client(len(self._jobs), priority, watcher, self._requests.put)
        self._jobs[client.number] = Job(client)
        return client

    def run(self) -> None:
        """Serve the jobs until the last one has left. An exception here ends all of them."""
        try:
            while self._jobs:
                self._turn()
        except BaseException as error:
            for job in self._jobs.values():
                told = error if isinstance(error, RenderError) else StoppedError("stopped at once; what is done counts")
                job.client.deliver(told)
            raise
        finally:
            if self._farm is not None:
                self._farm.close()

    def _turn(self) -> None:
        if self._stop.requested and not self._draining:
            self._drain()
        working = self._crew is not None and self._crew.working
        self._listen(0.0 if working else TICK_S)
        if self._crew is None:
            return
        if not self._draining:
            self._crew.work()
        if self._crew.working:
            self._crew.hear(TICK_S if len(self._jobs) == 1 else SHARED_TICK_S)
        self._report()

    # Requests

    def _listen(self, timeout_s: float) -> None:
        """Serve the requests that have come; where nobody works, wait for one."""
        try:
            request = self._requests.get(timeout=timeout_s)
            while True:
                self._serve(request)
                request = self._requests.get_nowait()
        except Empty:
            pass

    def _serve(self, request: Request) -> None:
        job = self._jobs[request.job]
        match request:
            case Committed(_, frames, size):
                self._dispatcher.committed(request.job, size)
                job.rendered += frames
                self._news = True
                if job.settled:
                    self._show(job)  # the last of them: there is nothing to wait for
            case Leave():
                self._dispatcher.remove_job(request.job)
                if self._farm is not None and job.plan is not None:
                    self._farm.publish([job.sample(workers=0, idle_share=0.0)])
                del self._jobs[request.job]
            case Describe() | Measure() | Render() if self._draining:
                job.client.deliver(stopped())
            case Describe() | Measure() | Render():
                try:
                    self._admit(job, request, *self._ready())
                except RenderError as error:
                    self._dispatcher.remove_job(request.job)
                    job.fail(error)

    def _ready(self) -> tuple[Farm, Supervisor]:
        """The farm, made at the first request. Raises FarmError; it is not tried a second time."""
        if self._no_farm is not None:
            raise self._no_farm
        if self._farm is None or self._crew is None:
            try:
                self._farm = self._make_farm()
            except RenderError as error:
                self._no_farm = error
                raise
            self._crew = Supervisor(self._farm, self._dispatcher, self._jobs)
        return self._farm, self._crew

    def _admit(self, job: Job, request: Describe | Measure | Render, farm: Farm, crew: Supervisor) -> None:
        if isinstance(request, Describe):
            resources = farm.resources(request.spec, request.spec.engine.device)
        else:
            resources = farm.resources(request.plan.spec, request.plan.settings.device)
        if job.resources != resources:
            self._dispatcher.remove_job(job.number)
            self._dispatcher.add_job(job.number, resources, job.client.priority)
            job.resources = resources
        crew.look()
        if isinstance(request, Render):
            self._submit(job, request, farm.capacity(resources))
        else:
            job.question = request
            self._dispatcher.ask(job.number)

    def _submit(self, job: Job, request: Render, room: int) -> None:
        workers = request.plan.spec.farm.workers
        if workers != "auto" and 0 < room < workers:
            job.notice(f"{workers} workers are asked for, there are devices for {room}")
        limit = None if workers == "auto" else workers
        self._dispatcher.submit(job.number, job.begin(request), model=request.plan.model_key, max_workers=limit)
        job.settle()  # there may be nothing to render

    # Stopping

    def _drain(self) -> None:
        """Begin nothing more; jobs end when what their workers render just now is committed."""
        self._draining = True
        rendering = [job for job in self._jobs.values() if job.ledger is not None and not job.settled]
        if self._crew is not None:
            self._crew.drain()
        for job in rendering:
            executing = sum(bool(self._dispatcher.held(worker)) for worker in self._dispatcher.workers_of(job.number))
            job.log(Event.DRAINING, executing=executing)
            chunks = f"{count(executing, 'chunk')} being rendered {'is' if executing == 1 else 'are'} done"
            job.notice(f"stopping when {chunks}; once more stops at once" if executing else "stopping")
            job.settle()
        for job in [job for job in self._jobs.values() if job.question is not None]:
            self._dispatcher.remove_job(job.number)
            job.fail(stopped())

    # Telling

    def _report(self) -> None:
        now = time.monotonic()
        if now - self._told < (FLICKER_S if self._news else TICK_S):
            return
        self._told, self._news = now, False
        rendering = [job for job in self._jobs.values() if not job.settled]
        idle, workers = len(self._dispatcher.idle()), len(self._dispatcher.workers)
        for job in rendering:
            self._show(job)
        if self._farm is not None:
            share = idle / workers if workers else 0.0
            self._farm.publish([job.sample(len(self._dispatcher.workers_of(job.number)), share) for job in rendering])

    def _show(self, job: Job) -> None:
        busy = self._dispatcher.workers_of(job.number)
        opening = sum(isinstance(self._dispatcher.errand(worker), Open) for worker in busy)
        job.client.watcher.progress(job.progress(len(busy) - opening, opening, time.monotonic()))
