"""Answers that come compressed, unmarked or not at all as a stream."""

import gzip
from collections.abc import Mapping

import pytest

from agents.contracts import ModelOptions, ProviderConfig, ProviderKind, user_message
from agents.errors import ProviderConnectionError, ProviderError, ProviderProtocolError
from agents.providers.build import build_provider
from agents.providers.wire import MAX_ERROR_BYTES, VendorConnection
from tests.conformance.provider.subjects import KEY, answer_of, ask
from tests.wire.http_server import Exchange, HttpServer

CHUNK = b'data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n'


async def outcome(
    body: bytes,
    headers: Mapping[str, str],
    *,
    status: int = 200,
    options: ModelOptions | None = None,
) -> str | ProviderError:
    """Return the text, or the error, that this answer leads to."""

    async def handle(exchange: Exchange) -> None:
        await exchange.send(status, body, headers=headers)

    server = HttpServer(handle)
    await server.start()
    url = f"http://127.0.0.1:{server.port}"
    provider = build_provider(
        ProviderConfig(kind=ProviderKind.OPENAI, name="acme", base_url=url, max_retries=0)
    )
    try:
        answer = await answer_of(
            provider, ask(user_message("go"), options=options or ModelOptions())
        )
        return answer.message.text
    except ProviderError as error:
        return error
    finally:
        await provider.aclose()
        await server.close()


SSE = {"content-type": "text/event-stream"}


async def test_a_stream_of_known_length_without_its_farewell_is_read() -> None:
    assert await outcome(CHUNK, SSE) == "hi"
    assert await outcome(CHUNK.rstrip(), {"content-type": "text/plain"}) == "hi"


async def test_gzip_is_read_though_it_was_not_asked_for() -> None:
    packed = gzip.compress(CHUNK + b"data: [DONE]\n\n")
    assert await outcome(packed, {**SSE, "content-encoding": "gzip"}) == "hi"


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        (CHUNK, {**SSE, "content-encoding": "br"}, "in a way that is not read. It begins: br"),
        (CHUNK, {**SSE, "content-encoding": "gzip"}, "compression is broken"),
        (b"hello there", SSE, "something that is no stream. It begins: hello there"),
        (b'{"a": ', {"content-type": "application/json"}, "is not valid. It begins: {"),
        (b"{}", {"content-type": "application/json"}, None),
        (b"", SSE, None),
    ],
)
async def test_other_answers_are_errors(
    body: bytes, headers: Mapping[str, str], said: str | None
) -> None:
    error = await outcome(body, headers)
    if said is None:
        assert type(error) is ProviderConnectionError
    else:
        assert type(error) is ProviderProtocolError
        assert said in error.message


async def test_only_the_beginning_of_a_huge_error_is_read() -> None:
    error = await outcome(b"x" * (MAX_ERROR_BYTES * 8), {"content-type": "text/plain"}, status=500)
    assert isinstance(error, ProviderError)
    assert len(error.message) < 600


async def test_options_that_are_no_json_are_refused_before_anything_is_sent() -> None:
    error = await outcome(CHUNK, SSE, options=ModelOptions(extra={"user": object()}))
    assert isinstance(error, ProviderError)
    assert "cannot be written as JSON" in error.message


def test_no_key_is_shown_by_the_connection() -> None:
    connection = VendorConnection(
        ProviderConfig(kind=ProviderKind.OPENAI, api_key=KEY, headers={"x-key": KEY[::-1]}),
        default_base_url="https://api.example.com",
        key_header=("authorization", "Bearer {}"),
    )
    assert repr(connection) == (
        "VendorConnection(name='openai', base_url='https://api.example.com')"
    )
    said = connection.failures.scrub(f"bad {KEY} and {KEY[::-1]}")
    assert said == "bad [key removed] and [key removed]"
