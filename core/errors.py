"""Errors a person can act on.

    DomainError                 code, sentence, remedy; the base of all below
      InvalidInputError         the request is wrong; says where (`fields`)
      NotFoundError             no such thing, or not visible to this actor
      PermissionDeniedError     known actor, not allowed
      NotAuthenticatedError     no valid credential
      StaleStateError           somebody else was first; says who or what won
        LeaseLostError          a worker no longer owns the run; stop quietly
      ConflictError             the request contradicts something stored
      LimitExceededError        too large, too many, too fast; may carry retry_after_seconds
      UnavailableError          a needed part is not reachable; retry later

Interfaces turn these into problem documents (RFC 9457), sentences and exit codes; nothing else
maps errors. Each app adds subclasses in its own `errors` module.
"""

from collections.abc import Mapping


class DomainError(Exception):
    """An expected failure: what happened (`message`) and what to do next (`remedy`).

    `code` is stable across releases; clients branch on it and never on the sentence.
    """

    code = "error"
    status = 400

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        fields: Mapping[str, list[str]] | None = None,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.fields = dict(fields or {})
        self.detail = dict(detail or {})

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class InvalidInputError(DomainError):
    code = "invalid_input"
    status = 400


class NotFoundError(DomainError):
    code = "not_found"
    status = 404


class NotAuthenticatedError(DomainError):
    code = "not_authenticated"
    status = 401


class PermissionDeniedError(DomainError):
    code = "permission_denied"
    status = 403


class ConflictError(DomainError):
    code = "conflict"
    status = 409


class StaleStateError(ConflictError):
    code = "stale_state"


class LeaseLostError(StaleStateError):
    code = "lease_lost"


class LimitExceededError(DomainError):
    code = "limit_exceeded"
    status = 429

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, remedy: str = ""
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_seconds = retry_after_seconds


class PayloadTooLargeError(DomainError):
    code = "payload_too_large"
    status = 413


class UnavailableError(DomainError):
    code = "unavailable"
    status = 503
