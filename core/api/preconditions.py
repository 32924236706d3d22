"""Conditional requests (RFC 9110, section 13): entity tags, If-Match and If-None-Match."""

import hashlib
import json
from typing import Any

from django.http.request import HttpHeaders
from rest_framework.utils.encoders import JSONEncoder

from core.errors import ConflictError


class PreconditionFailedError(ConflictError):
    """The resource is no longer what the caller last saw.

    Read it again, apply your change to what you find, and send the new ETag.
    """

    code = "precondition_failed"
    status = 412


def etag_of(representation: Any) -> str:
    """Return a strong entity tag of what is sent, quoted."""
    text = json.dumps(representation, cls=JSONEncoder, sort_keys=True, separators=(",", ":"))
    return f'"{hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]}"'


def require_match(headers: HttpHeaders, etag: str) -> None:
    """Raise PreconditionFailedError when If-Match names something else than `etag`.

    Call it with the row locked, before the change. Without the header everything matches.
    """
    wanted = headers.get("If-Match")
    if wanted is None or wanted.strip() == "*" or etag in _tags(wanted, weak=False):
        return
    raise PreconditionFailedError(
        "The resource has changed since it was read.",
        remedy="Read it again and repeat the change with its new ETag.",
        detail={"etag": etag},
    )


def is_unchanged(headers: HttpHeaders, etag: str) -> bool:
    """Say whether If-None-Match already names `etag`, so that 304 is the answer to a read."""
    known = headers.get("If-None-Match")
    if known is None:
        return False
    return known.strip() == "*" or etag in _tags(known, weak=True)


def _tags(header: str, *, weak: bool) -> set[str]:
    tags = {tag.strip() for tag in header.split(",")}
    return {tag.removeprefix("W/") for tag in tags} if weak else tags
