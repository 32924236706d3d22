"""The careful client: what it refuses, what it bounds, and that it connects where it looked."""

import asyncio
import gzip
import ipaddress
import socket
import ssl
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from core.addresses import allowed_hosts, why_refused
from core.errors import InvalidInputError
from plugins.http.safe import (
    Answer,
    NoAnswerError,
    NotSentError,
    SafeClient,
    TargetRefusedError,
)
from tests.unit.plugins.http.conftest import Handler, RawServer, plain
from tests.wire.certificates import self_signed


class Names:
    """A resolver that answers from a table and counts; a list of lists answers in turn."""

    def __init__(self, **table: list[list[str]]) -> None:
        self._table = {name.replace("_", "."): answers for name, answers in table.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self._table[host]
        return answers[min(self.asked.count(host), len(answers)) - 1]


def answering(data: bytes) -> Handler:
    return lambda connection, request: connection.sendall(data)


def get(url: str, *, client: SafeClient | None = None, **options: Any) -> Answer:
    return asyncio.run((client or SafeClient()).request("GET", url, **options))


REFUSED = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "168.63.129.16",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.0.1",
    "198.18.0.1", "203.0.113.9", "224.0.0.1", "240.0.0.1", "255.255.255.255", "100.100.100.200",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b:1::1", "100::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "ff02::1",
    "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "4000::1", "not an address",
]  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
def test_address_that_is_not_public_is_refused(address: str) -> None:
    assert why_refused(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111"])
def test_public_address_is_allowed(address: str) -> None:
    assert why_refused(address) == ""


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "0.0.0.0"]
)
def test_no_spelling_of_this_machine_gets_through(host: str, server: RawServer) -> None:
    with pytest.raises(TargetRefusedError):
        get(f"http://{host}:{server.port}/")
    assert server.requests == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1"])
def test_numbers_that_resolvers_read_as_this_machine_are_refused(
    host: str, server: RawServer
) -> None:
    async def like_libc(name: str, port: int) -> Sequence[str]:
        return [socket.inet_ntoa(socket.inet_aton(name))]

    with pytest.raises(TargetRefusedError, match=r"loopback address|Invalid IPv4"):
        get(f"http://{host}:{server.port}/", client=SafeClient(resolver=like_libc))
    assert server.requests == []


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ftp://example.com/", "scheme 'ftp' is not supported"),
        ("file:///etc/passwd", "scheme 'file' is not supported"),
        ("//example.com/", "scheme '.none.' is not supported"),
        ("http://user:secret@example.com/", "user name or password"),
        ("http:///path", "names no host"),
        ("http://[::1", "not valid"),
        ("http://a\nb/", "not valid"),
        ("http://e/" + "x" * 8000, "longer than 8000"),
    ],
)
def test_url_that_may_not_be_asked(url: str, sentence: str) -> None:
    with pytest.raises(TargetRefusedError, match=sentence) as refused:
        get(url)
    assert "secret" not in str(refused.value)


def test_allowed_host_and_port_are_reached(server: RawServer) -> None:
    answer = get(f"http://{server.host}/a?b=c", client=SafeClient(allow_hosts=[server.host]))
    assert (answer.status, answer.body) == (200, b"ok")
    assert server.requests[0].startswith(b"GET /a?b=c HTTP/1.1\r\n")


def test_another_port_of_an_allowed_host_is_refused(server: RawServer) -> None:
    client = SafeClient(allow_hosts=["127.0.0.1:1", f"localhost:{server.port}"])
    with pytest.raises(TargetRefusedError, match="loopback address"):
        get(f"http://{server.host}/", client=client)
    assert server.requests == []


@pytest.mark.parametrize("entry", ["host", "host:", ":80", "host:0", "host:70000", "::1:80", "a:b"])
def test_wrong_entry_in_the_allow_list_is_named(entry: str) -> None:
    with pytest.raises(InvalidInputError, match="is not host:port"):
        allowed_hosts([entry])


def test_allow_list_compares_hosts_as_written_in_any_way() -> None:
    assert allowed_hosts(["API.Internal.:80", "[0:0::1]:8080"]) == {
        ("api.internal", 80),
        ("::1", 8080),
    }


def test_one_private_address_among_public_ones_refuses_the_name(server: RawServer) -> None:
    client = SafeClient(resolver=Names(mixed_test=[["8.8.8.8", "127.0.0.1"]]))
    with pytest.raises(TargetRefusedError, match=r"mixed\.test:80 is a loopback address"):
        get("http://mixed.test/", client=client)


def test_name_that_changes_its_address_is_looked_up_once_and_connected_as_judged(
    server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(rebind_test=[["93.184.216.34"], ["127.0.0.1"]])
    connected: list[str] = []

    async def connect(self: Any, host: str, port: int, **options: Any) -> Any:
        connected.append(host)
        raise OSError("stopped by the test")

    monkeypatch.setattr("httpcore2.AnyIOBackend.connect_tcp", connect)
    with pytest.raises(NotSentError):
        get(f"http://rebind.test:{server.port}/", client=SafeClient(resolver=names))
    assert connected == ["93.184.216.34"]
    assert names.asked == ["rebind.test"]


def test_redirect_to_a_private_address_is_refused(server: RawServer) -> None:
    server.handler = lambda connection, request: connection.sendall(
        plain(b"", "Location: http://169.254.169.254/latest/meta-data", status="302 Found")
    )
    with pytest.raises(TargetRefusedError, match="cloud metadata"):
        get(
            f"http://{server.host}/",
            client=SafeClient(allow_hosts=[server.host]),
            max_redirects=5,
        )


def test_redirect_whose_name_turns_private_is_refused(server: RawServer) -> None:
    names = Names(turns_test=[["127.0.0.1"]])
    client = SafeClient(allow_hosts=[server.host], resolver=names)
    names._table["127.0.0.1"] = [["127.0.0.1"]]
    server.handler = lambda connection, request: connection.sendall(
        plain(b"", f"Location: http://turns.test:{server.port}/x", status="301 Moved")
    )
    with pytest.raises(TargetRefusedError, match=r"turns\.test"):
        get(f"http://{server.host}/", client=client, max_redirects=5)
    assert len(server.requests) == 1


def test_redirects_are_followed_to_their_limit(server: RawServer) -> None:
    server.handler = lambda connection, request: connection.sendall(
        plain(b"", f"Location: /{len(server.requests)}", status="302 Found")
        if len(server.requests) < 6
        else plain(b"arrived")
    )
    client = SafeClient(allow_hosts=[server.host])
    answer = get(f"http://{server.host}/", client=client, max_redirects=5)
    assert (answer.body, answer.url) == (b"arrived", f"http://{server.host}/5")
    server.requests.clear()
    with pytest.raises(NoAnswerError, match="redirects more than 4 times"):
        get(f"http://{server.host}/", client=client, max_redirects=4)
    for location in ("file:///etc/passwd", "http://user:pw@x/", ""):
        server.handler = answering(
            plain(b"", *([f"Location: {location}"] if location else []), status="302 Found")
        )
        with pytest.raises((TargetRefusedError, NoAnswerError)):
            get(f"http://{server.host}/", client=client, max_redirects=5)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_compression_bomb_is_cut_at_the_limit(coding: str, server: RawServer) -> None:
    zeros = bytes(50 * 1024 * 1024)
    bomb = gzip.compress(zeros) if coding == "gzip" else zlib.compress(zeros)
    server.handler = lambda connection, request: connection.sendall(
        plain(bomb, f"Content-Encoding: {coding}")
    )
    answer = get(
        f"http://{server.host}/", client=SafeClient(allow_hosts=[server.host]), max_bytes=1000
    )
    assert (len(answer.body), answer.is_cut) == (1000, True)


def test_compressed_body_is_unpacked_and_damage_is_told(server: RawServer) -> None:
    client = SafeClient(allow_hosts=[server.host])
    packed = gzip.compress(b"hello")
    server.handler = lambda connection, request: connection.sendall(
        plain(packed, "Content-Encoding: gzip")
    )
    assert get(f"http://{server.host}/", client=client).body == b"hello"
    server.handler = lambda connection, request: connection.sendall(
        plain(b"not gzip at all", "Content-Encoding: gzip")
    )
    with pytest.raises(NoAnswerError, match="damaged body"):
        get(f"http://{server.host}/", client=client)
    server.handler = lambda connection, request: connection.sendall(
        plain(b"x", "Content-Encoding: br")
    )
    with pytest.raises(NoAnswerError, match="unsupported encoding 'br'"):
        get(f"http://{server.host}/", client=client)


def test_body_of_5_mb_arrives_whole_or_cut_where_asked(server: RawServer) -> None:
    body = b"x" * 5 * 1024 * 1024
    server.handler = lambda connection, request: connection.sendall(plain(body))
    client = SafeClient(allow_hosts=[server.host])
    whole = get(f"http://{server.host}/", client=client, max_bytes=len(body))
    assert (len(whole.body), whole.is_cut) == (len(body), False)
    cut = get(f"http://{server.host}/", client=client, max_bytes=len(body) - 1)
    assert (len(cut.body), cut.is_cut) == (len(body) - 1, True)


def test_slow_drip_ends_at_the_total_time(server: RawServer) -> None:
    def drip(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not server.stopping.wait(0.02):
            connection.sendall(b".")

    server.handler = drip
    with pytest.raises(NoAnswerError, match=r"no whole answer in 0\.3 seconds"):
        get(
            f"http://{server.host}/",
            client=SafeClient(allow_hosts=[server.host]),
            timeout_seconds=0.3,
        )


def test_endless_headers_and_nonsense_are_no_answer(server: RawServer) -> None:
    client = SafeClient(allow_hosts=[server.host])
    for data in (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000, b"nonsense\r\n\r\n", b""):
        server.handler = answering(data)
        with pytest.raises(NoAnswerError):
            get(f"http://{server.host}/", client=client)


def test_closed_port_is_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotSentError, match="could not be reached"):
        get(f"http://127.0.0.1:{port}/", client=SafeClient(allow_hosts=[f"127.0.0.1:{port}"]))


def test_header_that_may_not_be_sent_is_not_sent(server: RawServer) -> None:
    with pytest.raises(NotSentError):
        get(
            f"http://{server.host}/",
            client=SafeClient(allow_hosts=[server.host]),
            headers={"x": "a\r\ninjected: 1"},
        )
    assert server.requests in ([], [b""])


@pytest.mark.parametrize("sign", ["\n", "\r", "\x00"])
def test_the_value_of_a_header_that_may_not_be_sent_is_in_no_sentence(
    server: RawServer, sign: str
) -> None:
    """A secret with a stray character is refused below, by a library that shows what it refuses."""
    with pytest.raises(NotSentError) as refused:
        get(
            f"http://{server.host}/",
            client=SafeClient(allow_hosts=[server.host]),
            headers={"authorization": f"Bearer part-one{sign}part-two"},
        )
    assert "part-one" not in str(refused.value)
    assert "header" in str(refused.value)


def test_proxies_of_the_environment_are_not_used(
    server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    client = SafeClient(allow_hosts=[server.host])
    assert get(f"http://{server.host}/", client=client).body == b"ok"


def test_tls_is_verified_against_the_name_not_the_address(tmp_path: Path) -> None:
    pem = self_signed(tmp_path, x509.DNSName("good.test"))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem)
    named: list[str | None] = []
    serving.sni_callback = lambda connection, name, context: named.append(name)

    async def scenario() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(plain(b"secure", "Connection: close"))
            await writer.drain()
            writer.close()

        listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=serving)
        port = listener.sockets[0].getsockname()[1]
        client = SafeClient(
            allow_hosts=[f"good.test:{port}", f"bad.test:{port}"],
            resolver=Names(good_test=[["127.0.0.1"]], bad_test=[["127.0.0.1"]]),
            trust=ssl.create_default_context(cafile=str(pem)),
        )
        answer = await client.request("GET", f"https://good.test:{port}/")
        assert answer.body == b"secure"
        with pytest.raises(NotSentError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.request("GET", f"https://bad.test:{port}/")
        listener.close()

    asyncio.run(scenario())
    assert named == ["good.test", "bad.test"]


def test_every_private_ipv4_network_is_refused() -> None:
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"):
        addresses = ipaddress.IPv4Network(network)
        assert why_refused(str(addresses[0]))
        assert why_refused(str(addresses[-1]))
