"""What a socket and an event stream answer to good and bad clients."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import connect

from core.ids import new_id
from tests.integration.observability.clients import (
    close_code,
    closed_by_server,
    sequences,
    sse_events,
    tear,
    ws_frames,
)
from tests.integration.observability.kit import LiveServer


@pytest.fixture(scope="module")
def run(embedded: LiveServer) -> str:
    """A finished run of twenty events."""
    run = str(new_id())
    writer = embedded.writing({"workspace": "w", "runs": [run], "count": 20, "rate": 1e6})
    assert writer.wait(20) == 0
    return run


async def next_of(frames: Any, kind: str) -> dict[str, Any]:
    async for frame in frames:
        if frame["type"] == kind:
            return dict(frame)
    raise AssertionError(f"no {kind} frame came")


async def test_without_a_credential_the_socket_closes_with_4401(
    embedded: LiveServer, run: str
) -> None:
    code, frames = await close_code(f"{embedded.ws}/runs/{run}")

    assert code == 4401
    assert [frame["code"] for frame in frames] == ["not_authenticated"]


async def test_a_hidden_run_and_a_missing_one_are_told_apart_by_nobody(
    embedded: LiveServer, run: str
) -> None:
    denied, said_of_hidden = await close_code(f"{embedded.ws}/runs/{run}?user=nobody")
    missing, said_of_missing = await close_code(f"{embedded.ws}/runs/{new_id()}?user=operator")

    assert (denied, missing) == (4403, 4403)
    assert [frame["code"] for frame in said_of_hidden] == ["permission_denied"]
    assert [frame["code"] for frame in said_of_missing] == ["permission_denied"]


@pytest.mark.parametrize("after", ["x", "-1", "1.2", "", "9" * 30, "21", "٣"])
async def test_an_unusable_cursor_closes_with_4400_and_a_sentence(
    embedded: LiveServer, run: str, after: str
) -> None:
    code, frames = await close_code(f"{embedded.ws}/runs/{run}?user=operator&after={after}")

    assert code == 4400
    assert frames[0]["code"] == "invalid_cursor"


async def test_a_workspace_cursor_from_the_future_is_refused(embedded: LiveServer) -> None:
    code, frames = await close_code(f"{embedded.ws}/workspaces/w?user=operator&after=0.999999")

    assert code == 4400
    assert "is ahead of" in frames[0]["message"]


async def test_without_the_permission_payloads_are_hidden_and_deltas_not_sent(
    embedded: LiveServer,
) -> None:
    run = str(new_id())
    order = {"workspace": "w", "runs": [run], "rate": 1e6, "is_end": False}
    assert embedded.writing({**order, "count": 1}).wait(20) == 0
    viewer = ws_frames(f"{embedded.ws}/runs/{run}?user=viewer")
    operator = ws_frames(f"{embedded.ws}/runs/{run}?user=operator")
    async with aclosing(viewer), aclosing(operator):
        for frames in (viewer, operator):
            while not (await next_of(frames, "head"))["is_live"]:
                pass
        embedded.write(**{**order, "count": 20, "start": 1, "rate": 200, "deltas": 2})
        seen: dict[str, list[dict[str, Any]]] = {"viewer": [], "operator": []}
        kinds: dict[str, set[str]] = {"viewer": set(), "operator": set()}
        for name, frames in (("viewer", viewer), ("operator", operator)):
            async for frame in frames:
                kinds[name].add(frame["type"])
                seen[name] += frame.get("events", [])
                if len(seen[name]) == 20 and (name == "viewer" or "delta" in kinds[name]):
                    break

    assert all(event["payload"] is None for event in seen["viewer"])
    assert all(event["payload_hidden"] is True for event in seen["viewer"])
    assert all(event["payload"]["sent"] for event in seen["operator"])
    assert sequences(seen["viewer"]) == sequences(seen["operator"]) == list(range(2, 22))
    assert kinds == {"viewer": {"events"}, "operator": {"events", "delta"}}


async def test_a_right_taken_away_closes_the_view_within_five_seconds(
    embedded: LiveServer, run: str
) -> None:
    embedded.control("rights?user=leaver&perms=run.view")
    embedded.control("rights?user=gone&perms=run.view")
    url = f"{embedded.ws}/runs/{run}?after=head&user="
    async with connect(url + "leaver") as leaver, connect(url + "gone") as gone:
        for socket in (leaver, gone):
            assert json.loads(await socket.recv())["is_live"] is True

        embedded.control("rights?user=leaver")
        embedded.control("remove?user=gone")
        async with asyncio.timeout(5):
            codes = [(await closed_by_server(socket))[0] for socket in (leaver, gone)]

    assert codes == [4403, 4401]


async def test_a_socket_takes_pings_and_answers_anything_else_with_a_sentence(
    embedded: LiveServer, run: str
) -> None:
    async with connect(f"{embedded.ws}/runs/{run}?user=operator&after=head") as socket:
        assert json.loads(await socket.recv())["is_live"] is True
        answers = []
        for message in ('{"type":"ping"}', '{"type":"shout"}', "not json", b"\xff\xfe", "[]"):
            await socket.send(message)
            answers.append(json.loads(await socket.recv()))

    assert answers[0] == {"type": "pong"}
    assert answers[1]["message"] == 'Unknown message type \'shout\'; send {"type":"ping"}.'
    assert [answer["code"] for answer in answers[1:]] == ["bad_request"] * 4


async def test_a_large_message_closes_with_1009(embedded: LiveServer, run: str) -> None:
    async with connect(f"{embedded.ws}/runs/{run}?user=operator&after=head") as socket:
        await socket.send("x" * 5000)
        code, _ = await closed_by_server(socket)

    assert code == 1009


async def test_many_unusable_messages_close_with_4400(embedded: LiveServer, run: str) -> None:
    async with connect(f"{embedded.ws}/runs/{run}?user=operator&after=head") as socket:
        for _ in range(10):
            await socket.send("nonsense")
        code, _ = await closed_by_server(socket)

    assert code == 4400


async def test_an_event_stream_of_a_finished_run_ends_even_from_its_last_event(
    embedded: LiveServer, run: str
) -> None:
    url = f"{embedded.http}/runs/{run}?user=operator"
    whole = [fields async for fields in sse_events(url)]
    rest = [fields async for fields in sse_events(url, headers={"Last-Event-ID": "20"})]

    assert whole[0] == {"retry": "2000"}
    assert [fields["id"] for fields in whole if "id" in fields] == [str(n) for n in range(1, 21)]
    assert whole[-1] == {"event": "end", "data": "{}"}
    assert [fields.get("event", "retry") for fields in rest] == ["retry", "head", "end"]


async def test_the_header_wins_over_the_query_on_reconnecting(
    embedded: LiveServer, run: str
) -> None:
    url = f"{embedded.http}/runs/{run}?user=operator&after=3"
    events = [fields async for fields in sse_events(url, headers={"Last-Event-ID": "18"})]

    assert [fields["id"] for fields in events if "id" in fields] == ["19", "20"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 401, "not_authenticated"),
        ("user=nobody", 403, "permission_denied"),
        ("user=operator&after=banana", 400, "invalid_cursor"),
    ],
)
async def test_a_refused_event_stream_is_a_problem_document(
    embedded: LiveServer, run: str, query: str, status: int, code: str
) -> None:
    async with httpx2.AsyncClient() as client:
        answer = await client.get(f"{embedded.http}/runs/{run}?{query}")

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code


async def test_an_event_stream_tells_proxies_not_to_buffer(embedded: LiveServer, run: str) -> None:
    async with (
        httpx2.AsyncClient() as client,
        client.stream("GET", f"{embedded.http}/runs/{run}?user=operator") as answer,
    ):
        headers = answer.headers

    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["x-accel-buffering"] == "no"
    assert headers["cache-control"] == "no-cache, no-transform"


async def test_a_viewer_that_does_not_read_neither_hurts_others_nor_loses_anything(
    embedded: LiveServer,
) -> None:
    run = str(new_id())
    order = {"workspace": "w", "runs": [run], "rate": 3000, "batch": 100, "size": 3000}
    assert embedded.writing({**order, "count": 1, "is_end": False}).wait(20) == 0
    slow = await connect(  # takes one frame into its queue, then stops reading
        f"{embedded.ws}/runs/{run}?user=operator",
        compression=None,
        max_queue=1,
        ping_interval=None,
    )
    quick = ws_frames(f"{embedded.ws}/runs/{run}?user=operator")
    embedded.write(**{**order, "count": 4000, "start": 1, "is_end": False})

    by_quick: list[dict[str, Any]] = []
    async with aclosing(quick):
        async for frame in quick:
            by_quick += frame.get("events", [])
            if len(by_quick) >= 4001:
                break
    by_slow: list[dict[str, Any]] = []
    heads = []
    while len(by_slow) < 4001:
        frame = json.loads(await slow.recv())
        by_slow += frame.get("events", [])
        heads += [frame["is_live"]] if frame["type"] == "head" else []
    tear(slow)  # a close would wait for frames that nobody reads

    assert sequences(by_quick) == list(range(1, 4002))
    assert sequences(by_slow) == list(range(1, 4002))
    assert False in heads[1:], "the slow viewer was never set back to stored rows"


async def test_a_stopping_server_tells_its_viewers_to_come_back(embedded_twice: LiveServer) -> None:
    run = str(new_id())
    writer = embedded_twice.writing(
        {"workspace": "w", "runs": [run], "count": 1, "rate": 1e6, "is_end": False}
    )
    assert writer.wait(20) == 0
    async with connect(f"{embedded_twice.ws}/runs/{run}?user=operator&after=head") as socket:
        assert json.loads(await socket.recv())["is_live"] is True

        embedded_twice.process.terminate()
        code, _ = await closed_by_server(socket)

    assert code in {1001, 1012}
