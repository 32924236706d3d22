"""Every event once and in order, whatever happens to the connection."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from core.ids import new_id
from tests.integration.observability.clients import (
    events_taken,
    events_until_live,
    sequences,
    sse_events,
    sse_events_cut,
    ws_events_cut,
    ws_frames,
)
from tests.integration.observability.kit import LiveServer
from tests.services import PostgresServer, RedisServer

TOTAL = 1500


def order(*runs: str, **more: Any) -> dict[str, Any]:
    return {"workspace": "w", "runs": list(runs), "count": TOTAL, "rate": 1000, **more}


async def first_event(server: LiveServer, run: str) -> None:
    """Wait until the run has an event, which is when it can be followed."""
    async with asyncio.timeout(20):
        while True:
            frames = ws_frames(f"{server.ws}/runs/{run}?user=operator&after=0")
            async with aclosing(frames):
                async for frame in frames:
                    if frame["type"] == "events":
                        return
                    if frame["type"] == "error":
                        break
            await asyncio.sleep(0.02)


async def test_a_run_followed_through_fifty_cuts_over_both_transports(embedded: LiveServer) -> None:
    run = str(new_id())
    embedded.write(**order(run))
    await first_event(embedded, run)

    over_socket, over_http = await asyncio.gather(
        ws_events_cut(f"{embedded.ws}/runs/{run}?user=operator", total=TOTAL, cuts=50, seed=1),
        sse_events_cut(f"{embedded.http}/runs/{run}?user=operator", total=TOTAL, cuts=50, seed=2),
    )

    assert sequences(over_socket) == list(range(1, TOTAL + 1))
    assert sequences(over_http) == list(range(1, TOTAL + 1))
    assert over_http[-1]["kind"] == "run.state"


@pytest.mark.redis
@pytest.mark.slow
async def test_a_workspace_followed_through_fifty_cuts_in_a_cluster(cluster: LiveServer) -> None:
    runs = [str(new_id()) for _ in range(7)]
    writer = cluster.writing(order(*runs))

    over_socket, over_http = await asyncio.gather(
        ws_events_cut(f"{cluster.ws}/workspaces/w?user=operator", total=TOTAL, cuts=50, seed=3),
        collect_sse(f"{cluster.http}/workspaces/w?user=operator&after=0", TOTAL),
    )

    assert writer.wait(10) == 0
    assert over_socket == over_http
    for run in runs:
        own = sequences(event for event in over_socket if event["run_id"] == run)
        assert own == list(range(1, len(own) + 1))
    assert len(over_socket) == TOTAL


async def collect_sse(url: str, total: int) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    stream = sse_events(url)
    async with aclosing(stream):
        async for fields in stream:
            if "id" in fields:
                seen.append(json.loads(fields["data"]))
            if len(seen) == total:
                break
    return seen


@pytest.mark.redis
@pytest.mark.slow
async def test_a_restarted_redis_loses_no_event(
    cluster: LiveServer, redis_server: RedisServer
) -> None:
    run = str(new_id())
    writer = cluster.writing(order(run, count=3000))
    await first_event(cluster, run)
    follower = asyncio.create_task(
        ws_events_cut(f"{cluster.ws}/runs/{run}?user=operator", total=3000, cuts=3, seed=4)
    )

    await asyncio.sleep(0)  # the follower connects; it is served by another process meanwhile
    redis_server.restart()  # in this thread: the server dies with the thread that started it

    assert sequences(await follower) == list(range(1, 3001))
    assert await asyncio.to_thread(writer.wait, 20) == 0


@pytest.mark.redis
@pytest.mark.slow
async def test_a_restarted_database_loses_no_event_and_keeps_the_viewer(
    cluster: LiveServer, postgres_server: PostgresServer
) -> None:
    run = str(new_id())
    assert await asyncio.to_thread(cluster.writing(order(run, count=50, is_end=False)).wait) == 0
    frames = ws_frames(f"{cluster.ws}/runs/{run}?user=operator")
    async with aclosing(frames):
        seen = await events_until_live(frames)

        postgres_server.restart()  # in this thread: it dies with the thread that started it
        writer = cluster.writing(order(run, count=50, start=50))
        seen += await events_taken(frames, 100 - len(seen))

    assert sequences(seen) == list(range(1, 101))
    assert await asyncio.to_thread(writer.wait) == 0


async def test_a_lost_announcement_costs_seconds_and_no_event(embedded: LiveServer) -> None:
    run = str(new_id())
    embedded.write(**order(run, count=10, is_end=False))
    await first_event(embedded, run)
    frames = ws_frames(f"{embedded.ws}/runs/{run}?user=operator")
    async with aclosing(frames):
        seen = await events_until_live(frames)
        # Another process without Redis: nobody hears its news.
        writer = embedded.writing(order(run, count=10, start=10))
        seen += await events_taken(frames, 20 - len(seen))

    assert sequences(seen) == list(range(1, 21))
    assert await asyncio.to_thread(writer.wait) == 0
