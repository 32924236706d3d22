"""Standing approvals, and who decides for whom."""

from datetime import datetime
from typing import Any

from agentry.client.records.base import Record


class GrantProposal(Record, frozen=True, kw_only=True):
    """The narrowest grant an approval could be given with; `refusal`: why you cannot give it.

    `unnamed` are arguments for which a test must be written by hand.
    """

    tool: str
    agent: str = ""
    requester: str = ""
    pattern: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    unnamed: tuple[str, ...] = ()
    facts: dict[str, str] = {}
    refusal: str = ""


class Grant(Record, frozen=True, kw_only=True):
    """A standing approval. `agent` or `requester` empty: of any agent, for anybody."""

    id: str
    tool: str
    state: str
    approval: str | None = None
    agent: str = ""
    requester: str = ""
    rule: str = ""
    pattern: dict[str, Any] | None = None
    facts: dict[str, str] = {}
    granted_by: str = ""
    reason: str | None = None
    surface: str = ""
    uses: int = 0
    uses_max: int | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str = ""
    ended_reason: str | None = None
    payload_hidden: bool = False


class GrantUse(Record, frozen=True, kw_only=True):
    """One call that a grant let go unasked."""

    id: str
    call: str
    run: str
    agent: str = ""
    requester: str = ""
    arguments_digest: str = ""
    at: datetime | None = None


class Delegation(Record, frozen=True, kw_only=True):
    """`delegate` decides for `delegator` while they are away."""

    id: str
    delegator: str
    delegate: str
    from_at: datetime | None = None
    until_at: datetime | None = None
    reason: str = ""
    created_at: datetime | None = None
    created_by: str = ""
    ended_at: datetime | None = None
    ended_by: str = ""
