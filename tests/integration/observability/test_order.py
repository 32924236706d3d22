"""The order of a workspace's stream when transactions overlap (PostgreSQL)."""

import asyncio
import json
from contextlib import aclosing
from typing import Any
from uuid import UUID

import psycopg
import pytest

from core.clock import now
from core.ids import new_id
from tests.integration.observability.clients import ws_frames
from tests.integration.observability.kit import LiveServer, workspace_id

pytestmark = [pytest.mark.redis]


async def begin_with_event(url: str, run: UUID, sequence: int) -> psycopg.AsyncConnection[Any]:
    connection = await psycopg.AsyncConnection.connect(url)
    await connection.execute(
        "INSERT INTO observability_traceevent "
        "(workspace_id, run_id, sequence, kind, at, payload) VALUES (%s, %s, %s, %s, %s, %s)",
        (workspace_id("w"), run, sequence, "run.note", now(), json.dumps({})),
    )
    return connection


async def test_an_earlier_transaction_that_commits_later_is_not_skipped(
    cluster: LiveServer, postgres_url: str
) -> None:
    slow_run, fast_run = new_id(), new_id()
    frames = ws_frames(f"{cluster.ws}/workspaces/w?user=operator&after=0")
    async with aclosing(frames):
        assert await anext(frames) == {"type": "head", "cursor": "0.0", "is_live": True}

        slow = await begin_with_event(postgres_url, slow_run, 1)
        fast = await begin_with_event(postgres_url, fast_run, 1)
        await fast.commit()
        with pytest.raises(TimeoutError):
            # Longer than a poll: the row is there, but an older transaction is still open.
            async with asyncio.timeout(3):
                await asyncio.shield(frame := asyncio.ensure_future(anext(frames)))
        await slow.commit()

        events = (await frame)["events"]
        while len(events) < 2:
            events += (await anext(frames))["events"]
    await slow.close()
    await fast.close()

    assert [event["run_id"] for event in events] == [str(slow_run), str(fast_run)]


async def test_a_run_is_not_held_up_by_other_transactions(
    cluster: LiveServer, postgres_url: str
) -> None:
    slow_run, fast_run = new_id(), new_id()
    slow = await begin_with_event(postgres_url, slow_run, 1)
    fast = await begin_with_event(postgres_url, fast_run, 1)
    await fast.commit()
    frames = ws_frames(f"{cluster.ws}/runs/{fast_run}?user=operator")
    async with aclosing(frames):
        assert (await anext(frames))["cursor"] == "1"
        assert [event["sequence"] for event in (await anext(frames))["events"]] == [1]
    await slow.rollback()
    await slow.close()
    await fast.close()


async def test_a_rolled_back_transaction_leaves_no_hole_in_the_cursor(
    cluster: LiveServer, postgres_url: str
) -> None:
    lost_run, kept_run = new_id(), new_id()
    lost = await begin_with_event(postgres_url, lost_run, 1)
    kept = await begin_with_event(postgres_url, kept_run, 1)
    await kept.commit()
    await lost.rollback()
    frames = ws_frames(f"{cluster.ws}/workspaces/w?user=operator&after=0")
    async with aclosing(frames):
        events: list[dict[str, Any]] = []
        while not events:
            events = (await anext(frames)).get("events", [])
    await lost.close()
    await kept.close()

    assert [event["run_id"] for event in events] == [str(kept_run)]
