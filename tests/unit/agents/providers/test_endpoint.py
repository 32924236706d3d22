"""Base URLs are checked, and metadata services are never reached, by no name and no notation."""

import httpcore2
import pytest

from agents.contracts import ProviderConfig, ProviderKind, user_message
from agents.errors import ProviderConnectionError
from agents.providers.build import build_provider
from agents.providers.endpoint import checked_base_url, is_metadata_address, is_metadata_host
from core.errors import InvalidInputError
from tests.conformance.provider.subjects import answer_of, ask


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example.com/v1/", "https://api.example.com/v1"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:11434/v1", "http://[::1]:11434/v1"),
        ("http://10.0.0.5", "http://10.0.0.5"),
    ],
)
def test_ordinary_addresses_are_allowed(url: str, expected: str) -> None:
    assert checked_base_url(url, provider="acme") == expected


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.com", "http:// or https://"),
        ("example.com/v1", "http:// or https://"),
        ("file:///etc/passwd", "http:// or https://"),
        ("https://", "names no host"),
        ("https://user:secret@example.com", "user name or password"),
        ("https://example.com/v1?key=1", "query or a fragment"),
        ("https://example.com/#x", "query or a fragment"),
        (" https://example.com", "blanks"),
        ("https://example.com\\@evil", "backslashes"),
        ("https://exa\nmple.com", "control characters"),
        ("https://example.com:99999", "not a valid URL"),
        ("https://[::1", "not a valid URL"),
        (f"https://{'a' * 70}.example", "not a valid URL"),
        ("https://a..example", "not a valid URL"),
    ],
)
def test_other_urls_are_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why) as caught:
        checked_base_url(url, provider="acme")
    assert "acme" in caught.value.message
    assert list(caught.value.fields) == ["base_url"]
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.170.2",
        "2852039166",
        "0xa9fea9fe",
        "0xa9.0xfe.0xa9.0xfe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::1%eth0",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "metadata.google.internal",
        "METADATA.google.internal.",
    ],
)
def test_metadata_services_are_known_in_every_notation(host: str) -> None:
    assert is_metadata_host(host)
    shown = f"[{host.partition('%')[0]}]" if ":" in host else host
    with pytest.raises(InvalidInputError, match="metadata service"):
        checked_base_url(f"http://{shown}/v1", provider="acme")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "api.openai.com", "::1", "face.cafe"])
def test_other_hosts_are_not_metadata_services(host: str) -> None:
    assert not is_metadata_host(host)
    assert not is_metadata_address("no address at all")


class _Stream(httpcore2.AsyncNetworkStream):
    """A connection whose other end is a metadata service."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.is_closed = False

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.sent.append(buffer)

    async def aclose(self) -> None:
        self.is_closed = True

    def get_extra_info(self, info: str) -> object:
        return ("169.254.169.254", 80) if info == "server_addr" else None


async def test_a_name_that_leads_to_a_metadata_service_is_left_before_a_byte_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = _Stream()

    async def connect(self: object, host: str, *_: object, **__: object) -> _Stream:
        assert host == "innocent.example"
        return stream

    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", connect)
    config = ProviderConfig(
        kind=ProviderKind.OPENAI, base_url="http://innocent.example/v1", api_key="k", max_retries=0
    )
    provider = build_provider(config)
    with pytest.raises(ProviderConnectionError, match="metadata service: refused"):
        await answer_of(provider, ask(user_message("hello")))
    assert stream.sent == []
    assert stream.is_closed
    await provider.aclose()
