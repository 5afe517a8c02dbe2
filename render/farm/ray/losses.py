"""Why a worker is gone, or could not do what it was asked, in the words that jobs hear."""

from ray.exceptions import (
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    RuntimeEnvSetupError,
)

from render.errors import RenderError
from render.farm.ray.connection import last_line
from render.farm.ray.resources import alive

__all__ = ["cause_of_death", "own_error", "words_of"]

NODE_DIED = "its node has died"  # in Ray's words; of a worker that was still starting nobody knows the node
NOT_MADE = "error raised in its creation task"  # in Ray's words: the process lives, and Ray could not make the actor


def cause_of_death(error: RayError, node: str) -> tuple[str, bool]:
    """Why a worker is gone, in a few words, and whether that is nobody's fault: its node was taken away or died."""
    if isinstance(error, RayActorError) and error.preempted:
        return "taken away by the cluster", True
    if isinstance(error, ObjectLostError):
        return "its result was lost with the node that held it", True
    if not alive(node) or NODE_DIED in str(error):
        return "its node died or left the cluster", True
    if isinstance(error, OutOfMemoryError):
        return "killed because its node ran out of memory", False
    if isinstance(error, RuntimeEnvSetupError) or NOT_MADE in str(error):
        return f"its process could not be set up: {last_line(error)}", False
    return "its process died: killed, out of memory, or crashed", False


def own_error(error: RayTaskError) -> RenderError | None:
    """The error of ours that a worker raised, None for a mistake in the program."""
    cause = error.cause
    return cause if isinstance(cause, RenderError) else None


def words_of(error: RayTaskError) -> tuple[str, str]:
    """What a worker's error says, and the details for the log: of one that is none of ours, its last line."""
    if own := own_error(error):
        return str(own), ""
    if type(error.cause) is ImportError and error.cause.name == "render":  # said by entry.py, for people
        return str(error.cause), str(error)
    return last_line(error), str(error)
