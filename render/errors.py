"""The errors that `render` raises on purpose, and the exit code of each.

::

    RenderError              1   anything below; never raised itself
    ├── SpecError            2   the job spec or the command line is wrong: names the file, line and field
    ├── RunDirError          3   the run directory belongs to another plan, or is damaged
    │   └── LockedError      4   another driver is at work in it
    ├── StoreError           5   the disk or store refuses: full, read-only, gone
    ├── ModelError           6   the model is there but cannot be loaded
    ├── EngineError          7   a picture could not be rendered: out of memory, NaN, blank
    ├── VideoError           8   a frame could not be encoded, or segments could not be joined
    ├── FarmError            9   workers could not start, or chunks failed for good
    ├── RegressionError     10   a benchmark is slower than the one it is compared with
    └── StoppedError       130   somebody asked to stop; by SIGTERM it is 143, by SIGHUP 129

An interrupted command exits with 130 (Ctrl-C), 143 (SIGTERM) or 129 (SIGHUP), as shells expect. Every message is meant
for the person at the terminal: what happened, where, and what to do. A programming mistake is an assertion: it keeps
its traceback and exits with 1.
"""

import errno
import re
import tomllib
from pathlib import Path
from typing import Self

__all__ = [
    "EngineError",
    "FarmError",
    "LockedError",
    "ModelError",
    "RegressionError",
    "RenderError",
    "RunDirError",
    "SpecError",
    "StoppedError",
    "StoreError",
    "VideoError",
    "count",
    "message_of",
    "pip_install",
    "redacted",
    "shown",
]

PACKAGE = "latent-render"  # `render` on PyPI is a stranger's
HOME = Path(__file__).resolve().parents[1]  # the folder that this package lies in


class RenderError(Exception):
    """The root of the tree: one message for the user, one exit code. What looks like a secret is left out of it, and
    what a terminal would obey is written out."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__("\n".join(map(shown, redacted(message).split("\n"))))


class SpecError(RenderError):
    """The job spec or the command line is wrong. ``str()`` is complete: ``job.yaml:7: keyframes[1].at: …``."""

    exit_code = 2


class RunDirError(RenderError):
    """The run directory belongs to another plan, or something in it cannot be read."""

    exit_code = 3


class LockedError(RunDirError):
    """Another driver is at work in the run directory."""

    exit_code = 4

    @classmethod
    def held(cls, place: Path | str, holder: str) -> Self:
        """What to tell a second driver; ``holder`` is empty where nobody knows it."""
        who = holder or "another process"
        return cls(f"{place}: {who} is rendering here; wait for it, stop it, or choose another output.dir")


_CURES = {
    errno.EFBIG: "the disk takes no file so large; choose another output.dir",
    errno.ENOSPC: "the disk is full; free some space and run the same command again, it goes on where it stopped",
    errno.EDQUOT: "your quota is used up; free some space and run the same command again, it goes on where it stopped",
    errno.EACCES: "permission denied; make it writable, or choose another output.dir",
    errno.EROFS: "it lies on a read-only disk; choose another output.dir",
    errno.ENOTDIR: "something on the way to it is a file, not a folder; choose another output.dir",
    errno.EISDIR: "a folder of that name is in the way; choose another output.dir",
    errno.ENAMETOOLONG: "the disk takes no name so long; choose a shorter output.dir",
    errno.ELOOP: "links on the way to it lead in a circle; choose another output.dir",
    errno.EEXIST: "a file of that name is in the way; choose another output.dir",
    errno.ENOENT: "it is gone; was the folder deleted in the middle of the work?",
    errno.ESTALE: "the network disk has lost it; mount it again and run the same command again, it goes on",
    errno.EIO: "the disk cannot read or write it; check the disk, then run the same command again, it goes on",
    errno.ETIMEDOUT: "the disk does not answer; when it does again, run the same command again, it goes on",
    errno.EPERM: "the disk does not permit it; choose another output.dir",
    errno.ENOLCK: "this disk cannot lock files; mount it with locking, or choose another output.dir",
    errno.ENOTSUP: "this disk cannot do that (lock or sync a file); choose another output.dir",
}


class StoreError(RenderError):
    """The disk or the object store refuses to read or write."""

    exit_code = 5

    @classmethod
    def of(cls, error: OSError, path: Path | str) -> Self:
        """What the disk said about ``path``, with the cure."""
        cure = _CURES.get(error.errno or 0, error.strerror or str(error))
        return cls(f"{shown(error.filename or path)}: {cure}")


class ModelError(RenderError):
    """The model's files are there but a model cannot be made of them."""

    exit_code = 6


class EngineError(RenderError):
    """A picture could not be rendered."""

    exit_code = 7


class VideoError(RenderError):
    """A frame could not be encoded, or segments could not be joined."""

    exit_code = 8


class FarmError(RenderError):
    """Workers could not be started, or chunks failed after all their attempts."""

    exit_code = 9


class RegressionError(RenderError):
    """A case of a benchmark is slower than it was, by more than the threshold."""

    exit_code = 10


class StoppedError(RenderError):
    """Somebody asked to stop, by Ctrl-C or SIGTERM: nothing went wrong, and the same command goes on."""

    exit_code = 130


HIDDEN = "…"
_SURE = (
    (re.compile(r"\b(?:hf|api_org)_[A-Za-z0-9]{20,}"), HIDDEN),  # tokens of the Hugging Face hub
    (
        re.compile(r"(?i)(authorization\W{1,6}(?:bearer|basic))\s+[A-Za-z0-9._~+/=-]+"),
        rf"\1 {HIDDEN}",
    ),  # RFC 9110, 11.4
    (re.compile(r"(?i)\b(bearer)\s+[A-Za-z0-9._~+/=-]{16,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"(://)[^/\s:@]*:[^/\s@]*@"), rf"\1{HIDDEN}@"),  # user and password in an address
    (re.compile(r"(?i)([?&](?:token|signature|x-amz-[a-z-]+|key-pair-id|policy)=)[^&\s'\"]+"), rf"\1{HIDDEN}"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"), HIDDEN),  # access keys of AWS
)
_LIKELY = (
    (re.compile(r"(//)\S*@"), rf"\1{HIDDEN}@"),  # whatever stands before an @ of an address
    (re.compile(r"(://[^\s?]*\?)\S+"), rf"\1{HIDDEN}"),  # queries, in which addresses are signed
    (
        re.compile(
            r"(?i)((?:signature|credential|secret|token|password|access_?key)[\w-]*[\"']?\s*[=:]\s*[\"']?)[^\s&,;\"']+"
        ),
        rf"\1{HIDDEN}",
    ),
)
"""Forms that harmless texts have as well, job specs and traces among them."""


def redacted(text: str, *, strict: bool = False) -> str:
    """``text`` without tokens, passwords and signed parts of addresses.

    ``strict`` leaves out what may be one, too: for what stores say, and for addresses that people type.
    """
    for form, instead in (*_LIKELY, *_SURE) if strict else _SURE:
        text = form.sub(instead, text)
    return text


def shown(name: object) -> str:
    """A name, or a text of one line, as it can be printed: line breaks, escape sequences and bytes that are no text are
    written out (``\\n``, ``\\x1b``, ``\\xff``)."""
    text = str(name)
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    """``\\xff`` for a byte that is no text, as Python keeps it in names of files (PEP 383)."""
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else ascii(character)[1:-1]


def count(number: int, noun: str, plural: str | None = None) -> str:
    """``1 retry``, ``1,200 frames``: here, where all messages can have it."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def pip_install(wanted: str) -> str:
    """The command that brings a package, or an extra of this one (``[s3]``): here, where all messages can have it.

    Who runs a checkout installs from it, wherever the package comes from otherwise.
    """
    if not wanted.startswith("["):
        return f"`pip install {wanted}`"
    return f"`pip install '.{wanted}'` in {HOME}" if _is_checkout(HOME) else f"`pip install '{PACKAGE}{wanted}'`"


def _is_checkout(folder: Path) -> bool:
    """Whether the sources of this package lie there; beside installed packages may be a pyproject.toml of others."""
    try:
        told = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        return bool(told["project"]["name"] == PACKAGE)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def message_of(error: BaseException) -> str:
    """What an error says; one that is none of ours is a mistake in the program, and says so."""
    if isinstance(error, RenderError):
        return str(error)
    return redacted(f"a mistake in the program: {type(error).__name__}: {error}".rstrip(": "))
