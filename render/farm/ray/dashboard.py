"""The dashboard on the head of a Ray cluster: its address, the client of its job API, what goes wrong on the way.

Every failure is an error of one line. Knows no job specs.
"""

import contextlib
import logging
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from render.errors import FarmError, SpecError, pip_install

__all__ = ["check_answers", "client_of", "dashboard_errors", "url_of"]

ANSWER_TIMEOUT_S = 15.0  # a dashboard that is there answers at once
ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")  # Ray lets them win over the address it is given


def url_of(address: str) -> str:
    """The URL of a dashboard, ``http://`` if it says nothing else. Raises SpecError for what can be none."""
    url = address.rstrip("/") if "://" in address else f"http://{address.rstrip('/')}"
    if not re.fullmatch(r"https?://[^\s/@]+(/[^\s@]*)?", url):
        raise SpecError(
            f"--address {address}: jobs are submitted to the dashboard; write http://HEAD:8265, without a password"
        )
    return url


def check_answers(url: str) -> None:
    """Raises FarmError where nobody answers in time: Ray's own client would wait for minutes."""
    try:
        urllib.request.urlopen(f"{url}/api/version", timeout=ANSWER_TIMEOUT_S).close()  # noqa: S310 - http(s), by url_of
    except urllib.error.HTTPError as error:  # somebody is there; 401 and 403 are for the client to explain
        with error:
            if error.code in (401, 403):
                return
            raise FarmError(f"what answers at {url} is no Ray dashboard (HTTP status {error.code})") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise FarmError(
            f"no Ray dashboard answers at {url} ({getattr(reason, 'strerror', None) or reason}); is the cluster up, "
            "started with `ray start --head --dashboard-host=…`, and `ray[default]` installed on its head?"
        ) from None


def client_of(url: str) -> Any:
    """Ray's client of the job server at ``url``, whatever the environment names."""
    from ray.job_submission import JobSubmissionClient

    for handler in logging.getLogger("ray").handlers:  # it logs every upload and every connection that ends
        handler.setLevel(logging.ERROR)
    kept = {name: os.environ.pop(name) for name in ADDRESS_VARIABLES if name in os.environ}
    try:
        return JobSubmissionClient(url)
    except RuntimeError as error:
        if "ray[default]" in str(error):
            raise FarmError(f"the client of Ray's job API is not installed here: {pip_install('[cluster]')}") from None
        raise
    finally:
        os.environ.update(kept)


@contextlib.contextmanager
def dashboard_errors(address: str, job: str | None = None) -> Iterator[None]:
    """What can go wrong between here and the cluster, as an error of one line."""
    try:
        from ray.exceptions import AuthenticationError
    except ImportError as error:
        raise FarmError(f"Ray is not installed here ({error}); {pip_install('[cluster]')}") from None
    try:
        yield
    except AuthenticationError as error:
        refused = "refuses this token" if "invalid" in error.message else "asks for a token"
        raise FarmError(
            f"the cluster at {address} {refused}: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a file with the "
            "cluster's token (default: ~/.ray/auth_token)"
        ) from None
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        if job is not None and "does not exist" in str(error):
            raise FarmError(
                f"the cluster at {address} knows no job {job!r}; `ray job list --address {address}` names them"
            ) from None
        reason = lines[0][:300] if lines else type(error).__name__
        raise FarmError(f"the cluster at {address} does not do it: {reason}") from None
