"""How a worker's process becomes a worker: it imports render from where the driver has it and works where that works.

Where it cannot, it says why: its class is sent to the process as it stands, and needs no render to be there.
"""

import contextlib
import importlib
import os
import pickle
import socket
import sys
import traceback
from collections.abc import Sequence
from typing import Any

__all__ = ["Entry"]


class Entry:
    """The actor: a worker, once render is imported. Takes and answers what the worker does."""

    def __init__(self, home: str, folder: str, worker: bytes) -> None:
        """``home``: the folder that the driver's render lies in. ``folder``: the one it works in.

        ``worker``: pickled, makes a worker when it is called.
        """
        self._folder = folder
        self._worker: Any = None
        self._failure: BaseException | None = None
        try:
            with contextlib.suppress(OSError):  # of a machine that has no such folder nothing is asked there
                os.chdir(folder)
            _import_render(home)
            self._worker = pickle.loads(worker)()  # noqa: S301 - comes from the driver
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever lies in render's way may raise anything
            self._failure = error

    def hello(self) -> Any:
        """As the worker. Raises ImportError that says what cannot be imported, and from where."""
        if self._failure is not None:
            raise ImportError(_explain(self._failure), name="render") from self._failure
        return self._worker.hello()

    def doing(self) -> Any:
        """As the worker."""
        return self._worker.doing()

    def plan(self, folders: Sequence[str], spec: Any, before: Any) -> Any:
        """As the worker, where the job's relative ``folders`` are here. Raises ModelError where they are not."""
        self._check(folders)
        return self._worker.plan(spec, before)

    def open(self, folders: Sequence[str], plan_json: str) -> Any:
        """As the worker, where the job's relative ``folders`` are here. Raises ModelError where they are not."""
        self._check(folders)
        return self._worker.open(plan_json)

    def render(self, chunk: Any) -> Any:
        """As the worker."""
        return self._worker.render(chunk)

    def _check(self, folders: Sequence[str]) -> None:
        """Raises ModelError for a folder that is not here: its name might be taken for one on the hub."""
        from render.errors import ModelError

        for name in folders:
            if not os.path.isdir(os.path.join(self._folder, name)):
                raise ModelError(
                    f"{name!r}: no such folder on {socket.gethostname()}, in {self._folder}, where the job was "
                    "started; write an absolute path that every node sees, or a hub id"
                )


def _import_render(home: str) -> None:
    """From ``home``, where this machine has it; else it is found as anything is. Its submodules follow it.

    Nothing but render is imported from that folder, which may be one that the user works in.
    """
    if not os.path.isfile(os.path.join(home, "render", "__init__.py")):
        return
    sys.path.insert(0, home)
    try:
        importlib.import_module("render")
    finally:
        sys.path.remove(home)


def _explain(error: BaseException) -> str:
    """What could not be imported, from where, and the cure, in a line."""
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"{sys.executable} on {socket.gethostname()} cannot import render: {words}{_origin(error)}; install "
        "there what is installed here, render and its packages, and keep files of the same names off its PYTHONPATH"
    )


def _origin(error: BaseException) -> str:
    """The file of the module that lacks something, else the file that raised."""
    lacking = getattr(error, "obj", None)  # of an AttributeError
    name = getattr(lacking, "__name__", None) or str(getattr(error, "name", None) or "").partition(".")[0]
    if file := getattr(sys.modules.get(name), "__file__", None):
        return f" ({name} is {file})"
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    raised = [file for file in frames if os.path.isfile(file) and file != __file__]
    return f" (in {raised[-1]})" if raised else ""
