"""How many workers there should be: the farm's devices, the jobs' demand, and what became of earlier starts.

Looked at again every few seconds: a cluster grows and shrinks while a job runs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from render.farm.base import Farm, Resources
from render.farm.dispatch.chunk_queue import FIRST_DEADLINE_S
from render.farm.dispatch.dispatcher import Dispatcher

__all__ = ["Autoscaler", "ScalingPlan"]

LOOK_EVERY_S = 5.0
SOON_S = 60.0  # a worker that starts for longer may be waiting for a place: nobody waits for it
PAUSE_S = 30.0  # after several failed starts in a row; doubled each time
LONGEST_PAUSE_S = 600.0
BENCH_S = 3600.0  # a bad device is tried again then: somebody may have mended it
ANNOUNCE_AFTER_S = 30.0  # a busy cluster: say that the job waits for a place on it
HOPELESS_AFTER_S = 300.0  # an autoscaler may have to start a machine; beyond that nobody is coming


@dataclass
class ScalingPlan:
    """What the driver is to do about its workers; ``hopeless`` kinds will not come to be."""

    start: list[Resources] = field(default_factory=list)
    stop: list[str] = field(default_factory=list)
    cancel: list[str] = field(default_factory=list)
    notices: list[tuple[Resources, str]] = field(default_factory=list)
    hopeless: list[tuple[Resources, str]] = field(default_factory=list)


class Autoscaler:
    """Workers that are starting, and how starting went so far. Times are those of the driver's clock."""

    def __init__(self) -> None:
        self.starting: dict[str, tuple[Resources, float]] = {}
        self.changed = True  # something happened that may call for more workers or fewer
        self.claims: dict[Resources, int] = {}  # kinds that want more workers, with the priority of what waits for them
        self._next_look = 0.0
        self._benched: dict[Resources, list[float]] = {}  # until when
        self._failed: Counter[Resources] = Counter()  # starts in a row
        self._pauses: dict[Resources, tuple[float, float]] = {}  # until when, and how long it was
        self._announced: set[str] = set()

    def soon(self, now: float) -> Counter[Resources]:
        """How many of each kind will be ready soon, if nothing is in their way."""
        return Counter(resources for resources, since in self.starting.values() if now - since < SOON_S)

    def starts(self, resources: Resources) -> bool:
        """Whether any worker of the kind is starting."""
        return any(resources == other for other, _ in self.starting.values())

    def due(self, now: float) -> bool:
        """Whether it is time to look again."""
        return self.changed or now >= self._next_look

    def room(self, farm: Farm, resources: Resources, now: float) -> int:
        """How many workers of the kind there may be: as many as devices that are not known to be bad."""
        return max(farm.capacity(resources) - sum(until > now for until in self._benched.get(resources, ())), 1)

    def orders(self, farm: Farm, dispatcher: Dispatcher, now: float) -> ScalingPlan:
        """Workers to start for what waits; idle ones, and starts that nobody needs any more, to stop."""
        self.changed = False
        self._next_look = now + LOOK_EVERY_S
        orders, short = ScalingPlan(), set()
        starting = Counter(resources for resources, _ in self.starting.values())
        demand = dispatcher.demand()
        for resources in {*demand, *starting}:
            wanted = min(demand.get(resources, 0), self.room(farm, resources, now))
            missing = wanted - dispatcher.count(resources) - starting[resources]
            if missing < 0:
                orders.cancel += self._latest(resources, min(-missing, starting[resources]))
            elif (missing > 0 or starting[resources]) and farm.capacity(resources):
                short.add(resources)
            if missing > 0 and now >= self._pauses.get(resources, (0.0, 0.0))[0]:
                orders.start += [resources] * missing
        self.claims = dispatcher.claims(short)
        orders.stop = [name for name, resources in dispatcher.idle().items() if self._in_the_way(resources)]
        self._look_at_waiting(farm, dispatcher, now, orders)
        return orders

    def _latest(self, resources: Resources, number: int) -> list[str]:
        names = [name for name, (other, _) in self.starting.items() if other == resources]
        return names[len(names) - number :]

    def _in_the_way(self, resources: Resources) -> bool:
        """Whether an idle worker of the kind holds a place that another kind wants, more than this one does."""
        own = self.claims.get(resources)
        return any(other != resources and (own is None or priority > own) for other, priority in self.claims.items())

    def ready(self, worker: str) -> tuple[Resources, float]:
        """A worker has started: its kind, and when that began."""
        resources, since = self.starting.pop(worker)
        self._failed[resources] = 0
        self._pauses.pop(resources, None)
        self.changed = True
        return resources, since

    def start_failed(self, worker: str, *, counts: bool) -> int:
        """A worker could not start. How many in a row could not; a preempted start does not count."""
        resources, _ = self.starting.pop(worker)
        self._failed[resources] += counts
        self.changed = True
        return self._failed[resources]

    def pause(self, resources: Resources, now: float) -> float:
        """Start no more of the kind for a while, longer each time; returns the seconds."""
        until, length = self._pauses.get(resources, (0.0, PAUSE_S / 2))
        if now >= until:
            length = min(2 * length, LONGEST_PAUSE_S)
            self._pauses[resources] = (now + length, length)
        return length

    def bench(self, resources: Resources, now: float) -> None:
        """One device of the kind is bad: go on without it, for a while."""
        self._benched.setdefault(resources, []).append(now + BENCH_S)

    def overdue(self, farm: Farm, now: float) -> list[tuple[str, float]]:
        """Workers whose start takes too long though there is a place for them, with the seconds it has taken."""
        return [
            (name, now - since)
            for name, (resources, since) in self.starting.items()
            if now - since > FIRST_DEADLINE_S and farm.has_room(resources)
        ]

    def _look_at_waiting(self, farm: Farm, dispatcher: Dispatcher, now: float, orders: ScalingPlan) -> None:
        """Say that workers wait for a place, or that none will ever come free."""
        for name, (resources, since) in self.starting.items():
            if now - since > HOPELESS_AFTER_S and not dispatcher.count(resources) and not farm.capacity(resources):
                orders.hopeless.append(
                    (resources, f"no worker could start in {now - since:.0f} s: nobody offers {resources}")
                )
            elif now - since > ANNOUNCE_AFTER_S and name not in self._announced:
                self._announced.add(name)
                orders.notices.append(
                    (resources, f"worker {name} waits for {resources}: the cluster is busy, or still starting")
                )
