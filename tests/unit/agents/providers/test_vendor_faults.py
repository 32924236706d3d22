"""Every way a vendor can fail becomes one sentence that names it, says what to do, and no key."""

import asyncio
import socket
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from agents.contracts import (
    FinishReason,
    ModelOptions,
    ProviderConfig,
    ProviderKind,
    TextDelta,
    user_message,
)
from agents.errors import (
    ProviderAuthError,
    ProviderConnectionError,
    ProviderError,
    ProviderOverloadedError,
    ProviderProtocolError,
    ProviderRateLimitError,
    ProviderRequestError,
    ProviderTimeoutError,
)
from agents.providers import wire
from agents.providers.build import build_provider
from core import clock
from tests.conformance.provider.subjects import (
    KEY,
    VENDORS,
    answer_of,
    ask,
    vendor_subject,
)

pytestmark = pytest.mark.parametrize("kind", VENDORS)

LONG = "one two three four five six seven eight nine ten"


async def failure_of(kind: str, fault: dict[str, Any], **settings: Any) -> ProviderError:
    """Return the error one faulty answer leads to, without retries, checked for the key."""
    answer = {"text": LONG, "faults": [{**fault, "times": 0}]}
    settings.setdefault("max_retries", 0)
    async with vendor_subject(kind, answer, name="acme", **settings) as (provider, _):
        with pytest.raises(ProviderError) as caught:
            await answer_of(provider, ask(user_message("hello")))
    error = caught.value
    assert "acme" in error.message
    assert error.remedy
    assert KEY not in f"{error!r} {error} {error.__cause__!r}"
    return error


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ProviderRequestError),
        (401, ProviderAuthError),
        (402, ProviderRequestError),
        (403, ProviderAuthError),
        (404, ProviderRequestError),
        (408, ProviderTimeoutError),
        (409, ProviderOverloadedError),
        (413, ProviderRequestError),
        (422, ProviderRequestError),
        (429, ProviderRateLimitError),
        (500, ProviderOverloadedError),
        (502, ProviderOverloadedError),
        (503, ProviderOverloadedError),
        (504, ProviderTimeoutError),
        (529, ProviderOverloadedError),
    ],
)
async def test_each_status_has_its_error(
    kind: str, status: int, expected: type[ProviderError]
) -> None:
    fault = {"kind": "status", "status": status, "message": "the\x1b[31m cause\n of it"}
    error = await failure_of(kind, fault)
    assert type(error) is expected
    assert error.vendor_status == status
    assert error.message == f"acme refused with status {status}: the [31m cause of it."


async def test_an_unknown_model_is_named_in_the_remedy(kind: str) -> None:
    error = await failure_of(kind, {"kind": "status", "status": 404})
    assert "'model-1'" in error.remedy


async def test_retry_after_is_read_in_seconds_and_as_a_date(kind: str) -> None:
    fault = {"kind": "status", "status": 429, "retry_after": "7"}
    error = await failure_of(kind, fault)
    assert error.retry_after_seconds == 7.0
    assert "in 7 seconds" in error.remedy
    moment = format_datetime(clock.now() + timedelta(seconds=90), usegmt=True)
    error = await failure_of(kind, {**fault, "retry_after": moment})
    assert error.retry_after_seconds is not None
    assert 80 < error.retry_after_seconds <= 90
    error = await failure_of(kind, {**fault, "retry_after": "soon"})
    assert error.retry_after_seconds is None


async def test_a_key_that_the_vendor_repeats_is_struck_out(kind: str) -> None:
    error = await failure_of(kind, {"kind": "echo_key", "status": 401})
    assert "[key removed]" in error.message


async def test_a_redirect_is_not_followed(kind: str) -> None:
    error = await failure_of(kind, {"kind": "redirect", "status": 307})
    assert type(error) is ProviderRequestError
    assert "http://127.0.0.1:9/elsewhere" in error.message


async def test_a_web_page_is_no_answer(kind: str) -> None:
    error = await failure_of(kind, {"kind": "html"})
    assert type(error) is ProviderProtocolError
    assert "web page" in error.message


async def test_an_error_document_with_status_200_is_an_error(kind: str) -> None:
    fault = {"kind": "plain_json_error", "status": 429, "message": "slow down"}
    error = await failure_of(kind, fault)
    assert isinstance(error, ProviderRateLimitError | ProviderOverloadedError)
    assert "slow down" in error.message


async def test_a_server_that_never_begins_runs_into_the_time_out(kind: str) -> None:
    error = await failure_of(kind, {"kind": "hang"}, timeout_seconds=0.5)
    assert type(error) is ProviderTimeoutError
    assert "did not begin to answer: nothing came for 0.5 seconds" in error.message


async def test_a_server_that_stops_midway_runs_into_the_time_out(kind: str) -> None:
    error = await failure_of(kind, {"kind": "hang_midway"}, timeout_seconds=0.5)
    assert type(error) is ProviderTimeoutError
    assert "stopped in the middle of its answer" in error.message


async def test_a_connection_reset_before_the_answer(kind: str) -> None:
    error = await failure_of(kind, {"kind": "reset"})
    assert type(error) is ProviderConnectionError
    assert "closed the connection without an answer" in error.message


@pytest.mark.parametrize("fault", ["cut", "truncate"])
async def test_a_stream_cut_before_its_finish(kind: str, fault: str) -> None:
    error = await failure_of(kind, {"kind": fault, "after_frames": 4})
    assert type(error) is ProviderConnectionError
    assert "cut off in the middle of its answer" in error.message


async def test_a_refused_connection(kind: str) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can answer there
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        config = ProviderConfig(
            kind=ProviderKind(kind), name="acme", base_url=url, api_key=KEY, max_retries=0
        )
        provider = build_provider(config)
        with pytest.raises(ProviderConnectionError, match="acme could not be reached"):
            await answer_of(provider, ask(user_message("hello")))
        await provider.aclose()


async def test_a_malformed_chunk(kind: str) -> None:
    error = await failure_of(kind, {"kind": "malformed_chunk"})
    assert type(error) is ProviderProtocolError
    assert "is not valid. It begins: " in error.message


async def test_an_error_object_inside_the_stream(kind: str) -> None:
    fault = {"kind": "error_in_stream", "message": "We are overloaded", "after_frames": 3}
    error = await failure_of(kind, fault)
    assert type(error) is ProviderOverloadedError
    assert error.message == "acme refused in the middle of its answer: We are overloaded."


async def test_an_endless_line_is_given_up(kind: str) -> None:
    error = await failure_of(kind, {"kind": "endless_line"})
    assert type(error) is ProviderProtocolError
    assert "a line is longer than 8388608 bytes" in error.message


async def test_an_endless_answer_is_given_up(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_RESPONSE_BYTES", 4096)
    answer = {"text": "x" * 5000}
    async with vendor_subject(kind, answer, max_retries=0) as (provider, _):
        with pytest.raises(ProviderProtocolError, match="more than 4096 bytes in one answer"):
            await answer_of(provider, ask(user_message("hello")))


async def test_bytes_that_drip_one_by_one_make_the_same_answer(kind: str) -> None:
    answer = {"text": "dröp by dröp 🌧", "faults": [{"kind": "slow_drip", "times": 0, "ms": 0}]}
    async with vendor_subject(kind, answer) as (provider, _):
        last = await answer_of(provider, ask(user_message("hello")))
    assert (last.message.text, last.finish) == ("dröp by dröp 🌧", FinishReason.STOP)


async def test_a_wrong_key_is_an_auth_error_and_is_not_retried(kind: str) -> None:
    async with vendor_subject(kind, {"text": "hi"}, key="another-key") as (provider, server):
        with pytest.raises(ProviderAuthError, match="API key provided is not valid"):
            await answer_of(provider, ask(user_message("hello")))
    assert [recorded.status for recorded in server.requests] == [401]


async def test_429_then_500_then_an_answer(kind: str) -> None:
    faults = [
        {"kind": "status", "status": 429, "retry_after": "0.01"},
        {"kind": "status", "status": 500},
    ]
    async with vendor_subject(kind, {"text": "at last", "faults": faults}) as (provider, server):
        last = await answer_of(provider, ask(user_message("hello")))
    assert last.message.text == "at last"
    assert [recorded.status for recorded in server.requests] == [429, 500, 200]


async def test_a_cut_stream_is_asked_again_and_only_the_end_is_told(kind: str) -> None:
    answer = {"text": LONG, "faults": [{"kind": "cut", "after_frames": 4}]}
    async with vendor_subject(kind, answer) as (provider, server):
        deltas = [delta async for delta in provider.complete(ask(user_message("hello")))]
    *shown, last = deltas
    streamed = "".join(delta.text for delta in shown if isinstance(delta, TextDelta))
    assert LONG.startswith(streamed)
    assert streamed != LONG
    assert last.message.text == LONG  # type: ignore[union-attr]
    assert len(server.requests) == 2


async def test_cancelling_the_reader_closes_the_connection(kind: str) -> None:
    endless = {"text": "x" * 100_000, "chunk_ms": 1}
    async with vendor_subject(kind, endless) as (provider, server):
        begun = asyncio.Event()

        async def read() -> None:
            async for _ in provider.complete(ask(user_message("hello"))):
                begun.set()

        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await server.client_left.wait()


async def test_an_extra_option_reaches_the_vendor_unless_it_would_break_the_request(
    kind: str,
) -> None:
    extra: dict[str, dict[str, Any]] = {
        "openai": {"user": "u1"},
        "anthropic": {"top_k": 3},
        "gemini": {"toolConfig": {}},
    }
    async with vendor_subject(kind, {"text": "hi"}, {"text": "hi"}) as (provider, server):
        request = ask(user_message("hello"), options=ModelOptions(extra=extra[kind]))
        await answer_of(provider, request)
        for name in ("tools", "model"):
            broken = ask(user_message("hello"), options=ModelOptions(extra={name: 1}))
            with pytest.raises(ProviderRequestError, match=f"option '{name}'"):
                await answer_of(provider, broken)
    assert len(server.requests) == 1
    assert extra[kind].items() <= server.requests[0].body.items()
