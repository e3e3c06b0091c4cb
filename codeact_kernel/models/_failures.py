"""Owns what a failed request means: whether to ask again, how long to wait, what to tell the user."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from random import random

import anthropic
import httpx2

from codeact_kernel.exceptions import CredentialsError, ModelError

from ._received import Broken

FAILURES: tuple[type[Exception], ...] = (
    Broken,
    anthropic.AnthropicError,
    # Once a stream has begun, the SDK lets these through as they are.
    httpx2.HTTPError,
    httpx2.StreamError,
    json.JSONDecodeError,
    UnicodeDecodeError,
    RecursionError,
)
"""Everything that a request can fail with, on purpose or not, apart from cancellation."""

MAX_WAIT = 300.0
"""Seconds. Who is asked to wait longer than this had better come back later."""

_PERMANENT = {"invalid_request_error", "billing_error", "request_too_large"}
_REFUSED = {"authentication_error", "permission_error"}


@dataclass(frozen=True)
class Failure:
    """`reason`: what happened. `advice`: what to do. `after`: seconds the endpoint asks to wait."""

    reason: str
    advice: str = "Try again later."
    retry: bool = True
    after: float | None = None
    error: type[ModelError] = ModelError


def judge(problem: Exception, model: str, host: str) -> Failure:
    """What `problem`, one of FAILURES, means for a request to `model` at `host`."""
    match problem:
        case anthropic.APIStatusError():
            return _status(problem, model, host)
        case anthropic.APITimeoutError():
            return Failure(f"{host} did not answer in time")
        case anthropic.APIConnectionError():
            why = problem.__cause__ or problem
            return Failure(f"{host} cannot be reached ({why})", "Check that it is running and reachable.")
        case anthropic.CredentialsError():
            return Failure(
                f"no credentials for {host} ({problem})",
                "Set ANTHROPIC_API_KEY.",
                False,
                error=CredentialsError,
            )
        case Broken():
            return Failure(f"{host} sent a broken reply: {problem}", f"Check that {host} speaks this API.")
        case json.JSONDecodeError() | UnicodeDecodeError() | RecursionError():
            return Failure(f"{host} sent a corrupt stream", f"Check that {host} speaks this API.")
        case httpx2.HTTPError() | httpx2.StreamError():
            return Failure(f"the connection to {host} broke ({type(problem).__name__})")
        case _:
            return Failure(f"the request to {host} failed: {problem}", "Check the request.", retry=False)


def backoff(attempt: int, after: float | None) -> float:
    """Seconds to wait after the failed `attempt` (from 1): as asked, else doubling with jitter."""
    if after is not None:
        return after
    return float(min(0.5 * 2 ** (attempt - 1), 8.0)) * (1 - 0.25 * random())


def _status(problem: anthropic.APIStatusError, model: str, host: str) -> Failure:
    """An error status, or an error event in a stream that had begun well: that one has status 200."""
    code, kind = problem.status_code, problem.type or ""
    said = (problem.api_message or problem.message)[:500]
    what = f"HTTP {code}" if code != 200 else kind or "error"
    if code in {401, 403} or kind in _REFUSED:
        advice = f"Check ANTHROPIC_API_KEY, and that it may use the model {model!r}."
        return Failure(
            f"{host} refused the key ({what}: {said})", advice, retry=False, error=CredentialsError
        )
    if code == 404 or kind == "not_found_error":
        return Failure(f"{host} has no model {model!r} ({what}: {said})", "Check its name.", retry=False)
    reason = f"{host} answered {what}: {said}"
    after = _retry_after(problem.response.headers)
    if not _is_temporary(problem):
        return Failure(reason, "The request cannot succeed as it is.", retry=False)
    if after is not None and after > MAX_WAIT:
        return Failure(reason, f"It asks to wait {after:.0f} s. Try again later.", retry=False)
    return Failure(reason, retry=True, after=after)


def _is_temporary(problem: anthropic.APIStatusError) -> bool:
    """The policy of the SDK, which does not apply it to streams that have begun."""
    asked = problem.response.headers.get("x-should-retry")
    if asked in {"true", "false"}:
        return bool(asked == "true")
    code = problem.status_code
    return code in {408, 409, 429} or code >= 500 or (code == 200 and problem.type not in _PERMANENT)


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds, from `retry-after-ms` or `retry-after` (seconds or a date); None when there is none."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        return seconds if 0 <= seconds < float("inf") else None
    date = parsedate_tz(headers.get("retry-after", ""))
    return max(0.0, mktime_tz(date) - time.time()) if date else None
