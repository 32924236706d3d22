"""What applying documents did, or would do."""

from agentry.client.records.base import Difference, Record


class Change(Record, frozen=True, kw_only=True):
    """What applying a document did, or would do: create, update or unchanged."""

    kind: str
    name: str
    action: str
    diff: tuple[Difference, ...] = ()


class Applied(Record, frozen=True, kw_only=True):
    changes: tuple[Change, ...] = ()
