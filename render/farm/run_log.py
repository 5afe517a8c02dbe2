"""The log of one run of a job: the only way into it, from the first line to what ended the run."""

import contextlib
import traceback
from collections.abc import Iterator
from typing import Any

from render.errors import LockedError, RenderError, RunDirError, StoppedError, message_of
from render.farm.requests import Logged
from render.store import Event, RunDir

__all__ = ["OtherPlanError", "RunLog"]


class OtherPlanError(RunDirError):
    """The run directory belongs to another plan: nothing of this run belongs into its log."""


class RunLog:
    """Lines of one run. The first one says when it began: a run with nothing to do and nothing to say leaves none."""

    def __init__(self, rundir: RunDir, began: float) -> None:
        """``began``, in seconds since 1970, is when the command did: starting Ray is part of the job's time."""
        self._rundir = rundir
        self._began = began
        self._started = False

    def write(self, event: Event, **details: Any) -> None:
        """A line about what happens now."""
        self.append(Logged(event, details))

    def append(self, line: Logged) -> None:
        """A line about what happened, whoever says so. Raises StoreError."""
        if not self._started:
            self._started = True
            self._rundir.log(Event.RUN_STARTED, time=self._began)
        self._rundir.log(line.event, time=line.time, **line.details)

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Within, an error is logged as the run's end, unless the directory is somebody else's."""
        try:
            yield
        except (LockedError, OtherPlanError):
            raise
        except RenderError as error:
            cause, _, details = str(error).partition("\n")
            self._end(Event.RUN_STOPPED if isinstance(error, StoppedError) else Event.RUN_FAILED, cause, details)
            raise
        except Exception as error:
            self._end(Event.RUN_FAILED, message_of(error), "".join(traceback.format_exception(error)))
            raise

    def _end(self, event: Event, cause: str, details: str) -> None:
        with contextlib.suppress(RenderError):  # nothing that fails here may hide the error itself
            self.write(event, cause=cause, details=details)
