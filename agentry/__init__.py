"""What people install to talk to an Agentry server: `Client`, `AsyncClient` and the command line.

Everything is loaded on first use, so that `import agentry` costs next to nothing. Nothing here
knows Django or the server's packages; the only thing shared with the server is its REST contract.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentry.client.asynchronous import AsyncClient
    from agentry.client.errors import (
        AgentryError,
        ConfigurationError,
        Conflict,
        ConnectionFailed,
        Forbidden,
        InvalidRequest,
        NotAuthenticated,
        NotFound,
        RateLimited,
        ServerError,
        UnexpectedReply,
        WaitTimeout,
    )
    from agentry.client.records import (
        Agent,
        AgentVersion,
        Applied,
        Change,
        Checkpoint,
        Delta,
        Event,
        Me,
        Message,
        Model,
        Page,
        Provider,
        Run,
        Session,
        Token,
        Tool,
        ToolCall,
        Usage,
        Why,
    )
    from agentry.client.synchronous import Client

_HOMES = {
    "agentry.client.synchronous": ("Client",),
    "agentry.client.asynchronous": ("AsyncClient",),
    "agentry.client.errors": (
        "AgentryError",
        "ConfigurationError",
        "Conflict",
        "ConnectionFailed",
        "Forbidden",
        "InvalidRequest",
        "NotAuthenticated",
        "NotFound",
        "RateLimited",
        "ServerError",
        "UnexpectedReply",
        "WaitTimeout",
    ),
    "agentry.client.records": (
        "Agent",
        "AgentVersion",
        "Applied",
        "Change",
        "Checkpoint",
        "Delta",
        "Event",
        "Me",
        "Message",
        "Model",
        "Page",
        "Provider",
        "Run",
        "Session",
        "Token",
        "Tool",
        "ToolCall",
        "Usage",
        "Why",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Agent",
    "AgentVersion",
    "AgentryError",
    "Applied",
    "AsyncClient",
    "Change",
    "Checkpoint",
    "Client",
    "ConfigurationError",
    "Conflict",
    "ConnectionFailed",
    "Delta",
    "Event",
    "Forbidden",
    "InvalidRequest",
    "Me",
    "Message",
    "Model",
    "NotAuthenticated",
    "NotFound",
    "Page",
    "Provider",
    "RateLimited",
    "Run",
    "ServerError",
    "Session",
    "Token",
    "Tool",
    "ToolCall",
    "UnexpectedReply",
    "Usage",
    "WaitTimeout",
    "Why",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'agentry' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
