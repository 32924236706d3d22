"""A secret that a run prints, logs, sends and returns is in nothing that real processes leave."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest

from tests.e2e.client.server import SiteProcess
from tests.e2e.real_input.vendors import KEY, vendor_process
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

    assert seen.count("[redacted]") > 8, "the run did not try"
    assert _left(tmp_path, log, seen) == []


def test_a_process_that_never_opened_it_does_not_write_it_either(tmp_path: Path) -> None:
    said = f"I happen to know {VALUE}, done."
    log = tmp_path / "site.log"
    site = SiteProcess(tmp_path, log=log, AGENTRY_LOG_LEVEL="DEBUG")
    site.start()
    with _client(site) as client:
        _post(client, "/secrets", name="leaky", value=VALUE)
    site.stop()

    answers = ({"text": said, "reasoning": said, "chunk_chars": 3},)
    with vendor_process("openai", tmp_path, *answers) as vendor:
        site.start()  # another process, which was told of no secret and opens none
        try:
            seen = _play(site, vendor.url)
        finally:
            site.stop()

    assert "I happen to know [redacted], done." in seen
    assert _left(tmp_path, log, seen) == []


def _play(site: SiteProcess, url: str) -> str:
    with _client(site) as client:
        told = [
            _post(client, "/providers", name="knowing", kind="openai", base_url=url, api_key=KEY),
            _post(client, "/models", name="knowing", provider="knowing", vendor_name="model-1"),
            _post(client, "/agents", name="knowing", spec={"model": "knowing", "prompt": "Say."}),
            _post(client, "/agents/knowing/versions/1/publish"),
        ]
        return "\n".join([*told, _followed(client, "knowing", f"Is it {VALUE}?")])


def _left(folder: Path, log: Path, seen: str) -> list[str]:
    """Return in which of the things that are left the value is found, in any spelling."""
    left = {"what was answered": seen.encode(), "the log": log.read_bytes()}
    for file in (folder / "data").rglob("*"):
        if file.is_file() and not file.is_symlink():
            left[str(file)] = file.read_bytes()
    assert any(name.endswith(".sqlite3") for name in left)
    words = [word.encode() for word in spellings(VALUE)]
    return [name for name, content in left.items() if any(word in content for word in words)]


def _client(site: SiteProcess) -> httpx2.Client:
    return httpx2.Client(
        base_url=f"{site.url}/api/v1/workspaces/demo",
        headers={"Authorization": f"Bearer {site.token}"},
        timeout=30,
    )


def _post(client: httpx2.Client, path: str, **body: object) -> str:
    answer = client.post(path, json=body)
    assert answer.status_code in {200, 201, 202}, answer.text
    return answer.text


def _followed(client: httpx2.Client, agent: str, text: str) -> str:
    """Start a run and return everything the site answers about it."""
    started = client.post("/runs", json={"agent": agent, "input": text})
    told = [started.text]
    run = f"/runs/{started.json()['id']}"
    with client.stream("GET", f"{run}/events/stream") as stream:
        told.extend(stream.iter_text())
    wait_for(
        lambda: client.get(run).json()["state"] == "succeeded",
        lambda: client.get(f"{run}/why").text,
    )
    parts = ("", "/messages", "/tool-calls", "/events", "/trace", "/checkpoints", "/why")
    told += [client.get(f"{run}{part}").text for part in parts]
    told.append(client.get("/audit/export").text)
    return "\n".join(told)


def _run(site: SiteProcess, place: str) -> str:
    """Have a run leak all it can; return everything the site answers about it."""
    with _client(site) as client:
        post = partial(_post, client)
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
        told.append(_followed(client, "leaking", "Leak."))
        told += [client.get(f"/{part}").text for part in ("tools", "secrets", "providers", "audit")]
    return "\n".join(told)
