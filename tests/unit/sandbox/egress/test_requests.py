"""Plain requests: what is passed on and in which form, and every known way to smuggle another."""

import asyncio
from dataclasses import replace

import msgspec
import pytest

from tests.unit.sandbox.egress.world import OK, QUICK, World


def get(place: str, *fields: str, host: str | None = None, target: str = "/x") -> bytes:
    lines = [f"GET http://{place}{target} HTTP/1.1", f"Host: {host or place}", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


async def test_a_request_to_a_listed_host_is_passed_on(world: World) -> None:
    site = await world.upstream("a.test")
    async with world.opened(f"a.test:{site.port}") as gateway:
        answer = await world.ask(
            get(f"a.test:{site.port}", "Accept: */*", "Proxy-Connection: keep-alive",
                "Connection: x-hop", "X-Hop: 1", "Keep-Alive: 5", "Te: trailers", "Upgrade: h2c",
                "Proxy-Authorization: Basic eDp5", target="/x?y=1")
        )  # fmt: skip
        records = await gateway.taken()

    assert site.got == [
        f"GET /x?y=1 HTTP/1.1\r\nHost: a.test:{site.port}\r\nAccept: */*\r\n"
        "Connection: close\r\n\r\n".encode()
    ]
    assert answer == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nConnection: close\r\n\r\nhello"
    assert [msgspec.structs.astuple(record) for record in records] == [
        ("a.test", site.port, True, "", len(site.got[0]), len(answer))
    ]


async def test_bodies_arrive_whole_in_either_form(world: World) -> None:
    site = await world.upstream("a.test")
    place = f"a.test:{site.port}"
    start = f"POST http://{place}/ HTTP/1.1\r\nHost: {place}\r\n".encode()
    async with world.opened(place):
        await world.ask(start + b"Content-Length: 3\r\n\r\nabcDEF")
        await world.ask(
            start + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n"
        )
        await world.ask(start + b"\r\n")

    sized, chunked, empty = [got.partition(b"\r\n\r\n") for got in site.got]
    assert sized[0].endswith(b"content-length: 3\r\nConnection: close")
    assert sized[2] == b"abc"
    assert chunked[0].endswith(b"transfer-encoding: chunked\r\nConnection: close")
    assert chunked[2] in {b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n"}
    assert b"content-length: 0" in empty[0]


async def test_who_waits_to_go_on_is_told(world: World) -> None:
    site = await world.upstream("a.test")
    place = f"a.test:{site.port}"
    async with world.opened(place):
        answer = await world.ask(
            f"POST http://{place}/ HTTP/1.1\r\nHost: {place}\r\nExpect: 100-continue\r\n"
            "Content-Length: 1\r\n\r\nx".encode()
        )

    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert b"Expect" not in site.got[0]


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET http://evil.test:{port}/ HTTP/1.1", 403),
        ("GET http://a.test.evil.test:{port}/ HTTP/1.1", 403),
        ("GET http://a.test/ HTTP/1.1", 403),
        ("GET http://127.0.0.1:{port}/ HTTP/1.1", 403),
        ("GET http://[::1]:{port}/ HTTP/1.1", 403),
        ("GET http://[::ffff:127.0.0.1]:{port}/ HTTP/1.1", 403),
        ("GET http://2130706433:{port}/ HTTP/1.1", 400),
        ("GET http://0177.0.0.1:{port}/ HTTP/1.1", 400),
        ("GET http://0x7f.1:{port}/ HTTP/1.1", 400),
        ("GET http://a.test:{port}@evil.test/ HTTP/1.1", 400),
        ("GET http://a.test:{port}\\@evil.test/ HTTP/1.1", 400),
        ("GET http://user@a.test:{port}/ HTTP/1.1", 400),
        ("GET http://a.test:0/ HTTP/1.1", 400),
        ("GET http://a.test:99999999/ HTTP/1.1", 400),
        ("GET http://a.test:443/ HTTP/1.1", 403),
        ("GET http:///x HTTP/1.1", 400),
        ("GET https://a.test:{port}/ HTTP/1.1", 400),
        ("GET file:///etc/passwd HTTP/1.1", 400),
        ("GET /x HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("GET http://a.test:{port}/a b HTTP/1.1", 400),
        ("GET http://a.test:{port}/\x00 HTTP/1.1", 400),
        ("GET http://a.test:{port}/#x HTTP/1.1", 400),
        ("GET  http://a.test:{port}/ HTTP/1.1", 400),
        ("GET http://a.test:{port}/ HTTP/2.0", 400),
        ("GET http://a.test:{port}/", 400),
        ("G\tT http://a.test:{port}/ HTTP/1.1", 400),
        ("CONNECT evil.test:{port} HTTP/1.1", 403),
        ("CONNECT a.test.evil.test:{port} HTTP/1.1", 403),
        ("CONNECT 127.0.0.1:{port} HTTP/1.1", 403),
        ("CONNECT [::ffff:7f00:1]:{port} HTTP/1.1", 403),
        ("CONNECT 127.1:{port} HTTP/1.1", 400),
        ("CONNECT a.test HTTP/1.1", 400),
        ("CONNECT a.test:0 HTTP/1.1", 400),
        ("CONNECT a.test:65536 HTTP/1.1", 400),
        ("CONNECT user@a.test:{port} HTTP/1.1", 400),
        ("CONNECT http://a.test:{port}/ HTTP/1.1", 400),
        ("CONNECT a.test:{port}\rHost:evil HTTP/1.1", 400),
        ("CONNECT a.test:{port}\nX: HTTP/1.1", 400),
        ("CONNECT a.test:{port}%0d%0aX: HTTP/1.1", 400),
        ("CONNECT a.test:22 HTTP/1.1", 403),
        ("CONNECT 169.254.169.254:80 HTTP/1.1", 403),
        ("\x16\x03\x01", 400),
    ],
)  # fmt: skip
async def test_what_leads_elsewhere_is_refused_and_reaches_nobody(
    world: World, request_line: str, status: int
) -> None:
    site = await world.upstream("a.test", "evil.test", "a.test.evil.test")
    line = request_line.format(port=site.port)
    host = line.split(" ")[1].removeprefix("http://").partition("/")[0] if " " in line else "x"
    async with world.opened(f"a.test:{site.port}", "a.test:443") as gateway:
        answer = await world.ask(f"{line}\r\nHost: {host}\r\n\r\n".encode("latin-1"))
        records = await gateway.taken()

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert site.got == []
    assert [record.is_allowed for record in records] == [False]
    assert records[0].reason
    assert records[0].sent_bytes == 0
    assert world.names.asked == []


@pytest.mark.parametrize(
    "fields",
    [
        "Host: evil.test\r\n",
        "Host: a.test:{port}\r\nHost: evil.test\r\n",
        "Host: a.test:{port}\r\nHost: a.test:{port}\r\n",
        "X: no host\r\n",
        "Host: a.test:{port}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Host: a.test:{port}\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        "Host: a.test:{port}\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
        "Host: a.test:{port}\r\nContent-Length: 5, 5\r\n",
        "Host: a.test:{port}\r\nContent-Length: +5\r\n",
        "Host: a.test:{port}\r\nContent-Length: 0x5\r\n",
        "Host: a.test:{port}\r\nContent-Length:\r\n",
        "Host: a.test:{port}\r\nContent-Length: -1\r\n",
        "Host: a.test:{port}\r\nContent-Length: 99999999999999999999\r\n",
        "Host: a.test:{port}\r\nTransfer-Encoding: chunked, identity\r\n",
        "Host: a.test:{port}\r\nTransfer-Encoding: gzip, chunked\r\n",
        "Host: a.test:{port}\r\nTransfer-Encoding: xchunked\r\n",
        "Host: a.test:{port}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Host: a.test:{port}\r\nTransfer-Encoding:\x0bchunked\r\n",
        "Host: a.test:{port}\r\nTransfer-Encoding : chunked\r\n",
        "Host: a.test:{port}\r\n Transfer-Encoding: chunked\r\n",
        "Host: a.test:{port}\r\nX: 1\nTransfer-Encoding: chunked\r\n",
        "Host: a.test:{port}\r\nX: 1\rTransfer-Encoding: chunked\r\n",
        "Host: a.test:{port}\r\nX: \x00\r\n",
        "Host: a.test:{port}\r\n: x\r\n",
        "Host: a.test:{port}\r\nno colon\r\n",
        "Host: a.test:{port}\r\n" + "X: 1\r\n" * 129,
        "Host: a.test:{port}\r\nX: " + "x" * 70_000 + "\r\n",
    ],
)
async def test_a_head_that_can_be_read_in_two_ways_reaches_nobody(
    world: World, fields: str
) -> None:
    site = await world.upstream("a.test", "evil.test")
    place = f"a.test:{site.port}"
    head = f"POST http://{place}/ HTTP/1.1\r\n{fields.format(port=site.port)}\r\n"
    async with world.opened(place) as gateway:
        answer = await world.ask(head.encode("latin-1") + b"5\r\nhello\r\n0\r\n\r\n")
        records = await gateway.taken()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert site.got == []
    assert [record.is_allowed for record in records] == [False]


async def test_a_second_request_on_the_connection_is_never_read(world: World) -> None:
    site = await world.upstream("a.test", "evil.test")
    place = f"a.test:{site.port}"
    second = get(f"evil.test:{site.port}", target="/second")
    post = f"POST http://{place}/ HTTP/1.1\r\nHost: {place}\r\n".encode()
    async with world.opened(place) as gateway:
        await world.ask(get(place) + second)
        await world.ask(get(place) + get(place, target="/second"))
        await world.ask(post + b"Content-Length: 0\r\n\r\n" + second)
        await world.ask(post + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second)
        records = await gateway.taken()

    assert len(site.got) == 4
    assert not any(b"second" in got for got in site.got)
    assert [(record.host, record.is_allowed) for record in records] == [("a.test", True)] * 4


@pytest.mark.parametrize(
    "body",
    [b"x\r\n", b"-1\r\nx\r\n", b"1 \nx", b"fffffffff\r\n", b"2\r\nabc\r\n0\r\n\r\n", b"\r\n",
     b"1;\nx\r\na\r\n0\r\n\r\n", b"0x1\r\na\r\n0\r\n\r\n", b"1\r\na", b"1" * 70_000,
     b"0\r\n" + b"T: 1\r\n" * 40 + b"\r\n", b"1" + b";x" * 600 + b"\r\na\r\n0\r\n\r\n"],
)  # fmt: skip
async def test_chunks_that_cannot_be_read_end_the_request(world: World, body: bytes) -> None:
    site = await world.upstream("a.test", answer=b"")
    place = f"a.test:{site.port}"
    head = f"POST http://{place}/ HTTP/1.1\r\nHost: {place}\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with world.opened(place) as gateway:
        answer = await world.ask(head.encode() + body, ends=True)
        records = await gateway.taken()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert not any(got.endswith(b"0\r\n\r\n") for got in site.got)
    assert [record.is_allowed for record in records] == [False]


async def test_a_head_that_drips_is_given_up(world: World) -> None:
    site = await world.upstream("a.test")
    async with world.opened(f"a.test:{site.port}") as gateway:
        reader, writer = await world.connect()
        writer.write(b"GET http://a.test")
        answer = await reader.read(2000)
        writer.close()
        records = await gateway.taken()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert records[0].reason == "the head did not come in time"


async def test_an_answer_that_never_comes_is_given_up(world: World) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    site = await world.upstream("a.test", answer=silent)
    async with world.opened(f"a.test:{site.port}") as gateway:
        answer = await world.ask(get(f"a.test:{site.port}"))
        records = await gateway.taken()

    assert answer.startswith(b"HTTP/1.1 502 ")
    assert (records[0].is_allowed, records[0].reason) == (
        True,
        "nothing moved for too long, or it took too long",
    )


async def test_no_more_connections_than_allowed_are_open(world: World) -> None:
    site = await world.upstream("a.test", answer=b"")
    bounds = replace(QUICK, connections=2, head_seconds=5)
    async with world.opened(f"a.test:{site.port}", bounds=bounds) as gateway:
        first, second = await world.connect(), await world.connect()
        await asyncio.sleep(0)
        answer = await world.ask(b"")
        for _, writer in (first, second):
            writer.close()
        records = await gateway.taken()

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert len(records) == 3


async def test_records_have_an_end_and_say_so(world: World) -> None:
    async with world.opened("a.test:1", bounds=replace(QUICK, records=2)) as gateway:
        for _ in range(5):
            await world.ask(get("evil.test"))
        records = await gateway.taken()
        after = await gateway.taken()

    assert [record.host for record in records] == ["evil.test", "evil.test", ""]
    assert records[2].reason == "3 more connections are not listed"
    assert after == ()


async def test_a_call_sends_and_receives_no_more_than_allowed(world: World) -> None:
    site = await world.upstream("a.test", answer=OK.replace(b"5", b"9999") + b"x" * 9994)
    place = f"a.test:{site.port}"
    async with world.opened(place, bounds=replace(QUICK, received_bytes=8000)) as gateway:
        cut = await world.ask(get(place))
        received = await gateway.taken()
    other = World(world.folder)
    site = await other.upstream("a.test", answer=b"")
    place = f"a.test:{site.port}"
    post = f"POST http://{place}/ HTTP/1.1\r\nHost: {place}\r\nContent-Length: 9000\r\n\r\n"
    async with other.opened(place, bounds=replace(QUICK, sent_bytes=4000)) as gateway:
        await other.ask(post.encode() + b"y" * 9000)
        sent = await gateway.taken()

    assert len(cut) <= 8000
    assert received[0].reason == "the call has received more than 8000 bytes"
    assert sent[0].reason == "the call has sent more than 4000 bytes"
    assert sum(map(len, site.got)) <= 4000


@pytest.mark.parametrize(
    "answer",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 200\nX: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 9,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
    ],
)
async def test_an_answer_that_is_none_is_not_passed_on(world: World, answer: bytes) -> None:
    site = await world.upstream("a.test", answer=answer)
    async with world.opened(f"a.test:{site.port}") as gateway:
        told = await world.ask(get(f"a.test:{site.port}"))
        records = await gateway.taken()

    assert told.startswith(b"HTTP/1.1 502 ")
    assert records[0].is_allowed
    assert records[0].reason


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.0 200\r\n\r\nto the end",
         b"HTTP/1.1 200 \r\nConnection: close\r\n\r\nto the end"),
        (b"HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n",
         b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
         (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nConnection: close\r\n\r\n"
          b"2\r\nab\r\n0\r\n\r\n")),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
         b"HTTP/1.1 404 No\r\ncontent-length: 0\r\nConnection: close\r\n\r\n"),
    ],
)  # fmt: skip
async def test_answers_keep_their_form(world: World, answer: bytes, told: bytes) -> None:
    site = await world.upstream("a.test", answer=answer)
    async with world.opened(f"a.test:{site.port}"):
        assert await world.ask(get(f"a.test:{site.port}")) == told


async def test_a_client_of_the_old_version_gets_no_chunks(world: World) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    site = await world.upstream("a.test", answer=answer)
    async with world.opened(f"a.test:{site.port}"):
        told = await world.ask(f"GET http://a.test:{site.port}/ HTTP/1.0\r\n\r\n".encode())

    assert told == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nab"
