"""A cluster to work on: join the one that runs, or start one on this machine that ends with the command."""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import ray
from ray.exceptions import RayError
from ray.job_config import JobConfig

from render.errors import FarmError, StoppedError
from render.farm.ray.scratch import check_scratch
from render.farm.signals import heeded

__all__ = ["await_head", "connected", "head_answers", "last_line"]

OBJECT_STORE_BYTES = 1 << 30  # segments are small; Ray's own default takes a third of the memory
# Ray's own default, 15, lets any busy process beside have the cores: a chunk takes two to three times as long.
SYSTEM_CONFIG = {"worker_niceness": 0}
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
ANSWER_TIMEOUT_S = 5.0
NOT_LET_IN = (  # somebody listens there, and Ray says no more than that it cannot connect
    "does it ask for a token? set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a file with the cluster's (default: "
    "~/.ray/auth_token)"
)
GONE_AFTER_S = 30.0  # a head that starts again is waited for; after 60 s Ray ends the whole process without a word


class _StaysEmpty(list[str]):
    """The folders that workers import from before all others: none, whatever Ray adds.

    It would add the driver's working directory: a ``numpy.py`` there would be theirs. They have their own installed
    packages, and render from where the driver has it (``entry.py``).
    """

    def extend(self, _folders: Iterable[str]) -> None:
        """Nothing."""


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Join the cluster at ``address``, or start one here that ends with the block. Raises FarmError if that fails."""
    if ray.is_initialized():
        yield
        return
    _connect(address)
    try:
        yield
    finally:
        ray.shutdown()


def await_head() -> None:
    """Return as soon as the head of the cluster answers. Raises FarmError when it does not for half a minute.

    To be called before Ray is asked of the cluster: such a question waits for an answer until Ray ends the process.
    """
    until = time.monotonic() + GONE_AFTER_S
    while not head_answers():
        if time.monotonic() > until:
            raise FarmError(
                "the head of the Ray cluster does not answer any more; what is done stays done, the same command goes "
                "on once there is a cluster again"
            )
        time.sleep(1.0)


def head_answers() -> bool:
    """Whether the head of the cluster that this process has joined can be reached just now."""
    if not ray.is_initialized():
        return True
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    return _answers(host.strip("[]"), int(port))


def _connect(address: str | None) -> None:
    from ray._private import ray_constants

    here: dict[str, Any] = {
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_system_config": SYSTEM_CONFIG,
    }
    job = JobConfig()
    job._py_driver_sys_path = _StaysEmpty()
    if address is None:
        check_scratch()
    clusters = ray_constants.ENABLE_RAY_CLUSTER
    # Where no other machine may join, as on a Mac, Ray listens on loopback alone; `_node_ip_address` does not do it.
    # A driver that joins such a Ray has to look for it there.
    ray_constants.ENABLE_RAY_CLUSTER = clusters and address is not None and not _on_loopback_alone(address)
    try:
        with _signals_kept():
            ray.init(
                address=address or "local",
                job_config=job,
                logging_level="ERROR",
                log_to_driver=False,
                **({} if address else here),
            )
    except UnicodeEncodeError as error:
        raise FarmError(f"Ray does not take the name {error.object!a}: {_name_cure(error)}") from error
    except (RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = f"the Ray cluster at {address} cannot be joined" if address else "Ray cannot start on this machine"
        cure = NOT_LET_IN if address and isinstance(error, ConnectionError) else "`--local` renders without Ray"
        raise FarmError(f"{where}: {last_line(error)}; {cure}") from error
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters


def _name_cure(error: UnicodeEncodeError) -> str:
    """What to do about a name that Ray cannot encode: its sockets want ASCII, the command line UTF-8."""
    if error.encoding == "ascii":
        return "its own files need an ASCII name; set RAY_TMPDIR to such a folder, a short one, or render with --local"
    return "it is not UTF-8; rename the file, or render with --local"


def _on_loopback_alone(address: str) -> bool:
    """Whether a Ray to join listens on loopback only. Raises FarmError for none at all: Ray would try for minutes."""
    from ray._private import services

    if address == "auto":
        running = sorted(services.find_gcs_addresses())
        if len(running) != 1:
            return False  # Ray has words for none and for several
        address = running[0]
    host, _, port = address.rpartition(":")
    if not port.isdigit() or "/" in host:
        return False
    if not _answers(host, int(port)):
        raise FarmError(f"nobody answers at {address}; is the cluster running? `ray status --address {address}` tells")
    return host in LOOPBACK and not _answers(services.get_node_ip_address(), int(port))


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), ANSWER_TIMEOUT_S):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Put signals off until Ray stands, and give them back their handlers. Raises StoppedError if one came meanwhile.

    An interrupt in the middle of ``ray.init`` leaves processes behind, and Ray installs a SIGTERM handler of its own,
    which ends the driver with a stack trace.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {number: signal.getsignal(number) for number in heeded()}
    for number in before:
        signal.signal(number, lambda number, _frame: arrived.append(number))
    try:
        yield
    except SystemExit:  # Ray's own handler, for a SIGTERM that came before ours was back
        arrived.append(signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if arrived:
        ray.shutdown()
        signal.raise_signal(arrived[0])
        raise StoppedError("stopped while Ray was starting; the same command goes on")


def last_line(error: BaseException) -> str:
    """The last line of an error's words: Ray puts the cause there."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
