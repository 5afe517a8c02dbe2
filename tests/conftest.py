"""What all tests share: job specs and plans of test cards in one line, and a watcher that remembers."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

from render import models as modelfiles
from render.farm.progress import Progress
from render.models import ModelInfo
from render.plan import Machine, Plan, resolve
from render.spec import JobFile, JobSpec, load, validate
from render.spec.document import parse

# Threads of torch that wait for one another sleep instead of spinning: beside other processes five times faster. It
# changes no number. OpenMP reads it when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # as farm.py does: Ray reads it when it is first imported
settings.register_profile("render", deadline=None, max_examples=60, database=None)
settings.load_profile("render")

CARD = """\
version: 1
name: card
mode: dream
model: testcard
size: 128x72
fps: 24
frames: 12
keyframes:
  - {at: 0, prompt: a}
farm: {chunk: 4}
output: {preset: ultrafast}
"""

LONGEST = (  # files that keep a process busy for longest begin first, so that none is left alone at the end
    "tests/farm/ray/test_farm.py",
    "tests/engine/backends/test_compiled.py",
    "tests/engine/backends/test_onnx.py",
    "tests/bench/test_command.py",
    "tests/test_chaos.py",
    "tests/cli/test_submit.py",
    "tests/engine/",
    "tests/store/test_filesystems.py",
    "tests/test_docs.py",
    "tests/farm/",
    "tests/cli/",
)

CPU = Machine("cpu", "test CPU", cores=2, memory_bytes=8 << 30, bf16=False, versions={"render": "test"})


class Collector:
    """A watcher that remembers what it heard."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.heard: list[Progress] = []

    def progress(self, progress: Progress) -> None:
        self.heard.append(progress)

    def notice(self, text: str) -> None:
        self.notices.append(text)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """``--dist loadfile --no-loadscope-reorder`` hands files to processes in this order."""

    def place(item: pytest.Item) -> int:
        ranks = (rank for rank, start in enumerate(LONGEST) if item.nodeid.startswith(start))
        return next(ranks, len(LONGEST))

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def _hearing() -> None:
    """Whoever runs the tests in the background or under nohup makes them deaf, and every command they start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of the session's own, that its workers inherit: nothing of it may come from an earlier run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Stable Diffusion 1 with random weights."""
    from tests.tiny import sd

    return sd(tmp_path_factory.mktemp("models") / "tiny-sd")


@pytest.fixture(scope="session")
def tiny_sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an SDXL with random weights."""
    from tests.tiny import sdxl

    return sdxl(tmp_path_factory.mktemp("models") / "tiny-sdxl")


@pytest.fixture
def watcher() -> Collector:
    return Collector()


@pytest.fixture(scope="session")
def machine() -> Machine:
    """Two cores without fast bfloat16."""
    return CPU


@pytest.fixture(scope="session")
def spec_of() -> Callable[..., JobSpec]:
    """``spec_of("frames=8", text=…)``: a valid spec, changed by ``--set`` assignments."""

    def make(*assignments: str, text: str = CARD) -> JobSpec:
        document = parse(text, name="job.yaml")
        for assignment in assignments:
            document.override(assignment)
        return validate(document)

    return make


@pytest.fixture(scope="session")
def plan_of(spec_of: Callable[..., JobSpec]) -> Callable[..., Plan]:
    """``plan_of("frames=8", model=…)``: the plan of a test card on a machine with two cores."""

    def make(*assignments: str, model: ModelInfo | None = None) -> Plan:
        spec = spec_of(*assignments)
        model = model or modelfiles.describe("testcard")
        return Plan(spec, resolve(spec, CPU, model), model)

    return make


@pytest.fixture
def job_of(tmp_path: Path) -> Callable[..., JobFile]:
    """``job_of("frames=8")``: a test card's job file on disk, its run directory ``out`` beside it."""

    def make(*assignments: str, out: str = "out") -> JobFile:
        path = tmp_path / "card.yaml"
        path.write_text(CARD)
        return load(path, [f"output.dir={json.dumps(str(tmp_path / out))}", *assignments])

    return make


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of an S3 of this machine, in memory, on loopback."""
    moto = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


BUCKETS = count()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """``s3://…`` of a new bucket, to be found as AWS's own tools would, by this process and those it starts."""
    aws(monkeypatch, s3_server)
    import s3fs

    name = f"films-{next(BUCKETS)}"
    s3fs.S3FileSystem(skip_instance_cache=True).mkdir(name)
    return f"s3://{name}"


def aws(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Credentials and endpoint by AWS's own conventions."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
