"""Runners that hold `net`: what is listed can be reached, and each connection is told."""

import asyncio
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.contracts import Connection, HostCredential, Profile, Runner
from sandbox.errors import SandboxRefusedError
from tests.conformance.sandbox.host import settled
from tests.conformance.sandbox.subjects import HOLDERS_OF_NET, SUBJECTS, observed, shell, until

FETCH = (
    "import sys,urllib.request as u;sys.stdout.write(u.urlopen(sys.argv[1],timeout=9).read(9999)"
    ".decode())"
)


_DIRECT = {"http_proxy": "", "HTTP_PROXY": ""}


class Site:
    """A small site on loopback that keeps what it was sent."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.heads.append(f"{self.requestline}\n{self.headers}")
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"hello " + self.headers.get("x-key", "nobody").encode())

            def log_message(self, *words: object) -> None:
                """Keep quiet."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture(params=HOLDERS_OF_NET)
def holder(request: pytest.FixtureRequest) -> Runner:
    return SUBJECTS[request.param](request)


async def test_a_listed_host_is_reached_and_told(
    holder: Runner, workspace: Path, site: Site
) -> None:
    async with await holder.open(workspace, Profile(net=(site.place,))) as session:
        first = await session.run(shell(f"python3 -c '{FETCH}' http://{site.place}/one"))
        second = await session.run(shell("true"))
        third = await session.run(shell(f"python3 -c '{FETCH}' http://{site.place}/two"))

    assert first.stdout == third.stdout == b"hello nobody"
    assert [head.split()[1] for head in site.heads] == ["/one", "/two"]
    assert [(c.host, c.port, c.is_allowed, c.reason) for c in first.connections] == [
        ("127.0.0.1", int(site.place.split(":")[1]), True, "")
    ]
    assert first.connections[0].sent_bytes > 0
    assert first.connections[0].received_bytes > len("hello nobody")
    assert second.connections == ()
    assert len(third.connections) == 1
    assert await settled(observed(session)) == []


async def test_what_is_not_listed_is_refused_and_told(
    holder: Runner, workspace: Path, site: Site
) -> None:
    async with await holder.open(workspace, Profile(net=("other.test:443",))) as session:
        outcome = await session.run(shell(f"python3 -c '{FETCH}' http://{site.place}/"))
        direct = await session.run(shell(f"python3 -c '{FETCH}' http://{site.place}/", **_DIRECT))

    assert b"403" in outcome.stderr
    assert direct.exit_code != 0
    assert direct.connections == ()
    assert site.heads == []
    assert outcome.connections == (
        Connection(
            host="127.0.0.1",
            port=int(site.place.split(":")[1]),
            is_allowed=False,
            reason="the host and port are not on the list",
        ),
    )


async def test_the_way_out_outlives_calls_that_are_ended(
    holder: Runner, workspace: Path, site: Site
) -> None:
    fetch = f"python3 -c '{FETCH}' http://{site.place}/"
    async with await holder.open(workspace, Profile(net=(site.place,))) as session:
        call = asyncio.ensure_future(session.run(shell(f"{fetch}; sleep 60 & sleep 60")))
        await until(lambda: site.heads)
        await session.cancel()
        cancelled = await call
        after = await session.run(shell(fetch))

    assert cancelled.ended_by == "cancelled"
    assert len(cancelled.connections) == 1
    assert after.stdout == b"hello nobody"


async def test_a_credential_is_added_outside_and_never_inside(
    holder: Runner, workspace: Path, site: Site
) -> None:
    credential = HostCredential(host=site.place, header="X-Key", value="canary-5f1c77")
    everything = (
        f"python3 -c '{FETCH}' http://{site.place}/; env; cat /etc/hosts /proc/*/environ"
        " /proc/*/cmdline /run/agentry/* 2>/dev/null; find / -xdev -type f -newer /proc/1"
        " -exec cat {} + 2>/dev/null"
    )
    opening = holder.open(workspace, Profile(net=(site.place,)), credentials=[credential])
    async with await opening as session:
        outcome = await session.run(shell(everything))

    assert len(site.heads) == 1
    assert "X-Key: canary-5f1c77" in site.heads[0]
    assert outcome.stdout.startswith(b"hello *************")
    assert b"canary-5f1c77" not in outcome.stdout + outcome.stderr


async def test_an_entry_that_cannot_be_read_is_refused(holder: Runner, workspace: Path) -> None:
    for entry in ("host", "host:0", "a b:1", "*:443", "*.*.test:1", "10.0.0.0/8:1", "2130706433:1"):
        with pytest.raises(SandboxRefusedError, match="in the list of hosts cannot be used"):
            await holder.open(workspace, Profile(net=(entry,)))
    with pytest.raises(SandboxRefusedError, match="the profile does not list"):
        await holder.open(
            workspace,
            Profile(net=("a.test:443",)),
            credentials=[HostCredential(host="b.test:443", header="X-Key", value="secret")],
        )
