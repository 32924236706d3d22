"""Answers that go on, over ASGI: events as they are, trace files, the earlier tool's lines."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from agents.contracts import RunState
from agents.models import Run
from agents.transitions import run_move
from governance.guard import consumers
from observability import live
from observability.live import viewer
from tests.factories.agents import make_agent, make_finished_run, make_run
from tests.factories.governance import Cast, make_cast

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def cast_(transactional_db: None) -> AsyncIterator[Cast]:
    yield await sync_to_async(make_cast)()
    await live.stop()


async def _text(response: Any) -> str:
    return b"".join([chunk async for chunk in response.streaming_content]).decode()


async def test_a_finished_run_is_streamed_from_any_cursor_to_its_end(cast_: Cast) -> None:
    run = await sync_to_async(make_finished_run)(cast_.acme)
    secret = await sync_to_async(cast_.token)("operator")
    client, headers = AsyncClient(), {"authorization": f"Bearer {secret}"}
    address = f"/api/v1/workspaces/acme/runs/{run.pk}/events/stream"

    whole = await client.get(address, headers={**headers, "accept": "text/event-stream"})
    text = await _text(whole)
    rest = await _text(await client.get(address, headers={**headers, "last-event-id": "1"}))

    assert whole["Content-Type"].startswith("text/event-stream")
    assert "event: run.created" in text
    assert text.rstrip().endswith("event: end\ndata: {}")
    assert "event: run.created" not in rest
    assert "event: run.state" in rest


async def test_a_stream_outlives_the_check_of_its_rights(
    cast_: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []
    is_asked_again = asyncio.Event()

    def forgotten(secret: str) -> None:
        """As if the two seconds were over for which a token is known."""
        asked.append(secret)
        if len(asked) > 3:
            is_asked_again.set()

    monkeypatch.setattr(viewer, "RECHECK_SECONDS", 0.01)
    monkeypatch.setattr(consumers, "peek_actor", forgotten)
    run = await sync_to_async(make_run)(cast_.acme)
    secret = await sync_to_async(cast_.token)("operator")
    answer = await AsyncClient().get(
        f"/api/v1/workspaces/acme/runs/{run.pk}/events/stream",
        headers={"authorization": f"Bearer {secret}"},
    )
    reading = asyncio.create_task(_text(answer))

    async with asyncio.timeout(30):
        await is_asked_again.wait()
    await sync_to_async(_end)()
    text = await reading

    assert "event: error" not in text
    assert text.rstrip().endswith("event: end\ndata: {}")


async def test_a_stream_of_nothing_is_a_problem(cast_: Cast) -> None:
    run = await sync_to_async(make_finished_run)(cast_.acme)
    outsider = await sync_to_async(cast_.token)("outsider")
    client, headers = AsyncClient(), {"authorization": f"Bearer {outsider}"}

    answer = await client.get(
        f"/api/v1/workspaces/acme/runs/{run.pk}/events/stream", headers=headers
    )

    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


async def test_a_trace_is_sent_in_pieces(cast_: Cast) -> None:
    run = await sync_to_async(make_finished_run)(cast_.acme)
    secret = await sync_to_async(cast_.token)("operator")
    client, headers = AsyncClient(), {"authorization": f"Bearer {secret}"}

    answer = await client.get(f"/api/v1/workspaces/acme/runs/{run.pk}/trace", headers=headers)

    lines = [json.loads(line) for line in (await _text(answer)).splitlines()]
    assert lines[0]["kind"] == "run.created"


async def test_invoke_streams_events_until_the_run_ends(cast_: Cast) -> None:
    await sync_to_async(make_agent)(cast_.acme)
    secret = await sync_to_async(cast_.token)("operator")

    text = await _invoked(secret, "/api/v1/workspaces/acme/agents/helper/invoke")

    assert "event: end" in text


async def test_the_earlier_invoke_streams_its_own_lines(cast_: Cast) -> None:
    await sync_to_async(make_agent)(cast_.acme, "default")
    secret = await sync_to_async(cast_.token)("operator", workspace=cast_.acme)

    text = await _invoked(secret, "/invoke")

    lines = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line]
    run = await Run.objects.aget()
    assert lines[-1]["type"] == "summary"
    assert {line["agent_id"] for line in lines} == {str(run.pk)}


async def _invoked(secret: str, address: str) -> str:
    """Start a run and have its events streamed; return them all, up to its end."""
    answer = await AsyncClient().post(
        address,
        {"input": "x", "stream": True},
        content_type="application/json",
        headers={"authorization": f"Bearer {secret}"},
    )
    assert answer.status_code == 200
    await sync_to_async(_end)()
    return await _text(answer)


def _end() -> None:
    run_move(run_id=Run.objects.get().pk, target=RunState.CANCELLED)
