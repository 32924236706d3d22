"""Replayed answers: a request sent twice under one Idempotency-Key has one effect and one answer.

The first request claims the key, then works, and stores its answer in the transaction that holds
its effect; so a process that dies in between has changed nothing, and its claim may be taken over
when it is old enough. A failed request changes nothing and frees the key. Streams are not stored.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from django.db import transaction
from django.http import HttpResponseBase
from django.utils.crypto import salted_hmac
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from core.errors import ConflictError, InvalidInputError

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
MAX_KEY_LENGTH = 255
IN_FLIGHT_SECONDS = 60
KEPT_SECONDS = 24 * 3600
_KEPT_HEADERS = ("ETag", "Location")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to work under a key; lost when somebody else took the key over."""

    record_id: UUID
    claim_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)


class IdempotencyStore(Protocol):
    """Where claims and answers are kept; shared by all processes."""

    def claim(self, *, principal: str, key: str, fingerprint: str) -> Claim | StoredAnswer:
        """Claim the key or return the answer stored under it.

        Raises:
            KeyReusedError: the key belongs to another request.
            KeyInFlightError: the same request is being worked on.
        """
        ...

    def settle(self, claim: Claim, answer: StoredAnswer) -> None:
        """Store the answer; raises StaleStateError when the claim was lost, to roll back."""
        ...

    def release(self, claim: Claim) -> None:
        """Free the key after a request that changed nothing."""
        ...


class KeyReusedError(ConflictError):
    """The Idempotency-Key was used for a different request.

    Use a new key for a new request.
    """

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for a different request.",
            remedy="Use a new key for a new request.",
        )


class KeyInFlightError(ConflictError):
    """A request with this Idempotency-Key is still being worked on.

    Send it again a little later.
    """

    code = "idempotency_key_in_flight"

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__(
            "A request with this Idempotency-Key is still being worked on.",
            remedy="Send it again a little later.",
        )
        self.retry_after_seconds = retry_after_seconds


def key_of(value: str | None) -> str | None:
    """Return the checked key, or None when there is none.

    Raises:
        InvalidInputError: empty, too long, or not visible ASCII.
    """
    if value is None:
        return None
    key = value.strip().strip('"')
    if not key or len(key) > MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        sentence = f"{HEADER} takes 1 to {MAX_KEY_LENGTH} visible ASCII characters."
        raise InvalidInputError(sentence, fields={HEADER: [sentence]})
    return key


def fingerprint(*, method: str, path: str, body: bytes) -> str:
    """Return what tells one request from another; `path` includes the query.

    Keyed with the site's secret, because a body may hold a password.
    """
    place = f"{method}\x00{path}\x00".encode("utf-8", "surrogateescape")
    return salted_hmac("agentry.idempotency", place + body, algorithm="sha256").hexdigest()


def answer_once(
    store: IdempotencyStore,
    *,
    principal: str,
    request: Request,
    work: Callable[[], HttpResponseBase],
) -> HttpResponseBase:
    """Run `work` in a transaction, once for all requests with this key.

    Without a key it is only the transaction. Call it before anything has read the body.
    """
    key = key_of(request.headers.get(HEADER))
    if key is None:
        with transaction.atomic():
            return work()
    print_ = fingerprint(
        method=str(request.method), path=request.get_full_path(), body=request.body
    )
    claim = store.claim(principal=principal, key=key, fingerprint=print_)
    if isinstance(claim, StoredAnswer):
        return _replay(claim)
    try:
        with transaction.atomic():
            response = work()
            answer = _storable(response)
            if answer is not None:
                store.settle(claim, answer)
    except BaseException:
        store.release(claim)
        raise
    if answer is None:
        store.release(claim)
    return response


def _storable(response: HttpResponseBase) -> StoredAnswer | None:
    if not isinstance(response, Response) or response.status_code >= 400:
        return None
    body = "" if response.data is None else JSONRenderer().render(response.data).decode("utf-8")
    kept = {name: response[name] for name in _KEPT_HEADERS if response.has_header(name)}
    return StoredAnswer(status=response.status_code, body=body, headers=kept)


def _replay(answer: StoredAnswer) -> Response:
    data: Any = json.loads(answer.body) if answer.body else None
    return Response(data, status=answer.status, headers={**answer.headers, REPLAYED_HEADER: "true"})
