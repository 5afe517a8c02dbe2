"""Events in, actions out: the dispatcher decides who renders what, and does nothing itself.

A state machine without clock, threads, processes or disk: ``--local``, Ray, tests and simulations drive it alike.
"""

import math
from collections.abc import Iterable

from render.farm.base import Resources
from render.farm.dispatch import failures, jobs, monitoring, supervisor
from render.farm.dispatch.actions import Action, Ask, Assignment, Log, OpenPlan, SendChunk
from render.farm.dispatch.assignment import choose, in_line
from render.farm.dispatch.autoscaler import LOOK_EVERY_S
from render.farm.dispatch.events import Denied, Drain, Event, Requested, Tick
from render.farm.dispatch.state import DEPTH, JobState, State
from render.farm.requests import Committed, Leave
from render.store import Event as LogEvent

__all__ = ["Dispatcher"]

TICK_S = 1.0  # how often deadlines are looked at, and the terminal and monitors hear something
FLICKER_S = 0.25  # and how often at the most these do, where something was committed


class Dispatcher:
    """All jobs and workers of one command. Times are seconds of any steady clock, given by the caller."""

    def __init__(self) -> None:
        self.state = State()
        self.working = False  # messages of the farm are to be expected, or will be
        self.next_tick = -math.inf  # when to learn anew what the farm has

    def add_job(self, number: int, priority: int = 0) -> None:
        """A job that may ask for things from now on; among equals the lowest number comes first."""
        self.state.jobs[number] = JobState(number, priority)

    def kinds(self) -> set[Resources]:
        """What a Tick has to tell of: the resources that jobs or starting workers need."""
        wanted = {job.resources for job in self.state.jobs.values() if job.resources is not None}
        return wanted | {start.resources for start in self.state.starting.values()}

    def handle(self, events: Iterable[Event], now: float) -> list[Action]:
        """What to do about events, in this order.

        Those that came together are handed in together: work is given out when all of them are known.
        """
        state = self.state
        for event in events:
            self._apply(event, now)
        if now - state.checked >= TICK_S:
            supervisor.stop_overdue(state, now)
        self._assign(now)
        if now - state.reported >= (FLICKER_S if state.news else TICK_S):
            monitoring.report(state, now)
        self._look_ahead()
        actions, state.outbox = state.outbox, []
        return actions

    def _look_ahead(self) -> None:
        state, scaling = self.state, self.state.scaling
        busy = any(worker.chunks or worker.assignment is not None for worker in state.workers.values())
        self.working = bool(state.starting) or busy or state.wanting
        self.next_tick = math.inf if state.draining else -math.inf if scaling.reconsider else scaling.next_look

    def _apply(self, event: Event, now: float) -> None:
        state = self.state
        match event:
            case Committed():
                jobs.committed(state, event, now)
            case Requested():
                jobs.admit(state, event)
            case Denied(number, error):
                jobs.fail(state, state.jobs[number], error)
            case Leave(number):
                jobs.leave(state, number)
            case Tick():
                self._tick(event, now)
            case Drain():
                supervisor.drain(state)
                jobs.drained(state)
                monitoring.report(state, now)  # whoever pressed Ctrl-C looks for it at once
            case _:
                supervisor.receive(state, event, now)

    def _tick(self, event: Tick, now: float) -> None:
        state = self.state
        state.capacity, state.has_room = dict(event.capacity), event.has_room
        state.scaling.reconsider, state.scaling.next_look = False, now + LOOK_EVERY_S
        failures.give_up(state, now)
        supervisor.scale(state, event.prefix, now)

    def _assign(self, now: float) -> None:
        """Hand out what there is to do: one to every worker, then a second."""
        state = self.state
        if state.draining or not state.free or not state.wanting:
            return
        for depth in range(DEPTH):
            for name in in_line(state, depth):
                assignment = choose(state, name, now)
                if assignment is not None:
                    self._give(assignment, now)

    def _give(self, assignment: Assignment, now: float) -> None:
        state = self.state
        worker, job = state.workers[assignment.worker], state.jobs[assignment.job]
        if not worker.chunks:
            worker.since = now
        match assignment:
            case SendChunk(_, _, chunk):
                assert job.queue is not None
                job.queue.pop(chunk)
                worker.chunks.append(chunk)
                details = {"worker": assignment.worker, "chunk": chunk.name}
                state.outbox.append(Log(job.number, LogEvent.SENT, details))
            case OpenPlan() | Ask():  # either closes the plan that is open
                worker.assignment, worker.open_job, worker.doing = assignment, None, ""
                job.opening += isinstance(assignment, OpenPlan)
                job.asked |= isinstance(assignment, Ask)
        state.note_room(assignment.worker)
        state.outbox.append(assignment)
