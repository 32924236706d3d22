"""Cursor pages over one unique, ordered column: stable while rows come and go.

The cursor is opaque and needs no signature: it only says where to go on, and the queryset is scoped
again on every page. Ids are time-ordered, so a list by id is a list by time of birth.
"""

import base64
import binascii
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils.http import urlencode
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from core.errors import InvalidInputError

if TYPE_CHECKING:  # its module reads the settings that name this class
    from rest_framework.views import APIView

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_MAX_CURSOR_LENGTH = 400


def encode_cursor(order: str, value: object) -> str:
    raw = f"1|{order}|{value}".encode()
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def decode_cursor(text: str) -> tuple[str, str]:
    """Return (order, value).

    Raises:
        InvalidInputError: not a cursor of ours.
    """
    try:
        if len(text) > _MAX_CURSOR_LENGTH or not text.isascii():
            raise ValueError(text)
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        version, order, value = raw.decode("utf-8").split("|", 2)
    except (binascii.Error, ValueError):
        raise _bad_cursor() from None
    if version != "1" or "\x00" in value:
        raise _bad_cursor()
    return order, value


def _bad_cursor() -> InvalidInputError:
    return InvalidInputError(
        "The cursor is not one this list gave out.",
        remedy="Start without `cursor`, then follow `next`.",
        fields={"cursor": ["Not a valid cursor."]},
    )


def limit_of(text: str | None, *, default: int = DEFAULT_LIMIT) -> int:
    """Return the page size asked for: 1 to 200."""
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 6) or not (
        1 <= int(text) <= MAX_LIMIT
    ):
        sentence = f"limit is a whole number from 1 to {MAX_LIMIT}."
        raise InvalidInputError(sentence, fields={"limit": [sentence]})
    return int(text)


class CursorPagination(BasePagination):
    """Pages ordered by the view's `cursor_field` (default `-pk`; it must be unique)."""

    parameters = frozenset({"cursor", "limit"})

    def paginate_queryset(
        self, queryset: Any, request: Request, view: "APIView | None" = None
    ) -> list[Any]:
        self._request = request
        self._order = str(getattr(view, "cursor_field", "-pk"))
        field = self._order.removeprefix("-")
        self._field = queryset.model._meta.pk.attname if field == "pk" else field
        limit = limit_of(request.query_params.get("limit"))
        rows = queryset.order_by(self._order)
        cursor = request.query_params.get("cursor")
        if cursor is not None:
            comparison = "lt" if self._order.startswith("-") else "gt"
            value = self._value(queryset.model, cursor)
            rows = rows.filter(**{f"{self._field}__{comparison}": value})
        page = list(rows[: limit + 1])
        self._has_more = len(page) > limit
        self._last = page[limit - 1] if self._has_more else None
        return page[:limit]

    def _value(self, model: type[Model], cursor: str) -> object:
        order, text = decode_cursor(cursor)
        if order != self._order:
            raise _bad_cursor()
        column: Any = model._meta.get_field(self._field)
        try:
            value = column.to_python(text)
            column.get_prep_value(value)
        except (ValidationError, ValueError, TypeError, OverflowError):
            raise _bad_cursor() from None
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise _bad_cursor()
        return value

    def get_paginated_response(self, data: Any) -> Response:
        following = None
        address = None
        if self._last is not None:
            following = encode_cursor(self._order, getattr(self._last, self._field))
            query = self._request.query_params.copy()
            query["cursor"] = following
            pairs = sorted((key, value) for key, values in query.lists() for value in values)
            address = self._request.build_absolute_uri(f"{self._request.path}?{urlencode(pairs)}")
        return Response({"items": data, "next": address, "next_cursor": following})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["items", "next", "next_cursor"],
            "properties": {
                "items": schema,
                "next": {
                    "type": ["string", "null"],
                    "format": "uri",
                    "description": "Address of the next page; null on the last.",
                },
                "next_cursor": {"type": ["string", "null"]},
            },
        }

    def get_schema_operation_parameters(self, view: "APIView") -> list[dict[str, Any]]:
        return [
            {
                "name": "limit",
                "in": "query",
                "required": False,
                "description": "Most items on a page.",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MAX_LIMIT,
                    "default": DEFAULT_LIMIT,
                },
            },
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "description": "Where to go on: `next_cursor` of the page before.",
                "schema": {"type": "string"},
            },
        ]
