"""How long after a decision its call begins, for each surface that can decide.

    python -m tests.bench.waking [RUNS]

A real site (`tests.e2e.client.server`: SQLite, the engine embedded) with a policy that asks about
`echo`. Each surface approves RUNS questions as its users do: REST, the command line in a process of
its own, the console's form with a session, a signed webhook, a button in Slack. Milliseconds from
the decision to the dispatch of the call as the server has recorded them, and from before the
request to the dispatch, are printed as one line of JSON for each surface.
"""

import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from http.cookiejar import CookieJar
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener

from standardwebhooks import Webhook

from core import clock
from tests.e2e.client.server import ROOT, SiteProcess

RUNS = 10
PATIENCE_SECONDS = 30.0
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"  # made up
WORKSPACE = "demo"
POLICY = {"source": "rules: [{tools: [echo], effect: ask, allow_self: true}]"}
TEAM = """
apiVersion: agentry/v1
kind: Provider
metadata: {name: asked}
spec:
  kind: scripted
  script: 'steps: [{tool_calls: [{name: echo, arguments: {text: hello}}]}, {text: Done.}]'
---
apiVersion: agentry/v1
kind: Model
metadata: {name: asked}
spec: {provider: asked, vendor_name: asked}
---
apiVersion: agentry/v1
kind: Agent
metadata: {name: asked}
spec: {model: asked, prompt: Echo., tools: [echo]}
"""

# Says yes to one question; given the site and the question.
Decide = Callable[["Site", dict[str, Any]], None]


class Site:
    """What the surfaces need of a running site."""

    def __init__(self, url: str, token: str, folder: Path) -> None:
        self.url, self.token, self.folder = url, token, folder
        self.browser = build_opener(HTTPCookieProcessor(CookieJar()))
        self.secret = ""  # of the webhook

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Call REST below the workspace, or at an absolute path; returns the JSON."""
        place = path if path.startswith("/") else f"/api/v1/workspaces/{WORKSPACE}/{path}"
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        return json.loads(self.send(method, place, data, headers) or b"null")

    def send(self, method: str, place: str, data: bytes | None, headers: dict[str, str]) -> bytes:
        request = Request(self.url + place, data=data, headers=headers, method=method)  # loopback
        with self.browser.open(request, timeout=PATIENCE_SECONDS) as answer:
            content: bytes = answer.read()
        return content

    def program(self, *words: str) -> None:
        """Run the command line against the site."""
        environment = {
            **os.environ,
            "AGENTRY_URL": self.url,
            "AGENTRY_TOKEN": self.token,
            "AGENTRY_WORKSPACE": WORKSPACE,
            "XDG_CONFIG_HOME": str(self.folder / "config"),
        }
        subprocess.run(
            [str(Path(sys.executable).parent / "agentry"), *words],
            env=environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def form(self, place: str, **fields: str) -> None:
        """Send the form of a page, with the token the page has for it."""
        page = self.send("GET", place, None, {}).decode()
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        sent = urlencode({**fields, "csrfmiddlewaretoken": found[1] if found else ""}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Referer": self.url + place}
        self.send("POST", place, sent, headers)


def by_rest(site: Site, question: dict[str, Any]) -> None:
    site.ask("POST", f"approvals/{question['id']}/decide", {"verdict": "approve"})


def by_command(site: Site, question: dict[str, Any]) -> None:
    site.program("approvals", "approve", question["id"])


def by_console(site: Site, question: dict[str, Any]) -> None:
    place = f"/admin/governance/approval/{question['id']}/decide/"
    site.form(place, seen=question["binding_digest"], verdict="approve")


def by_webhook(site: Site, question: dict[str, Any]) -> None:
    at = clock.now()
    told = {
        "approval": question["id"],
        "binding_digest": question["binding_digest"],
        "verdict": "approve",
    }
    body = json.dumps(told)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": question["id"],
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(site.secret).sign(question["id"], at, body),
    }
    place = f"/api/v1/workspaces/{WORKSPACE}/channels/hook/decisions"
    site.send("POST", place, body.encode(), headers)


def by_slack(site: Site, question: dict[str, Any]) -> None:
    button = {"action_id": "approve", "value": f"{question['id']} {question['binding_digest']}"}
    payload = {"type": "block_actions", "user": {"id": "U1"}, "actions": [button]}
    body = urlencode({"payload": json.dumps(payload)})
    at = str(int(time.time()))
    signed = hmac.new(SLACK_SECRET.encode(), f"v0:{at}:{body}".encode(), hashlib.sha256)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "x-slack-request-timestamp": at,
        "x-slack-signature": f"v0={signed.hexdigest()}",
    }
    place = f"/api/v1/workspaces/{WORKSPACE}/channels/slack/slack"
    site.send("POST", place, body.encode(), headers)


SURFACES: dict[str, Decide] = {
    "rest": by_rest,
    "command line": by_command,
    "console": by_console,
    "webhook": by_webhook,
    "slack": by_slack,
}


def prepare(site: Site) -> None:
    """Make the team, the policy, the channels, and somebody to sign in."""
    (site.folder / "team.yaml").write_text(TEAM)
    site.program("apply", "-f", str(site.folder / "team.yaml"))
    site.ask("PUT", "policy", {**POLICY, "language": "matrix"})
    site.ask("POST", "policy/publish", {})
    known = json.loads((site.folder / "demo.json").read_text())
    me = known["username"]
    hook = {"name": "hook", "kind": "webhook", "url": f"{site.url}/healthz", "acts_as": me}
    site.secret = site.ask("POST", "channels", hook)["secret"]
    app = {"name": "slack", "kind": "slack", "url": f"{site.url}/healthz", "secret": SLACK_SECRET}
    site.ask("POST", "channels", {**app, "identities": {"U1": me}})
    site.form("/admin/login/", username=me, password=known["password"])


def measure(site: Site, decide: Decide, runs: int) -> dict[str, object]:
    """Approve `runs` questions one after the other."""
    recorded: list[float] = []
    asked: list[float] = []
    for _ in range(runs):
        run = site.ask("POST", "runs", {"agent": "asked", "input": "Say hello."})["id"]
        question = _until(partial(_question_of, site, run))
        begun = time.time()
        decide(site, question)
        call = _until(partial(_dispatched, site, run))
        decided = site.ask("GET", f"approvals/{question['id']}")["decided_at"]
        dispatched = _moment(call["dispatched_at"])
        recorded.append((dispatched - _moment(decided)) * 1000)
        asked.append((dispatched - begun) * 1000)
    return {
        "runs": runs,
        "decided_to_dispatched_ms": _summary(recorded),
        "asked_to_dispatched_ms": _summary(asked),
    }


def _question_of(site: Site, run: str) -> dict[str, Any] | None:
    items = site.ask("GET", "approvals?state=pending")["items"]
    return next((item for item in items if item["run"] == run), None)


def _dispatched(site: Site, run: str) -> dict[str, Any] | None:
    items = site.ask("GET", f"tool-calls?run={run}")["items"]
    return next((item for item in items if item["dispatched_at"]), None)


def _until(found: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < ends_at:
        if (value := found()) is not None:
            return value
        time.sleep(0.02)
    raise TimeoutError(f"Not within {PATIENCE_SECONDS:g} seconds.")


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _summary(values: list[float]) -> dict[str, float]:
    return {"p50": round(median(values), 1), "max": round(max(values), 1)}


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    with tempfile.TemporaryDirectory(prefix="bench-waking-") as folder:
        address = {"AGENTRY_FETCH_ALLOW": "127.0.0.1"}
        process = SiteProcess(Path(folder), log=Path(folder) / "log", **address)
        process.start()
        try:
            site = Site(process.url, process.token, Path(folder))
            prepare(site)
            for name, decide in SURFACES.items():
                told = {"surface": name, **measure(site, decide, runs)}
                sys.stdout.write(json.dumps(told) + "\n")
                sys.stdout.flush()
        finally:
            process.stop()


if __name__ == "__main__":
    main()
