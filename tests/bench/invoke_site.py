"""A site that only accepts: serves `invoke` on DATABASE_URL until SIGTERM, with no engine.

    DATABASE_URL=… python -m tests.bench.invoke_site

When it is ready it writes one JSON line: `port`, `token`, and `lanes`, each with the `path` and
`body` to post. The server is the product's own, with its own settings.
"""

import json
import os
import socket
import sys
import threading
import time

import uvicorn


def main() -> None:
    from agentry_site.serving import server_config
    from tests.bench.site import prepare

    workspace, agent = prepare("", {"tools": []})
    from governance.access import actor_of_user
    from governance.contracts import SYSTEM
    from governance.services.tokens import token_issue
    from governance.services.users import user_create

    name = f"bench-{os.getpid()}"  # the site may be started again on the same database
    user = user_create(SYSTEM, username=name, password="a-long-bench-pass-9", is_superuser=True)
    token = token_issue(actor_of_user(user), name="bench", workspace=workspace).secret
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(4096)
    port = listening.getsockname()[1]
    server = uvicorn.Server(server_config())

    def announce() -> None:
        while not server.started:
            time.sleep(0.02)
        base = f"/api/v1/workspaces/{workspace.name}"
        lanes = {
            "lean": {
                "path": f"{base}/agents/{agent}/invoke",
                "body": {"input": "Say hello."},
            },
            "drf": {
                "path": f"{base}/runs",
                "body": {"agent": agent, "input": "Say hello."},
            },
        }
        sys.stdout.write(json.dumps({"port": port, "token": token, "lanes": lanes}) + "\n")
        sys.stdout.flush()

    threading.Thread(target=announce, daemon=True).start()
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
