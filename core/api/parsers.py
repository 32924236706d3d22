"""Strict JSON (RFC 8259 without its loopholes): what is accepted means one thing only.

Refused with a place: a body over the limit (413), invalid UTF-8, NaN and Infinity, numbers out of
range, a name twice in one object, nesting deeper than the limit, and text no database stores (NUL,
lone surrogates). The lean lane asks `decode_json` too, where a body could break one of these rules,
so both doors accept the same.
"""

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.http import UnreadablePostError
from rest_framework.parsers import BaseParser

from core.errors import InvalidInputError, PayloadTooLargeError

MAX_DEPTH = 64
_MAX_INTEGER_DIGITS = 400


class _RefusedError(ValueError):
    """A value inside the document is not acceptable."""


def max_body_bytes() -> int:
    """Return the largest accepted body."""
    return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 2_097_152)


def refuse_oversize(size_bytes: int, limit_bytes: int) -> None:
    """Raise PayloadTooLargeError when the body is larger than the limit."""
    if size_bytes > limit_bytes:
        raise PayloadTooLargeError(
            f"The body is larger than {limit_bytes} bytes.", remedy="Send less at once."
        )


def decode_json(body: bytes) -> Any:
    """Return the value of a JSON document.

    Raises:
        InvalidInputError: with the line and column, or the place inside the document.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _invalid(f"The body is not UTF-8 at byte {error.start}.") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_number,
        )
    except _RefusedError as error:
        raise _invalid(str(error)) from None
    except json.JSONDecodeError as error:
        raise _invalid(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    except RecursionError:
        raise _too_deep() from None
    _check(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _RefusedError(f"The name {_shown(name)} occurs twice in one object.")
            seen.add(name)
    return result


def _constant(name: str) -> Any:
    raise _RefusedError(f"{name} is not a JSON number.")


def _integer(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_DIGITS:
        raise _RefusedError(f"A number has {len(digits)} digits; that is out of range.")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _RefusedError(f"The number {digits[:40]} is out of range.")
    return value


def _check(document: Any) -> None:
    """Walk the value without recursion and refuse depth and text that cannot be stored."""
    stack: list[tuple[Any, str, int]] = [(document, "", 1)]
    while stack:
        value, place, depth = stack.pop()
        if isinstance(value, str):
            _check_text(value, place)
        elif isinstance(value, dict):
            if depth > MAX_DEPTH:
                raise _too_deep()
            for name, item in value.items():
                _check_text(name, f"{place}.{name}".strip("."))
                stack.append((item, f"{place}.{name}".strip("."), depth + 1))
        elif isinstance(value, list):
            if depth > MAX_DEPTH:
                raise _too_deep()
            for index, item in enumerate(value):
                stack.append((item, f"{place}.{index}".strip("."), depth + 1))


def _check_text(text: str, place: str) -> None:
    if "\x00" in text:
        raise _invalid(_at(place, "contains the character NUL (\\u0000)"), place)
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            sentence = _at(place, "contains half of a surrogate pair (\\ud800 to \\udfff)")
            raise _invalid(sentence, place) from None


def _at(place: str, what: str) -> str:
    return f"The text at {_shown(place) if place else 'the top'} {what}."


def _shown(text: str) -> str:
    return json.dumps(text[:80])


def _too_deep() -> InvalidInputError:
    return _invalid(f"The document is nested deeper than {MAX_DEPTH} levels.")


def _invalid(sentence: str, place: str = "") -> InvalidInputError:
    fields = {json.dumps(place)[1:-1]: [sentence]} if place else {}
    return InvalidInputError(sentence, remedy="Send one JSON document in UTF-8.", fields=fields)


class StrictJSONParser(BaseParser):
    """REST framework's door to `decode_json`."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit = max_body_bytes()
        request = (parser_context or {}).get("request")
        declared = str(getattr(request, "META", {}).get("CONTENT_LENGTH") or "0")
        if declared.isdecimal():
            refuse_oversize(int(declared), limit)
        try:
            body = stream.read(limit + 1)
        except OSError as error:
            raise UnreadablePostError(*error.args) from error
        refuse_oversize(len(body), limit)
        return decode_json(body)
