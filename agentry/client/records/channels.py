"""Where a workspace's news goes, and what became of each message."""

from datetime import datetime

from agentry.client.records.base import Record


class Channel(Record, frozen=True, kw_only=True):
    """`secret` is there once, in the answer to what made it; `identities`: usernames by member."""

    name: str
    kind: str
    id: str = ""
    url: str = ""
    addresses: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    acts_as: str | None = None
    identities: dict[str, str] = {}
    is_enabled: bool = True
    has_secret: bool = False
    secret: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Delivery(Record, frozen=True, kw_only=True):
    """One message on its way. `due_at`: when it is tried next, while it is pending."""

    id: str
    channel: str
    event: str = ""
    recipient: str = ""
    state: str = ""
    attempts: int = 0
    due_at: datetime | None = None
    last_error: str = ""
    created_at: datetime | None = None
    settled_at: datetime | None = None
