"""How many workers there should be: the farm's devices, the jobs' demand, and what became of earlier starts.

Looked at again every few seconds: a cluster grows and shrinks while a job runs.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from render.farm.base import Resources
from render.farm.dispatch.actions import Ask
from render.farm.dispatch.state import State

__all__ = ["LOOK_EVERY_S", "ScalingPlan", "expected", "pause", "quarantine", "room", "scaling_plan"]

LOOK_EVERY_S = 5.0
SOON_S = 60.0  # a worker that starts for longer may be waiting for a place: nobody waits for it
PAUSE_S = 30.0  # after several failed starts in a row; doubled each time
LONGEST_PAUSE_S = 600.0
QUARANTINE_S = 3600.0  # a bad device is tried again then: somebody may have mended it
ANNOUNCE_AFTER_S = 30.0  # a busy cluster: say that the job waits for a place on it
UNSATISFIABLE_AFTER_S = 300.0  # a cluster may have to start a machine; beyond that nobody is coming


@dataclass
class ScalingPlan:
    """Workers to start, idle ones to stop, starts to cancel; what to say of starts; kinds that will never come."""

    start: list[Resources] = field(default_factory=list)
    stop: list[str] = field(default_factory=list)
    cancel: list[str] = field(default_factory=list)
    notices: list[tuple[str, str]] = field(default_factory=list)
    unsatisfiable: list[tuple[Resources, str]] = field(default_factory=list)


def scaling_plan(state: State, now: float) -> ScalingPlan:
    """What to do about the number of workers. An idle one stops when another kind has work waiting and no room."""
    plan, short = ScalingPlan(), set()
    demand, starting = _demand(state), Counter(start.resources for start in state.starting.values())
    for resources in {**demand, **starting}:
        wanted = min(demand.get(resources, 0) + _useless(state, resources), room(state, resources, now))
        missing = wanted - state.count(resources) - starting[resources]
        if missing < 0:
            plan.cancel += _latest(state, resources, min(-missing, starting[resources]))
        elif (missing > 0 or starting[resources]) and state.capacity.get(resources) and _in_need(state, resources, now):
            short.add(resources)
        if missing > 0 and now >= state.scaling.pauses.get(resources, (0.0, 0.0))[0]:
            plan.start += [resources] * missing
    idle = [(name, worker.resources) for name, worker in state.workers.items() if not worker.busy]
    plan.stop = [name for name, resources in idle if short - {resources}]
    _look_at_waiting(state, now, plan)
    return plan


def expected(state: State, resources: Resources | None, now: float) -> int:
    """How many workers of a kind will be ready soon, if nothing is in their way."""
    starts = state.starting.values()
    return sum(start.resources == resources and now - start.since < SOON_S for start in starts)


def room(state: State, resources: Resources, now: float) -> int:
    """How many workers of a kind there may be: as many as devices that are not known to be bad."""
    bad = sum(until > now for until in state.scaling.quarantined.get(resources, ()))
    return max(state.capacity.get(resources, 0) - bad, 1)


def pause(state: State, resources: Resources, now: float) -> float:
    """Start no more workers of a kind for a while, longer each time; returns the seconds."""
    until, length = state.scaling.pauses.get(resources, (0.0, PAUSE_S / 2))
    if now >= until:
        length = min(2 * length, LONGEST_PAUSE_S)
        state.scaling.pauses[resources] = (now + length, length)
    return length


def quarantine(state: State, resources: Resources, now: float) -> None:
    """One device of the kind is bad: go on without it, for a while."""
    state.scaling.quarantined.setdefault(resources, []).append(now + QUARANTINE_S)


def _demand(state: State) -> Mapping[Resources, int]:
    """How many workers of each kind would have something to do, for all jobs together."""
    working: Counter[int | None] = Counter()  # with a question or chunks; one that opens a plan will take what waits
    for worker in state.workers.values():
        working[worker.job] += bool(worker.chunks) or isinstance(worker.assignment, Ask)
    found: Counter[Resources] = Counter()
    for job in state.jobs.values():
        if job.resources is not None:
            useful = working[job.number] + job.waiting + job.to_ask
            found[job.resources] += useful if job.max_workers is None else min(useful, job.max_workers)
    return found


def _in_need(state: State, resources: Resources, now: float) -> bool:
    """Whether a worker of a kind finds no room; one that starts for long finds none, whatever the farm says: what is
    free may lie on several nodes.
    """
    starts = [start for start in state.starting.values() if start.resources == resources]
    return resources not in state.has_room or any(now - start.since > ANNOUNCE_AFTER_S for start in starts)


def _useless(state: State, resources: Resources) -> int:
    """Workers of a kind with nothing to do that could not open the plan of any job that waits: others may."""
    wanting = [job for job in state.jobs_of(resources) if job.to_ask or job.waiting]
    idle = [name for name, worker in state.workers.items() if worker.resources == resources and not worker.busy]
    return sum(all(name in job.unfit for job in wanting) for name in idle) if wanting else 0


def _latest(state: State, resources: Resources, number: int) -> list[str]:
    names = [name for name, start in state.starting.items() if start.resources == resources]
    return names[len(names) - number :]


def _look_at_waiting(state: State, now: float, plan: ScalingPlan) -> None:
    """Say that workers wait for a place, or that none will ever come free."""
    for name, start in state.starting.items():
        if name in plan.cancel:
            continue
        resources, waited_s = start.resources, now - start.since
        offered = state.count(resources) or state.capacity.get(resources)
        if waited_s > UNSATISFIABLE_AFTER_S and not offered:
            text = f"no worker could start in {waited_s:.0f} s: nobody offers {resources}"
            plan.unsatisfiable.append((resources, text))
        elif waited_s > ANNOUNCE_AFTER_S and not start.announced:
            text = f"worker {name} waits for {resources}: the cluster is busy, or still starting"
            plan.notices.append((name, text))
