"""Headers that are added outside: for the bound host alone, and never to be seen inside."""

import base64
import ssl

import pytest
from cryptography import x509

from sandbox.contracts import HostCredential
from sandbox.egress import Gateway
from sandbox.egress.mask import Mask, spellings_of
from sandbox.errors import SandboxRefusedError
from tests.unit.sandbox.egress.world import OK, World

PACKED = OK.replace(b"OK\r\n", b"OK\r\nContent-Encoding: gzip\r\n")
SECRET = "Bearer canary-41c8d9e2"


def bound(place: str, *, header: str = "Authorization", value: str = SECRET) -> HostCredential:
    return HostCredential(host=place, header=header, value=value)


def get(place: str, *fields: str) -> bytes:
    lines = [f"GET http://{place}/x HTTP/1.1", f"Host: {place}", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


async def test_the_header_is_added_and_the_clients_own_is_dropped(world: World) -> None:
    site = await world.upstream("a.test", "b.test")
    bare, place = f"b.test:{site.port}", f"a.test:{site.port}"
    own = ("Authorization: mine", "AUTHORIZATION: mine", "Accept-Encoding: gzip")
    async with world.opened(place, bare, credentials=[bound(place)]):
        await world.ask(get(place, *own, "Connection: authorization"))
        await world.ask(get(bare, *own[:1]))

    assert site.got[0].decode().split("\r\n")[1:-2] == [
        f"Host: {place}",
        "Accept-Encoding: identity",
        f"Authorization: {SECRET}",
        "Connection: close",
    ]
    assert "canary" not in site.got[1].decode()
    assert "Authorization: mine" in site.got[1].decode()


async def test_an_underscore_does_not_bring_the_clients_own_back(world: World) -> None:
    site = await world.upstream("a.test")
    place = f"a.test:{site.port}"
    async with world.opened(place, credentials=[bound(place, header="X-Api-Key")]):
        await world.ask(get(place, "X_Api_Key: mine", "x-api_key: mine", "X-Api-Key: mine"))

    assert "mine" not in site.got[0].decode()
    assert f"X-Api-Key: {SECRET}" in site.got[0].decode()


async def test_inside_tls_the_gateway_adds_it_with_an_authority_of_its_own(world: World) -> None:
    site = await world.upstream("a.test", with_tls="a.test")
    place = f"a.test:{site.port}"
    async with world.opened(place, credentials=[bound(place)]) as gateway:
        answer = await world.ask_tls(
            place,
            f"GET /x HTTP/1.1\r\nHost: {place}\r\nAuthorization: mine\r\n\r\n".encode(),
            name="a.test",
            context=world.inside_trust(),
        )
        records = await gateway.taken()

    assert answer.endswith(b"\r\n\r\nhello")
    assert len(site.got) == 1
    assert f"Authorization: {SECRET}" in site.got[0].decode()
    assert "mine" not in site.got[0].decode()
    assert [(r.host, r.is_allowed, r.reason) for r in records] == [("a.test", True, "")]
    assert records[0].sent_bytes == len(site.got[0])


@pytest.mark.parametrize(
    "request_head",
    [
        "GET /x HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n",  # another port
        "GET http://evil.test/ HTTP/1.1\r\nHost: {place}\r\n\r\n",
        "CONNECT evil.test:443 HTTP/1.1\r\nHost: {place}\r\n\r\n",
        "TRACE /x HTTP/1.1\r\nHost: {place}\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: {place}\r\nContent-Length: 1\r\nTransfer-Encoding: x\r\n\r\n",
    ],
)
async def test_inside_tls_only_requests_to_the_host_get_it(world: World, request_head: str) -> None:
    site = await world.upstream("a.test", "evil.test", with_tls="a.test")
    place = f"a.test:{site.port}"
    async with world.opened(place, credentials=[bound(place)]) as gateway:
        answer = await world.ask_tls(
            place,
            request_head.format(place=place).encode(),
            name="a.test",
            context=world.inside_trust(),
        )
        records = await gateway.taken()

    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 403 "))
    assert not any(b"canary" in got for got in site.got)
    assert [record.is_allowed for record in records] == [False]


async def test_the_real_server_must_prove_its_name(world: World) -> None:
    site = await world.upstream("a.test", with_tls="other.test")
    place = f"a.test:{site.port}"
    async with world.opened(place, credentials=[bound(place)]) as gateway:
        answer = await world.ask_tls(
            place,
            f"GET /x HTTP/1.1\r\nHost: {place}\r\n\r\n".encode(),
            name="a.test",
            context=world.inside_trust(),
        )
        records = await gateway.taken()

    assert answer.startswith(b"HTTP/1.1 502 ")
    assert "its certificate cannot be verified" in records[0].reason
    assert not any(b"canary" in got for got in site.got)


async def test_the_authority_vouches_for_nothing_else(world: World) -> None:
    async with world.opened("a.test:443", "b.test:443", credentials=[bound("a.test:443")]) as found:
        roots = b"".join(found.files.values())
        certificate = x509.load_pem_x509_certificate(roots)
        allowed = certificate.extensions.get_extension_for_class(x509.NameConstraints)

    assert allowed.critical
    assert allowed.value.permitted_subtrees == [x509.DNSName("a.test")]
    assert len(allowed.value.excluded_subtrees or []) == 2
    assert b"PRIVATE" not in roots
    assert found.environment["SSL_CERT_FILE"] in found.files


async def test_a_client_that_names_another_server_is_not_let_in(world: World) -> None:
    site = await world.upstream("a.test", with_tls="a.test")
    place = f"a.test:{site.port}"
    context = world.trust
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with world.opened(place, credentials=[bound(place)]) as gateway:
        with pytest.raises((OSError, EOFError)):
            await world.ask_tls(place, b"GET", name="evil.test", context=context)
        records = await gateway.taken()

    assert "names 'evil.test'" in records[0].reason
    assert site.got == []


async def test_what_the_other_end_sends_back_is_blotted_out(world: World) -> None:
    word = SECRET.split()[1]
    body = f"you are {word}, {SECRET}!"
    answer = f"HTTP/1.1 200 OK\r\nX-Echo: {word}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    site = await world.upstream("a.test", answer=answer.encode())
    place = f"a.test:{site.port}"
    async with world.opened(place, credentials=[bound(place)]):
        told = await world.ask(get(place))

    assert b"canary" not in told
    assert told.endswith(f"\r\n\r\nyou are {'*' * len(word)}, {'*' * len(SECRET)}!".encode())
    assert f"X-Echo: {'*' * len(word)}".encode() in told


async def test_an_answer_that_cannot_be_looked_through_is_not_passed_on(world: World) -> None:
    site = await world.upstream("a.test", answer=PACKED)
    place = f"a.test:{site.port}"
    async with world.opened(place, credentials=[bound(place)]):
        assert (await world.ask(get(place))).startswith(b"HTTP/1.1 502 ")
    free = World(world.folder)
    site = await free.upstream("a.test", answer=PACKED)
    async with free.opened(f"a.test:{site.port}"):
        assert (await free.ask(get(f"a.test:{site.port}"))).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_value_is_found_wherever_the_stream_is_cut(cut: int) -> None:
    mask = Mask(spellings_of(SECRET))
    text = b"a Bearer canary-41c8d9e2 Bearer b canary-41c8d9e2"
    told = b"".join(mask.hide(text[at : at + cut]) for at in range(0, len(text), cut)) + mask.rest()

    assert b"canary-41c8d9e2" not in told
    assert len(told) == len(text)


def test_what_basic_encodes_is_looked_for_too() -> None:
    value = "Basic " + base64.b64encode(b"user:password-77").decode()

    assert {b"user:password-77", b"password-77", value.encode()} <= spellings_of(value)


@pytest.mark.parametrize(
    ("place", "header", "value"),
    [
        ("b.test:443", "X-Key", "canary-7"),
        ("a.test:80", "X-Key", "canary-7"),
        ("a.test", "X-Key", "canary-7"),
        ("*.test:443", "X-Key", "canary-7"),
        ("a.test:443", "X Key", "canary-7"),
        ("a.test:443", "Host", "canary-7"),
        ("a.test:443", "content_length", "canary-7"),
        ("a.test:443", "Transfer-Encoding", "chunked"),
        ("a.test:443", "X-Key", "a\r\nX: b"),
        ("a.test:443", "X-Key", ""),
        ("a.test:443", "X-Key", " padded"),
        ("a.test:443", "X-Key", "ä-value"),
    ],
)
def test_a_credential_that_cannot_be_sent_is_refused_unseen(
    place: str, header: str, value: str
) -> None:
    with pytest.raises(SandboxRefusedError) as refused:
        Gateway(["a.test:443"], [bound(place, header=header, value=value)])

    assert "canary" not in str(refused.value)


def test_one_header_has_one_credential() -> None:
    with pytest.raises(SandboxRefusedError, match="two for the same header"):
        Gateway(["a.test:443"], [bound("a.test:443"), bound("A.test:443", header="authorization")])
