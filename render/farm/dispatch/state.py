"""All that the dispatcher knows: jobs, workers, and how starting them went. Data, and questions to it."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field

from render.errors import RenderError
from render.farm.base import Resources
from render.farm.dispatch.actions import Action, Ask, OpenPlan
from render.farm.dispatch.chunk_queue import ChunkQueue
from render.farm.requests import MakePlan
from render.plan import Chunk, Plan
from render.report import Forecast, Paces

__all__ = ["DEPTH", "JobState", "ScalingState", "StartingWorker", "State", "WorkerState"]

DEPTH = 2  # chunks a worker holds: one executing, one waiting in its queue
UNCOMMITTED_BYTES = 256 << 20  # of segments that wait for a slow store; beyond that no more chunks of the job go out


@dataclass
class JobState:
    """A job: what it asked for, how far its workers are, what went wrong. ``queue`` is that of its last request."""

    number: int
    priority: int = 0
    resources: Resources | None = None
    question: MakePlan | None = None
    asked: bool = False  # a worker has the question
    plan: Plan | None = None
    plan_json: str = ""
    run_dir: str = ""
    model: str = ""  # workers that hold it open the plan sooner
    max_workers: int | None = None
    queue: ChunkQueue | None = None
    settled: bool = True  # it has heard how its chunks ended
    opening: int = 0  # workers that open its plan
    unfit: set[str] = field(default_factory=set)  # workers that could not
    uncommitted: int = 0  # bytes
    lost_asks: int = 0
    lost_opens: int = 0  # in a row, to nodes that went away
    failed_opens: int = 0  # in a row
    refusal: RenderError | None = None  # what the last worker said that could not open the plan
    total: int = 0
    done_before: int = 0
    rendered: int = 0
    paces: Paces = field(default_factory=Paces)  # of its workers
    foretold: Forecast = field(default_factory=lambda: Forecast(None))  # as of ``State.foretold``
    s_per_image: float | None = None  # of the last chunks
    warned: set[str] = field(default_factory=set)

    @property
    def to_ask(self) -> bool:
        """Whether it has a question that no worker has yet."""
        return self.question is not None and not self.asked

    @property
    def waiting(self) -> int:
        """Chunks that could be sent now."""
        return self.queue.waiting if self.queue and self.uncommitted < UNCOMMITTED_BYTES else 0

    @property
    def waits(self) -> bool:
        """Whether it waits for an answer or for chunks."""
        return self.question is not None or not self.settled


@dataclass
class StartingWorker:
    """A worker that is not ready yet."""

    resources: Resources
    since: float
    announced: bool = False  # a person knows that it waits


@dataclass
class WorkerState:
    """A worker that is ready: what it holds and does, and what it has done so far."""

    resources: Resources
    assignment: Ask | OpenPlan | None = None
    doing: str = ""  # how far it is with that, in its own words
    open_job: int | None = None  # the job whose plan is open
    model: str = ""
    chunks: deque[Chunk] = field(default_factory=deque)  # the executing one first
    since: float = 0.0  # when what it does began
    done_here: int = 0  # chunks of the plan that is open
    completed: int = 0
    failed_in_a_row: int = 0  # since the last chunk it completed
    last_chunk: Chunk | None = None  # while draining: what it still finishes

    @property
    def busy(self) -> bool:
        """Whether it has anything to do."""
        return bool(self.chunks) or self.assignment is not None

    @property
    def job(self) -> int | None:
        """The job it is busy for, or whose plan it has open."""
        return self.assignment.job if self.assignment is not None else self.open_job


@dataclass
class ScalingState:
    """How starting workers went so far."""

    reconsider: bool = True  # something happened that may call for more workers or fewer
    next_look: float = 0.0
    quarantined: dict[Resources, list[float]] = field(default_factory=dict)  # bad devices: until when
    failed_starts: Counter[Resources] = field(default_factory=Counter)  # in a row
    pauses: dict[Resources, tuple[float, float]] = field(default_factory=dict)  # until when, and how long it was


@dataclass
class State:
    """Everything. ``outbox`` holds the actions decided on since the driver last asked."""

    jobs: dict[int, JobState] = field(default_factory=dict)
    starting: dict[str, StartingWorker] = field(default_factory=dict)
    workers: dict[str, WorkerState] = field(default_factory=dict)
    free: dict[str, None] = field(default_factory=dict)  # workers with room in their queue
    scaling: ScalingState = field(default_factory=ScalingState)
    capacity: dict[Resources, int] = field(default_factory=dict)
    has_room: Set[Resources] = frozenset()
    num_started: int = 0
    draining: bool = False
    checked: float = 0.0  # when deadlines were last looked at
    reported: float = 0.0  # when the terminal and monitors last heard something
    news: bool = False  # something was committed since then
    foretold: float = 0.0  # when it was last foretold when the jobs will be done
    outbox: list[Action] = field(default_factory=list)

    @property
    def wanting(self) -> bool:
        """Whether any job has something for a worker to do."""
        return any(job.to_ask or job.waiting for job in self.jobs.values())

    def jobs_of(self, resources: Resources | None) -> Iterator[JobState]:
        """The jobs that such workers serve."""
        yield from [job for job in self.jobs.values() if resources is not None and job.resources == resources]

    def job_of(self, worker: WorkerState) -> JobState | None:
        """The job that a worker works for, None where it has left."""
        return None if worker.job is None else self.jobs.get(worker.job)

    def busy_workers(self) -> Mapping[int | None, list[str]]:
        """The workers that are busy, by the job that they are busy for."""
        busy = defaultdict[int | None, list[str]](list)
        for name, worker in self.workers.items():
            if worker.busy:
                busy[worker.job].append(name)
        return busy

    def workers_of(self, number: int) -> list[str]:
        """The workers that are busy for a job."""
        return [name for name, worker in self.workers.items() if worker.busy and worker.job == number]

    def fit_workers(self, job: JobState) -> list[str]:
        """The workers that serve the job and have not failed to open its plan."""
        return [
            name for name, worker in self.workers.items() if worker.resources == job.resources and name not in job.unfit
        ]

    def count(self, resources: Resources | None) -> int:
        """The workers of a kind that are ready."""
        return sum(worker.resources == resources for worker in self.workers.values())

    def starts(self, resources: Resources | None) -> bool:
        """Whether any worker of a kind is starting."""
        return any(start.resources == resources for start in self.starting.values())

    def note_room(self, name: str) -> None:
        """Keep ``free`` true of a worker that was given something, or is through with it."""
        worker = self.workers[name]
        if worker.assignment is None and len(worker.chunks) < DEPTH:
            self.free.setdefault(name)
        else:
            self.free.pop(name, None)
