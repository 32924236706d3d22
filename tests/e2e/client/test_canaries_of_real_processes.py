"""A secret that a run prints, logs, sends and returns is in nothing that real processes leave."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.client.server import SiteProcess
from tests.integration.security.canaries import reflecting, spellings
from tests.waiting import wait_for

VALUE = "Zq7/horse+battery staple=9&x"  # of no vendor's shape: it is known or it is not
LEAK = """
V=$(cat /run/secrets/leaky)
echo "said $V" | tee /dev/stderr
printf %s "$V" | base64
printf 'x%s' "$V" | base64
python3 -c 'import sys, json, urllib.parse as u
v = sys.argv[1]
print(u.quote(v), u.quote(v, safe=""), v.encode().hex(), json.dumps({"v": v}), repr(v))' "$V"
"""
SCRIPT = """
steps:
  - text: Leaking.
    tool_calls: [{name: leak, arguments: {}}, {name: reflect, arguments: {}}]
  - text: Done.
"""


@pytest.fixture
def place() -> Iterator[str]:
    with reflecting() as place:
        yield place


def test_no_process_store_or_stream_has_it(tmp_path: Path, place: str) -> None:
    log = tmp_path / "site.log"
    site = SiteProcess(tmp_path, log=log, AGENTRY_LOG_LEVEL="DEBUG", AGENTRY_FETCH_ALLOW=place)
    site.start()
    try:
        seen = _run(site, place)
    finally:
        site.stop()

    left = {"what was answered": seen.encode(), "the log": log.read_bytes()}
    for file in (tmp_path / "data").rglob("*"):
        if file.is_file() and not file.is_symlink():
            left[str(file)] = file.read_bytes()
    assert any(name.endswith(".sqlite3") for name in left)
    assert seen.count("[redacted]") > 8, "the run did not try"
    words = [word.encode() for word in spellings(VALUE)]
    assert [name for name, content in left.items() if any(word in content for word in words)] == []


def _run(site: SiteProcess, place: str) -> str:
    """Have a run leak all it can; return everything the site answers about it."""
    with httpx2.Client(
        base_url=f"{site.url}/api/v1/workspaces/demo",
        headers={"Authorization": f"Bearer {site.token}"},
        timeout=30,
    ) as client:

        def post(path: str, **body: object) -> str:
            answer = client.post(path, json=body)
            assert answer.status_code in {200, 201, 202}, answer.text
            return answer.text

        told = [
            post("/secrets", name="leaky", value=VALUE, description="a canary"),
            post("/tools", name="leak", description="Leaks.", kind="command", command=LEAK,
                 secrets=["leaky"], effect="read", is_privileged=False),
            post("/tools", name="reflect", description="Reflects.", url=f"http://{place}/",
                 method="GET", headers={"x-other": "${secret:leaky}"}, effect="read",
                 is_privileged=False),
            post("/providers", name="leaking", kind="scripted", script=SCRIPT),
            post("/models", name="leaking", provider="leaking", vendor_name="leaking"),
            post("/agents", name="leaking",
                 spec={"model": "leaking", "prompt": "Leak.", "tools": ["leak", "reflect"]}),
            post("/agents/leaking/versions/1/publish"),
        ]  # fmt: skip
        started = client.post("/runs", json={"agent": "leaking", "input": "Leak."})
        told.append(started.text)
        run = f"/runs/{started.json()['id']}"
        with client.stream("GET", f"{run}/events/stream") as stream:
            told.extend(stream.iter_text())
        wait_for(
            lambda: client.get(run).json()["state"] == "succeeded",
            lambda: client.get(f"{run}/why").text,
        )
        parts = ("", "/messages", "/tool-calls", "/events", "/trace", "/checkpoints", "/why")
        told += [client.get(f"{run}{part}").text for part in parts]
        told += [client.get(f"/{part}").text for part in ("tools", "secrets", "providers", "audit")]
        told.append(client.get("/audit/export").text)
    return "\n".join(told)
