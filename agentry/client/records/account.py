"""Who one is, and with which credential."""

from datetime import datetime

from agentry.client.records.base import Record


class Token(Record, frozen=True, kw_only=True):
    """A credential of a program. `secret` is there once, in the answer that creates it."""

    id: str
    name: str = ""
    prefix: str = ""
    workspace: str | None = None
    scopes: tuple[str, ...] | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    secret: str | None = None


class User(Record, frozen=True, kw_only=True):
    id: str
    username: str
    is_superuser: bool = False


class WorkspaceAccess(Record, frozen=True, kw_only=True):
    name: str
    title: str = ""
    permissions: tuple[str, ...] = ()


class Me(Record, frozen=True, kw_only=True):
    user: User
    token: Token | None = None
    workspaces: tuple[WorkspaceAccess, ...] = ()
