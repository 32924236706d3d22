"""Encrypted connections: certificates are checked, and one that is trusted works."""

import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509

from agents.contracts import Provider, ProviderConfig, ProviderKind, user_message
from agents.errors import ProviderConnectionError
from agents.providers import endpoint
from agents.providers.build import build_provider
from tests.conformance.provider.subjects import answer_of, ask
from tests.wire.certificates import self_signed
from tests.wire.http_server import Exchange, HttpServer

CHUNK = b'data: {"choices":[{"delta":{"content":"safe"},"finish_reason":"stop"}]}\n\n'


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file with a key and a certificate of its own for 127.0.0.1."""
    return self_signed(tmp_path, x509.IPAddress(ipaddress.ip_address("127.0.0.1")))


@asynccontextmanager
async def encrypted(certificate: Path) -> AsyncIterator[Provider]:
    async def handle(exchange: Exchange) -> None:
        await exchange.send(200, CHUNK, headers={"content-type": "text/event-stream"})

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = HttpServer(handle)
    await server.start(tls=context)
    url = f"https://127.0.0.1:{server.port}"
    provider = build_provider(
        ProviderConfig(kind=ProviderKind.OPENAI, name="acme", base_url=url, max_retries=0)
    )
    try:
        yield provider
    finally:
        await provider.aclose()
        await server.close()


async def test_a_certificate_nobody_vouches_for_is_refused(certificate: Path) -> None:
    async with encrypted(certificate) as provider:
        with pytest.raises(ProviderConnectionError, match="certificate verify failed"):
            await answer_of(provider, ask(user_message("go")))


async def test_a_trusted_certificate_is_accepted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(endpoint, "_tls", lambda: trusting)
    async with encrypted(certificate) as provider:
        answer = await answer_of(provider, ask(user_message("go")))
    assert answer.message.text == "safe"
