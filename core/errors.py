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
    """The request is wrong; `fields` or `errors` says where.

    Mend the named places and send it again.
    """

    code = "invalid_input"
    status = 400


class NotFoundError(DomainError):
    """There is no such thing, or this actor may not see it.

    Check the name and the workspace; list what there is.
    """

    code = "not_found"
    status = 404


class NotAuthenticatedError(DomainError):
    """The request carries no valid credential.

    Sign in, or send `Authorization: Bearer agk_…`.
    """

    code = "not_authenticated"
    status = 401


class PermissionDeniedError(DomainError):
    """The actor is known and is not allowed to do this.

    Ask an admin of the workspace for a role that has the permission named in the sentence.
    """

    code = "permission_denied"
    status = 403


class ConflictError(DomainError):
    """The request contradicts something that is stored.

    Read the thing again and decide anew.
    """

    code = "conflict"
    status = 409


class StaleStateError(ConflictError):
    """Somebody else was first; the detail names who or what won.

    Look at it again before you decide.
    """

    code = "stale_state"


class LeaseLostError(StaleStateError):
    """A worker wrote for a run it no longer owns; nothing was written.

    Nothing: the run goes on under its new owner.
    """

    code = "lease_lost"


class LimitExceededError(DomainError):
    """Too many, too much or too fast.

    Wait as long as Retry-After says, or ask for less.
    """

    code = "limit_exceeded"
    status = 429

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, remedy: str = ""
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_seconds = retry_after_seconds


class BodyTooSlowError(DomainError):
    """The body did not arrive in time; nothing was done.

    Send the request again, over a better connection or with less in it.
    """

    code = "body_too_slow"
    status = 408


class PayloadTooLargeError(DomainError):
    """The body is larger than the site accepts.

    Put large material into a file of the run's workspace, or raise AGENTRY_MAX_BODY_BYTES.
    """

    code = "payload_too_large"
    status = 413


class UnavailableError(DomainError):
    """A part that is needed cannot be reached or is full.

    Send the request again after Retry-After, with the same Idempotency-Key.
    """

    code = "unavailable"
    status = 503
    retry_after_seconds = 2.0
