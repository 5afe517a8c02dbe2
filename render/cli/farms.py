"""The farm that a command renders on: this process, or Ray, which is joined or started, and left, in as many words.

It is made when a job first needs it.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from render.cli.bars import ProgressBars
from render.errors import FarmError, pip_install
from render.farm.base import Farm
from render.farm.local import LocalFarm
from render.farm.signals import Stop, interruptible

__all__ = ["farm_maker"]


def farm_maker(
    address: str | None, cluster: ExitStack, bars: ProgressBars, *, local: bool, trust: bool
) -> Callable[[], Farm]:
    """Makes a farm when a job first needs one. Ray is joined or started once, and stays until ``cluster`` is left."""

    def make() -> Farm:
        if local:
            return LocalFarm(trust=trust)
        with bars.doing(f"joining the Ray cluster at {address}" if address else "starting Ray"):
            try:
                from render.farm.ray.farm import RayFarm
            except ImportError as error:
                raise FarmError(
                    f"Ray is not installed here ({error}); {pip_install('[cluster]')}, or use --local"
                ) from None
            cluster.enter_context(_connected(address))
        return RayFarm(trust=trust)

    return make


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """Ray; leaving it takes a while, too, and says so. Raises FarmError."""
    from render.farm.ray.connection import connected

    with ExitStack() as ray:
        ray.enter_context(connected(address))
        try:
            yield
        finally:
            doing = "leaving the Ray cluster" if address else "stopping Ray"
            # the jobs are over: one more Ctrl-C is no reason to leave processes behind, only a second one is
            with ProgressBars() as bars, bars.doing(doing), interruptible(Stop()):
                ray.close()
