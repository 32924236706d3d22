"""News about access: who may do something else than before, and which credentials ended."""

from dataclasses import dataclass, field
from uuid import UUID

from core.events import DomainEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessChanged(DomainEvent):
    """Published after a membership, a role, a user or a token has changed.

    Holders of long connections check their viewers again; caches forget what they knew.
    """

    user_ids: frozenset[UUID] = field(default_factory=frozenset)
    token_ids: frozenset[UUID] = field(default_factory=frozenset)
