"""Tunnels: TLS is left alone and must be meant for the host; names are looked up once."""

import asyncio
import socket
import ssl

import pytest

from sandbox.egress import SOCKET, conversation
from sandbox.egress.hello import HelloError, UnfinishedError, read_hello
from tests.unit.sandbox.egress.world import Upstream, World, authority, hello_of

REQUEST = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


async def secure(world: World, monkeypatch: pytest.MonkeyPatch, *names: str) -> Upstream:
    """Start a TLS server on a port that is for TLS."""
    site = await world.upstream(*names, with_tls=names[0])
    monkeypatch.setattr(conversation, "TLS_PORTS", frozenset({site.port}))
    return site


@pytest.mark.parametrize("spelling", ["a.test", "A.TEST", "a.test.", "A.Test."])
async def test_tls_is_passed_on_untouched(
    world: World, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    site = await secure(world, monkeypatch, "a.test")
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(trust)
    async with world.opened(f"a.test:{site.port}") as gateway:
        answer = await world.ask_tls(
            f"{spelling}:{site.port}", REQUEST, name="a.test", context=trust
        )
        records = await gateway.taken()

    assert answer.endswith(b"\r\n\r\nhello")
    assert site.got == [REQUEST]
    assert [(r.host, r.port, r.is_allowed, r.reason) for r in records] == [
        ("a.test", site.port, True, "")
    ]
    assert gateway.files == {}
    assert "SSL_CERT_FILE" not in gateway.environment


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (hello_of("evil.test"), "names 'evil.test'"),
        (hello_of("a.test.evil.test"), "names 'a.test.evil.test'"),
        (hello_of(None), "names no host"),
        (REQUEST, "for TLS, and what came is not"),
        (b"SSH-2.0-x\r\n", "for TLS, and what came is not"),
        (b"\x16\x03\x01\x00\x05hello", "does not begin with a hello"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01x" + b"x" * 9, "its hello is broken"),
        (hello_of("a.test")[:-9], "in the middle of its hello"),
        (b"\x16\x03\x01\x40\x00\x01\x00\xff\xff" + b"x" * 70_000, "cannot be judged"),
    ],
)
async def test_what_is_not_meant_for_the_host_never_leaves(
    world: World, monkeypatch: pytest.MonkeyPatch, first: bytes, reason: str
) -> None:
    received: list[bytes] = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read())

    site = await world.upstream("a.test", answer=keep)
    monkeypatch.setattr(conversation, "TLS_PORTS", frozenset({site.port}))
    async with world.opened(f"a.test:{site.port}") as gateway:
        await world.ask(f"CONNECT a.test:{site.port} HTTP/1.1\r\n\r\n".encode() + first, ends=True)
        records = await gateway.taken()

    assert b"".join(received) == b""
    assert [record.is_allowed for record in records] == [False]
    assert reason in records[0].reason
    assert records[0].sent_bytes == 0


async def test_tls_on_any_port_is_held_to_the_same(world: World) -> None:
    site = await world.upstream("a.test", answer=b"")
    async with world.opened(f"a.test:{site.port}") as gateway:
        connect = f"CONNECT a.test:{site.port} HTTP/1.1\r\n\r\n".encode()
        await world.ask(connect + hello_of("evil.test"), ends=True)
        records = await gateway.taken()

    assert "names 'evil.test'" in records[0].reason
    assert b"".join(site.got) == b""


async def test_a_protocol_whose_server_speaks_first_works(world: World) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        said = await reader.readline()
        writer.write(b"250 " + said)
        await writer.drain()

    site = await world.upstream("mail.test", answer=greet)
    async with world.opened(f"mail.test:{site.port}"):
        reader, writer = await world.connect()
        writer.write(f"CONNECT mail.test:{site.port} HTTP/1.1\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        greeting = await reader.readline()
        writer.write(b"EHLO x\r\n")
        answer = await reader.readline()
        writer.close()

    assert (greeting, answer) == (b"220 ready\r\n", b"250 EHLO x\r\n")


async def test_a_name_is_looked_up_once_and_what_was_judged_is_connected_to(world: World) -> None:
    site = await world.upstream("a.test", answer=b"")
    world.names.table["a.test"] = [["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"]]
    async with world.opened(f"*.test:{site.port}") as gateway:
        for _ in range(3):
            await world.ask(f"CONNECT a.test:{site.port} HTTP/1.1\r\n\r\n".encode(), ends=True)
        records = await gateway.taken()

    assert world.names.asked == ["a.test"] * 3
    assert len(site.got) == 1
    assert [record.reason for record in records] == [
        "",
        "the name leads to a private address (10.0.0.1)",
        "the name leads to a link-local or cloud metadata address (169.254.169.254)",
    ]
    assert [record.is_allowed for record in records] == [True, False, False]


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1", "10.0.0.1"], ["127.0.0.3"], ["::1"], ["::ffff:127.0.0.1"], ["0.0.0.0"],
     ["fd00:ec2::254"], ["100.100.100.200"], ["2002:7f00:1::"], ["nonsense"]],
)  # fmt: skip
async def test_a_listed_name_cannot_be_made_to_lead_to_us(
    world: World, addresses: list[str]
) -> None:
    site = await world.upstream("a.test")
    world.names.table["a.test"] = [addresses]
    async with world.opened(f"a.test:{site.port}"):
        answer = await world.ask(f"CONNECT a.test:{site.port} HTTP/1.1\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert site.got == []


async def test_a_name_leads_inside_only_where_the_address_is_named_too(world: World) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(writer.get_extra_info("sockname")[0])
        writer.close()

    met: list[str] = []
    inside = await asyncio.start_server(hang_up, "127.0.0.3", 0)
    port = inside.sockets[0].getsockname()[1]
    world.names.table["db.test"] = [["127.0.0.3"]]
    ask = f"CONNECT db.test:{port} HTTP/1.1\r\n\r\n".encode()
    async with inside:
        async with world.opened(f"db.test:{port}"):
            refused = await world.ask(ask)
        async with world.opened(f"db.test:{port}", f"127.0.0.3:{port}"):
            named = await world.ask(ask)
        async with world.opened(f"db.test:{port}", ranges=["127.0.0.3"]):
            ranged = await world.ask(ask)

    assert refused.startswith(b"HTTP/1.1 403 ")
    assert b"the name leads to a loopback address (127.0.0.3)" in refused
    assert named.startswith(b"HTTP/1.1 200 ")
    assert ranged.startswith(b"HTTP/1.1 200 ")
    assert met == ["127.0.0.3", "127.0.0.3"]


async def test_a_name_that_is_not_there_is_told(world: World) -> None:
    async with world.opened("a.test:1", "b.test:1") as gateway:
        world.names.table["b.test"] = [[]]
        first = await world.ask(b"CONNECT a.test:1 HTTP/1.1\r\n\r\n")
        second = await world.ask(b"CONNECT b.test:1 HTTP/1.1\r\n\r\n")
        world.names.table["a.test"] = [["127.0.0.1"]]
        third = await world.ask(b"CONNECT a.test:1 HTTP/1.1\r\n\r\n")
        records = await gateway.taken()

    assert [answer[:12] for answer in (first, second, third)] == [b"HTTP/1.1 502"] * 3
    assert [record.reason for record in records][:2] == [
        "its name cannot be resolved",
        "its name has no address",
    ]
    assert records[2].reason.startswith("it could not be reached: ")


async def test_a_tunnel_on_which_nothing_moves_is_given_up(world: World) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    site = await world.upstream("a.test", answer=silent)
    async with world.opened(f"a.test:{site.port}") as gateway:
        answer = await world.ask(f"CONNECT a.test:{site.port} HTTP/1.1\r\n\r\n".encode())
        records = await gateway.taken()

    assert b" 200 " in answer
    assert records[0].reason == "nothing moved for too long, or it took too long"


def test_a_hello_is_read_from_any_number_of_records() -> None:
    whole = hello_of("a.test")
    body = whole[5:]
    pieces = b"".join(
        b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part
        for part in (body[:1], body[1:3], body[3:70], body[70:])
    )

    assert read_hello(whole).server_name == read_hello(pieces).server_name == "a.test"
    for end in range(len(pieces)):
        with pytest.raises(UnfinishedError):
            read_hello(pieces[:end])


@pytest.mark.parametrize("kind", [0xFE0D, 0xFFCE])
def test_a_hello_that_hides_its_name_is_refused(kind: int) -> None:
    with pytest.raises(HelloError, match="hides the server's name"):
        read_hello(_with_extension(kind.to_bytes(2, "big") + b"\x00\x02ab"))


def test_a_hello_with_two_names_is_refused() -> None:
    name = b"\x00\x00" + b"\x00\x0b" + b"\x00\x09" + b"\x00\x00\x06" + b"b.test"
    with pytest.raises(HelloError, match="twice"):
        read_hello(_with_extension(name))


def _with_extension(extension: bytes) -> bytes:
    """Return a hello for a.test with one more extension, its lengths put right."""
    message = bytearray(hello_of("a.test")[5:])
    at = 4 + 2 + 32
    at += 1 + message[at]
    at += 2 + int.from_bytes(message[at : at + 2], "big")
    at += 1 + message[at]
    length = int.from_bytes(message[at : at + 2], "big") + len(extension)
    message[at : at + 2] = length.to_bytes(2, "big")
    message += extension
    message[1:4] = (len(message) - 4).to_bytes(3, "big")
    return b"\x16\x03\x01" + len(message).to_bytes(2, "big") + bytes(message)


@pytest.mark.parametrize("was_answered", [True, False])
async def test_a_program_that_hangs_up_after_its_answer_has_broken_nothing(
    world: World, was_answered: bool
) -> None:
    """It closes with bytes unread, as TLS clients do: the gateway's end is reset."""
    has_left = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if was_answered:
            writer.write(b"all of it, and a farewell nobody reads")
            await writer.drain()
        await has_left.wait()

    site = await world.upstream("a.test", answer=answer)
    async with world.opened(f"a.test:{site.port}") as gateway:
        with socket.socket(socket.AF_UNIX) as link:
            link.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(link, str(world.folder / "way" / SOCKET))
            await loop.sock_sendall(
                link, f"CONNECT a.test:{site.port} HTTP/1.1\r\n\r\n".encode() + REQUEST
            )
            wanted = b"\r\n\r\na" if was_answered else b" 200 "
            came = b""
            while wanted not in came:
                came += await loop.sock_recv(link, 1)
        records = await gateway.taken()
        has_left.set()

    assert [r.is_allowed for r in records] == [True]
    assert (records[0].reason == "") is was_answered
