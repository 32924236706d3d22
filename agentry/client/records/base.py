"""What every answer of the server shares: a frozen record, a page of a list, a difference.

Fields a newer server adds are ignored; fields an older one leaves out have a default. Times are
aware datetimes, money is Decimal dollars.
"""

from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything the server returns. Where `payload_hidden` is true, what a run is about
    (inputs, outputs, arguments, sentences that may quote them) is None: the token may not see it.
    """


class Page(Record, Generic[T], frozen=True, kw_only=True):
    """One page of a list; `next_cursor` is None on the last."""

    items: tuple[T, ...] = ()
    next_cursor: str | None = None


class Difference(Record, frozen=True, kw_only=True):
    """One place in which two documents differ."""

    path: str
    before: Any = None
    after: Any = None
