"""The driver's loop: what jobs and workers say -> the dispatcher -> calls of the farm and deliveries to jobs.

It holds no state that is not on disk too: killed at any line, the next run starts from the done records. Decides
nothing (``dispatch/``), and knows neither Ray nor torch nor disks nor the terminal.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue

from render.errors import RenderError, StoppedError, message_of
from render.farm.base import Farm
from render.farm.client import Client
from render.farm.dispatch.actions import (
    Action,
    Ask,
    Deliver,
    Forget,
    Log,
    Notice,
    OpenPlan,
    Publish,
    SendChunk,
    Show,
    StartWorker,
    StopWorker,
)
from render.farm.dispatch.dispatcher import Dispatcher
from render.farm.dispatch.events import Denied, Drain, Event, Requested, Tick
from render.farm.dispatch.jobs import stopped
from render.farm.progress import Sample, Watcher
from render.farm.requests import Committed, Leave, Logged, Request
from render.farm.signals import Stop
from render.store import Event as LogEvent

__all__ = ["Driver"]

WAIT_S = 1.0  # for something to happen
SHARED_WAIT_S = 0.1  # with several jobs one may wait for an answer while the others' chunks take their time


class Driver:
    """All jobs of one command on one farm. ``run`` belongs to the main thread, each client to its job's thread."""

    def __init__(
        self, make_farm: Callable[[], Farm], stop: Stop | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``make_farm`` is called when a job first needs a worker. ``clock`` counts seconds."""
        self._make_farm, self._stop, self._clock = make_farm, stop or Stop(), clock
        self._farm: Farm | None = None
        self._no_farm: RenderError | None = None
        self._requests: SimpleQueue[Request] = SimpleQueue()
        self._clients: dict[int, Client] = {}
        self._dispatcher = Dispatcher()
        self._draining = False
        self._metrics_failed = False

    def client(self, watcher: Watcher, priority: int = 0) -> Client:
        """One more job; among those of a priority the ones of before come first. Before ``run``."""
        client = Client(len(self._clients), watcher, self._requests.put)
        self._clients[client.number] = client
        self._dispatcher.add_job(client.number, priority)
        return client

    def run(self) -> None:
        """Serve the jobs until the last one has left. An exception here ends all of them."""
        try:
            while self._clients:
                events = self._events()
                self._do(self._dispatcher.handle(events, self._clock()))
        except BaseException as error:
            ending = error if isinstance(error, RenderError) else StoppedError("stopped at once; what is done counts")
            for client in self._clients.values():
                client.deliver(ending)
            raise
        finally:
            if self._farm is not None:
                self._farm.close()

    # What happens

    def _events(self) -> list[Event]:
        """What is to be handled next; waits for it where there is nothing else to do."""
        farm, dispatcher, events = self._farm, self._dispatcher, list[Event]()
        if farm is not None and self._clock() >= dispatcher.next_tick:
            return [self._tick(farm)]
        if farm is not None and dispatcher.working:
            events += farm.wait(WAIT_S if len(self._clients) == 1 else SHARED_WAIT_S)
        if self._stop.signal is not None and not self._draining:
            self._draining = True
            return [*events, Drain()]
        timeout_s = 0.0 if dispatcher.working else WAIT_S
        with contextlib.suppress(Empty):
            while True:
                events.append(self._event(self._requests.get(timeout=timeout_s)))
                timeout_s = 0.0
        return events

    def _tick(self, farm: Farm) -> Tick:
        kinds = self._dispatcher.kinds()
        capacity = {kind: farm.capacity(kind) for kind in kinds}
        return Tick(capacity, {kind for kind in kinds if farm.has_room(kind)}, farm.prefix)

    def _event(self, request: Request) -> Event:
        """The request with what the farm has to say to it: the farm is made at the first one that needs workers."""
        if isinstance(request, Committed | Leave):
            return request
        if self._draining:
            return Denied(request.job, stopped())
        try:
            farm = self._the_farm()
            resources = farm.resources(*request.needs)
            return Requested(request, resources, farm.capacity(resources))
        except RenderError as error:
            return Denied(request.job, error)

    def _the_farm(self) -> Farm:
        """The farm, made at the first request. Raises FarmError; it is not tried a second time."""
        if self._no_farm is not None:
            raise self._no_farm
        try:
            self._farm = self._farm or self._make_farm()
        except RenderError as error:
            self._no_farm = error
            raise
        return self._farm

    # What is done about it

    def _do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Deliver(job, item):
                    self._clients[job].deliver(item)
                case Log(job, event, details):
                    self._clients[job].deliver(Logged(event, details))
                case Notice(job, text):
                    self._clients[job].watcher.notice(text)
                case Show(job, progress):
                    self._clients[job].show(progress)
                case Forget(job):
                    self._clients.pop(job).end()
                case SendChunk(worker, _, chunk) if self._farm:
                    self._farm.send(worker, chunk)
                case _ if self._farm:
                    self._call(self._farm, action)

    def _call(self, farm: Farm, action: Action) -> None:
        match action:
            case OpenPlan(worker, _, plan_json):
                farm.open(worker, plan_json)
            case Ask(worker, _, question):
                farm.plan(worker, question.spec, question.before)
            case StartWorker(name, resources):
                farm.start(name, resources)
            case StopWorker(name):
                farm.stop(name)
            case Publish(samples):
                self._publish(farm, samples)

    def _publish(self, farm: Farm, samples: Sequence[Sample]) -> None:
        """Metrics end no job: that they do not get through is told once, and the next ones are tried all the same."""
        try:
            farm.publish(samples)
        except Exception as error:  # noqa: BLE001 - whatever the library of a monitor raises
            if self._metrics_failed:
                return
            self._metrics_failed = True
            text = f"metrics do not reach those who monitor the farm, rendering goes on: {message_of(error)}"
            for client in self._clients.values():
                client.watcher.notice(text)
                client.deliver(Logged(LogEvent.WARNING, {"text": text}))
