"""An agent on a vendor process, and a git repository in its run's workspace."""

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from agents.models import Run
from agents.services.workspaces import workspace_seed
from governance.models import Workspace
from tests.e2e.real_input.vendors import KEY, VendorProcess
from tests.factories.agents import make_agent, make_model, make_provider
from tests.integration.agents.execution.kit import begin, boss

VENDORS = ("openai", "anthropic", "gemini")
TOOLS = ["view", "ls", "grep", "edit", "write", "echo"]

CALC = "def add(a, b):\n    return a - b\n"
FIXED = "def add(a, b):\n    return a + b\n"


@contextmanager
def serving_text(text: str) -> Iterator[str]:
    """Serve `text` over HTTP while the block runs; yields host:port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text.encode()
            self.send_response(200)
            self.send_header("content-type", "text/plain; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def agent_on(
    vendor: VendorProcess,
    workspace: Workspace,
    tools: Sequence[str] = TOOLS,
    **provider: Any,
) -> None:
    """An agent `helper` whose model is served by `vendor`."""
    make_provider(
        workspace,
        "vendor",
        kind=vendor.kind,
        base_url=vendor.url,
        api_key=KEY,
        **{"max_retries": 0, "timeout_seconds": 5.0, **provider},
    )
    make_model(workspace, "m", provider="vendor", vendor_name="model-1")
    make_agent(workspace, "helper", model="m", tools=list(tools))


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)},
    )
    return done.stdout


def repository(folder: Path) -> Path:
    """A small repository with one commit and one defect."""
    folder.mkdir()
    (folder / "calc").mkdir()
    (folder / "calc" / "add.py").write_text(CALC)
    (folder / "README.md").write_text("# Calc\n\nAdds numbers.\n")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "First version")
    return folder


def seeded_run(workspace: Workspace, source: Path, text: str = "Mend add.") -> Run:
    """Start a run whose workspace holds a copy of `source` before any worker takes it."""
    run = begin(workspace, text)
    workspace_seed(actor=boss(), run_id=run.pk, source=source)
    return run


def calls(*wanted: tuple[str, dict[str, Any]], **answer: Any) -> dict[str, Any]:
    """An answer that calls tools."""
    made = [{"name": name, "arguments": arguments} for name, arguments in wanted]
    return {"tool_calls": made, **answer}
