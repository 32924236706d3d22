"""What can go wrong between a program and an Agentry server.

AgentryError            code, sentence, remedy, status; the base of all below
  ConfigurationError    no server or credential is known; says where one may be given
  InvalidRequest        the server refuses the content (400, 413, 415, 422); `fields` says where
  NotAuthenticated      no token, or one that is wrong, expired or revoked (401)
  Forbidden             a good token that may not do this (403)
  NotFound              no such thing, or not visible to this token (404)
  Conflict              contradicts something stored, or somebody was first: `winner` (409, 412)
  RateLimited           too much, too fast: `retry_after_seconds` (429)
  ServerError           the server failed (5xx); `retry_after_seconds` when it says so
  UnexpectedReply       something answered that does not speak this contract
  ConnectionFailed      no answer: refused, cut, timed out, name unknown, bad certificate
  WaitTimeout           the run is not finished within the time the caller allowed
"""

from collections.abc import Mapping, Sequence
from typing import Any


class AgentryError(Exception):
    """An expected failure: what happened and what to do next.

    `code` is stable; branch on it or on the class, never on the sentence. `problem` is the
    server's whole problem document (RFC 9457), empty when there was none.
    """

    code = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        remedy: str = "",
        status: int | None = None,
        problem: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.remedy = remedy
        self.status = status
        self.problem = dict(problem or {})

    def __str__(self) -> str:
        parts = (self.message, self._told_by_field(), self.remedy)
        return " ".join(part for part in parts if part)

    def _told_by_field(self) -> str:
        """`(place: sentence; …)` of what the message does not say already."""
        told = "; ".join(
            f"{place}: {sentence}" if place else sentence
            for place, sentences in self.fields.items()
            for sentence in sentences
            if sentence not in self.message
        )
        return f"({told})" if told else ""

    @property
    def fields(self) -> dict[str, list[str]]:
        """Place in the request → sentences, from the problem's `errors`."""
        return _fields(self.problem.get("errors"))


class ConfigurationError(AgentryError):
    code = "configuration"


class InvalidRequest(AgentryError):  # noqa: N818  read at `except agentry.InvalidRequest`
    code = "invalid_input"


class NotAuthenticated(AgentryError):  # noqa: N818  read at `except agentry.NotAuthenticated`
    code = "not_authenticated"


class Forbidden(AgentryError):  # noqa: N818  read at `except agentry.Forbidden`
    code = "permission_denied"


class NotFound(AgentryError):  # noqa: N818  read at `except agentry.NotFound`
    code = "not_found"


class Conflict(AgentryError):  # noqa: N818  read at `except agentry.Conflict`
    code = "conflict"

    @property
    def winner(self) -> str:
        """Who or what was first; empty when the server does not say."""
        context = self.problem.get("context")
        facts = context if isinstance(context, Mapping) else {}
        return str(next((facts[key] for key in _WINNER_NAMES if facts.get(key)), ""))


class RateLimited(AgentryError):  # noqa: N818  read at `except agentry.RateLimited`
    code = "limit_exceeded"
    retry_after_seconds: float | None = None


class ServerError(AgentryError):
    code = "server_error"
    retry_after_seconds: float | None = None


class UnexpectedReply(AgentryError):  # noqa: N818  read at `except agentry.UnexpectedReply`
    code = "unexpected_reply"


class ConnectionFailed(AgentryError):  # noqa: N818  read at `except agentry.ConnectionFailed`
    code = "connection_failed"


class WaitTimeout(AgentryError):  # noqa: N818  read at `except agentry.WaitTimeout`
    code = "wait_timeout"


_WINNER_NAMES = ("winner", "by", "state")
_CLASS_OF_STATUS: dict[int, type[AgentryError]] = {
    401: NotAuthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    429: RateLimited,
}


def from_problem(
    status: int, problem: Mapping[str, Any], *, retry_after_seconds: float | None = None
) -> AgentryError:
    """The error that a reply with this status and problem document stands for."""
    kind = _CLASS_OF_STATUS.get(status, ServerError if status >= 500 else InvalidRequest)
    detail = problem.get("detail") or problem.get("title") or f"The server answered {status}."
    error = kind(
        str(detail),
        code=str(problem.get("code") or ""),
        remedy=str(problem.get("remedy") or _remedy(status)),
        status=status,
        problem=problem,
    )
    if isinstance(error, RateLimited | ServerError):
        error.retry_after_seconds = retry_after_seconds
    return error


def _remedy(status: int) -> str:
    return {401: "Sign in with `agentry login`, or set AGENTRY_TOKEN."}.get(status, "")


def _fields(errors: object) -> dict[str, list[str]]:
    """Both customary shapes: {field: [sentence]} and [{field|path|pointer|loc, message|detail}]."""
    if isinstance(errors, Mapping):
        return {str(place): _sentences(told) for place, told in errors.items()}
    found: dict[str, list[str]] = {}
    if isinstance(errors, Sequence) and not isinstance(errors, str | bytes):
        for entry in errors:
            if not isinstance(entry, Mapping):
                found.setdefault("", []).append(str(entry))
                continue
            place = next((entry[key] for key in _PLACE_NAMES if entry.get(key)), "")
            if isinstance(place, Sequence) and not isinstance(place, str):
                place = ".".join(str(part) for part in place)
            told = next((entry[key] for key in _TOLD_NAMES if entry.get(key)), entry)
            found.setdefault(str(place), []).append(str(told))
    return found


_PLACE_NAMES = ("path", "field", "pointer", "loc")
_TOLD_NAMES = ("message", "detail", "msg")


def _sentences(told: object) -> list[str]:
    if isinstance(told, Sequence) and not isinstance(told, str):
        return [str(each) for each in told]
    return [str(told)]
