"""Runners that hold `net`: what is listed can be reached, and each connection is told."""

import asyncio
import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.contracts import Command, Connection, HostCredential, Profile, Runner
from sandbox.errors import SandboxRefusedError
from tests.conformance.sandbox.host import settled
from tests.conformance.sandbox.subjects import (
    HOLDERS_OF_NET,
    SUBJECTS,
    has_own_kernel,
    observed,
    shell,
    until,
)

FETCH = (
    "import sys,urllib.request as u;sys.stdout.write(u.urlopen(sys.argv[1],timeout=9).read(9999)"
    ".decode())"
)


_DIRECT = {"http_proxy": "", "HTTP_PROXY": ""}
_BY_PROXY = {"no_proxy": "", "NO_PROXY": ""}


class Site:
    """A small site on loopback that keeps what it was sent."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.moved_to = ""
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.heads.append(f"{self.requestline}\n{self.headers}")
                self.send_response(302 if site.moved_to else 200)
                if site.moved_to:
                    self.send_header("location", site.moved_to)
                self.end_headers()
                self.wfile.write(b"hello " + self.headers.get("x-key", "nobody").encode())

            def log_message(self, *words: object) -> None:
                """Keep quiet."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@contextlib.contextmanager
def a_site() -> Iterator[Site]:
    found = Site()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    with a_site() as found:
        yield found


@pytest.fixture
def other() -> Iterator[Site]:
    with a_site() as found:
        yield found


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
        outcome = await session.run(
            shell(f"python3 -c '{FETCH}' http://{site.place}/", **_BY_PROXY)
        )
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


async def test_a_program_reaches_a_server_of_its_own_past_the_proxy(
    holder: Runner, workspace: Path
) -> None:
    serve_and_fetch = """
import http.server, threading, urllib.request
open("page", "w").write("mine")
server = http.server.ThreadingHTTPServer(
    ("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler
)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/page"
print(urllib.request.urlopen(url, timeout=9).read().decode())
"""
    async with await holder.open(workspace, Profile(net=("other.test:443",))) as session:
        outcome = await session.run(Command(argv=("python3", "-c", serve_and_fetch)))

    assert outcome.stdout == b"mine\n", outcome.stderr
    assert outcome.connections == ()


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
        " /proc/*/cmdline /run/agentry/* /run/agentry-egress/roots.pem 2>/dev/null;"
        " find / -xdev -type f -newer /proc/1"
        " -exec cat {} + 2>/dev/null"
    )
    opening = holder.open(workspace, Profile(net=(site.place,)), credentials=[credential])
    async with await opening as session:
        outcome = await session.run(shell(everything))

    assert len(site.heads) == 1
    assert "X-Key: canary-5f1c77" in site.heads[0]
    assert outcome.stdout.startswith(b"hello *************")
    assert b"canary-5f1c77" not in outcome.stdout + outcome.stderr


async def test_a_redirect_does_not_carry_a_credential_to_another_host(
    holder: Runner, workspace: Path, site: Site, other: Site
) -> None:
    site.moved_to = f"http://{other.place}/elsewhere"
    credential = HostCredential(host=site.place, header="X-Key", value="canary-5f1c77")
    profile = Profile(net=(site.place, other.place))
    async with await holder.open(workspace, profile, credentials=[credential]) as session:
        outcome = await session.run(shell(f"python3 -c '{FETCH}' http://{site.place}/"))

    assert "X-Key: canary-5f1c77" in site.heads[0]
    assert [head.split()[1] for head in other.heads] == ["/elsewhere"]
    assert "canary-5f1c77" not in other.heads[0]
    assert outcome.stdout == b"hello nobody"


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


async def test_a_call_cannot_take_the_place_of_the_way_out(
    holder: Runner, workspace: Path, site: Site
) -> None:
    attack = """
import os, signal, socket, time
os.close(os.open("/workspace/begun", os.O_CREAT))
for place in (("127.0.0.1", 3128), ("0.0.0.0", 3128), ("", 3128)):
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            link.bind(place); link.listen(); print("taken")
        except OSError: pass
try: os.unlink("/run/agentry-egress/gateway.sock"); print("unlinked")
except OSError: pass
links = []
try:
    while len(links) < 200: links.append(socket.create_connection(("127.0.0.1", 3128), 0.2))
except OSError: pass
for number in SIGNALS: os.kill(1, number)
print(len(links) > 0)
"""
    # Process 1 of gVisor's kernel can be killed, which ends the sandbox: attempt P14.
    signals = "()" if has_own_kernel(holder) else "(signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP)"
    attack = attack.replace("SIGNALS", signals)
    async with await holder.open(workspace, Profile(net=(site.place,))) as session:
        attacked = await session.run(Command(argv=("python3", "-c", attack)))
        after = await session.run(shell(f"python3 -c '{FETCH}' http://{site.place}/"))

    # gVisor's network lets a call listen beside the way out: for itself alone, and no longer.
    told = attacked.stdout.replace(b"taken\n", b"") if has_own_kernel(holder) else attacked.stdout
    assert told == b"True\n", attacked.stderr
    assert after.stdout == b"hello nobody"


async def test_what_a_program_sends_before_it_ends_arrives(
    holder: Runner, workspace: Path, site: Site
) -> None:
    place = site.place
    send = (
        "import socket,os;s=socket.create_connection(('127.0.0.1',3128));"
        f"s.sendall(b'GET http://{place}/last HTTP/1.1\\r\\nHost: {place}\\r\\n\\r\\n');os._exit(0)"
    )
    async with await holder.open(workspace, Profile(net=(place,))) as session:
        outcome = await session.run(Command(argv=("python3", "-c", send)))

    assert [head.split()[1] for head in site.heads] == ["/last"]
    assert [(c.host, c.is_allowed) for c in outcome.connections] == [("127.0.0.1", True)]
