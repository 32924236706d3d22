"""What a workspace defines: agents, providers, models, tools and secrets; and conversations."""

from datetime import datetime
from typing import Any

from agentry.client.records.base import Record


class AgentVersion(Record, frozen=True, kw_only=True):
    number: int
    state: str = ""
    spec: dict[str, Any] = {}
    digest: str = ""
    note: str = ""
    created_at: datetime | None = None
    published_at: datetime | None = None


class Agent(Record, frozen=True, kw_only=True):
    name: str
    id: str = ""
    description: str = ""
    published: int | None = None
    draft: int | None = None
    is_enabled: bool = True
    spec: dict[str, Any] | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Session(Record, frozen=True, kw_only=True):
    id: str
    agent: str = ""
    title: str = ""
    strategy: str = ""
    created_at: datetime | None = None


class Provider(Record, frozen=True, kw_only=True):
    """Where completions come from. The key is never returned, only whether there is one."""

    name: str
    kind: str = ""
    base_url: str = ""
    has_key: bool = False
    is_enabled: bool = True
    max_concurrency: int | None = None
    max_retries: int | None = None
    timeout_seconds: float | None = None


class Model(Record, frozen=True, kw_only=True):
    name: str
    provider: str = ""
    vendor_name: str = ""
    options: dict[str, Any] = {}
    fallback: str | None = None
    is_enabled: bool = True


class Tool(Record, frozen=True, kw_only=True):
    name: str
    description: str = ""
    effect: str = ""
    input_schema: dict[str, Any] = {}
    is_builtin: bool = False
    is_privileged: bool = False
    is_enabled: bool = True
    kind: str = ""
    engine: str = ""
    is_sandboxed: bool = False
    is_unprotected: bool = False


class Secret(Record, frozen=True, kw_only=True):
    """What may be known of a secret: everything but its value."""

    name: str
    description: str = ""
    version: int = 1
    created_at: datetime | None = None
    updated_at: datetime | None = None
    updated_by: str | None = None
    used_at: datetime | None = None
