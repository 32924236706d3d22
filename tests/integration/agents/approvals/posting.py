"""Channels of a workspace, and a server that they post to."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook

from governance.contracts import Actor
from governance.models import Approval, Channel, Delivery, Workspace
from governance.services.channels import channel_create
from tests.integration.agents.approvals.kit import (
    ASK,
    parked,
    paying,
    publish,
)
from tests.integration.agents.execution.kit import Engine
from tests.waiting import wait_for

BASE = "/api/v1/workspaces/acme"
SLACK_SECRET = "a signing secret of slack"


class Receiver:
    """An HTTP server that keeps what it is sent and answers as told."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.seen.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def documents(self, secret: str) -> list[dict[str, Any]]:
        return [Webhook(secret).verify(body, headers) for headers, body in self.seen]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


def webhook(admin: Actor, workspace: Workspace, receiver: Receiver, **fields: Any) -> Any:
    made = channel_create(
        admin,
        workspace=workspace,
        name="hook",
        kind="webhook",
        url=f"http://{receiver.place}/in",
        **fields,
    )
    assert made.secret.startswith("whsec_")
    return made


def slack(admin: Actor, workspace: Workspace, receiver: Receiver, **identities: str) -> Channel:
    return channel_create(
        admin,
        workspace=workspace,
        name="slack",
        kind="slack",
        url=f"http://{receiver.place}/slack",
        secret=SLACK_SECRET,
        identities=identities,
    ).channel


def asked(engine: Engine, workspace: Workspace, **ask: Any) -> tuple[Any, Approval]:
    publish(workspace, pay={**ASK, **ask})
    run = paying(workspace)
    (approval,) = parked(engine, run)
    wait_for(
        lambda: (
            Delivery.objects.filter(event="approval.asked").exists() or not Channel.objects.exists()
        ),
        lambda: "nobody wrote the messages",
    )
    return run, approval
