"""How this site is served: one place for the server's settings, for every command that serves."""

from typing import Any

import uvicorn


def server_config(**overrides: Any) -> uvicorn.Config:
    """Return the configuration of one server process on the lean protocol.

    Loads the site. Frames of live views are coalesced already, so compressing them again for each
    viewer would only cost.
    """
    from agentry_site.asgi import application
    from agentry_site.protocol import LeanProtocol
    from agents.lane.quick import QuickLane
    from core.process import tune_garbage_collection

    LeanProtocol.lane = QuickLane(application.lane)
    tune_garbage_collection()
    return uvicorn.Config(
        application,
        **{
            "http": LeanProtocol,
            "lifespan": "on",
            "log_config": None,
            "access_log": False,
            "backlog": 4096,
            "timeout_keep_alive": 75,
            "ws_per_message_deflate": False,
            # Viewers send pings; what is larger is refused before it is taken in.
            "ws_max_size": 64 * 1024,
            "server_header": False,
            **overrides,
        },
    )
