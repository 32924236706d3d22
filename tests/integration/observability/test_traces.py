"""Reading traces: pages, kinds, blobs, exports, and who may."""

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.contrib.admin import site as admin_site
from django.db import connection, transaction
from django.test import RequestFactory

from core.admin import json_block
from core.errors import NotFoundError, PermissionDeniedError
from core.ids import new_id
from observability import live
from observability.admin import TraceEventAdmin
from observability.contracts import EventKind, Payload, RunStatePayload
from observability.cursors import Topic
from observability.errors import CursorError, UnknownKindError
from observability.live.fanout import Hub
from observability.live.reader import DatabaseReader
from observability.live.sse import open_stream
from observability.live.viewer import Target
from observability.models import Blob, TraceEvent
from observability.selectors.events import (
    blob_content,
    events_head,
    events_list,
    run_export,
    run_topic,
    workspace_topic,
)
from observability.services import event_append
from tests.factories.governance import Cast

pytestmark = pytest.mark.django_db(transaction=True)


def append(workspace_id: UUID, run: UUID, sequence: int, kind: EventKind, payload: Payload) -> None:
    with transaction.atomic():
        event_append(
            workspace_id=workspace_id, run_id=run, sequence=sequence, kind=kind, payload=payload
        )


@pytest.fixture
def run(cast: Cast) -> UUID:
    """A run in acme: created, nine notes, succeeded."""
    run = new_id()
    append(cast.acme.pk, run, 1, EventKind.RUN_CREATED, {"agent": "demo"})
    for sequence in range(2, 11):
        append(cast.acme.pk, run, sequence, EventKind.RUN_NOTE, {"n": sequence})
    end = RunStatePayload(state="succeeded", before="running", is_terminal=True, output="done")
    append(cast.acme.pk, run, 11, EventKind.RUN_STATE, end)
    return run


def sequences(events: list[Any]) -> list[int]:
    return [event.sequence for event in events]


def test_pages_follow_each_other_by_cursor(cast: Cast, run: UUID) -> None:
    actor = cast.actor("operator")
    topic = run_topic(actor, run)

    first = events_list(actor, topic, limit=4)
    second = events_list(actor, topic, limit=100, after=first.cursor)

    assert (sequences(first.events), first.cursor, first.has_more) == ([1, 2, 3, 4], "4", True)
    assert (sequences(second.events), second.cursor, second.has_more) == (
        list(range(5, 12)),
        "11",
        False,
    )
    assert events_list(actor, topic, after="11").cursor == "11"
    assert events_head(actor, topic) == "11"


def test_a_page_can_be_of_some_kinds_only(cast: Cast, run: UUID) -> None:
    actor = cast.actor("operator")
    topic = run_topic(actor, run)

    page = events_list(actor, topic, kinds=["run.created", "run.state"])

    assert [event.kind for event in page.events] == ["run.created", "run.state"]
    with pytest.raises(UnknownKindError, match=r"no event kind 'run\.dance'"):
        events_list(actor, topic, kinds=["run.dance"])
    with pytest.raises(CursorError):
        events_list(actor, topic, after="12")


def test_a_workspace_is_read_in_commit_order_over_its_runs(cast: Cast, run: UUID) -> None:
    other_run = new_id()
    append(cast.acme.pk, other_run, 1, EventKind.RUN_CREATED, {})
    append(cast.other.pk, new_id(), 1, EventKind.RUN_CREATED, {})
    actor = cast.actor("operator")

    page = events_list(actor, workspace_topic(actor, cast.acme.pk), limit=1000)

    assert [event.run_id for event in page.events] == [run] * 11 + [other_run]
    last = TraceEvent.objects.get(run_id=other_run)
    assert page.cursor == f"{last.txid}.{last.pk}"
    assert (last.txid > 0) is (connection.vendor == "postgresql")


def test_who_may_not_see_payloads_sees_that_something_happened(cast: Cast, run: UUID) -> None:
    actor = cast.actor("viewer")

    page = events_list(actor, run_topic(actor, run))

    assert len(page.events) == 11
    assert {event.payload for event in page.events} == {None}
    assert all(event.payload_hidden for event in page.events)
    with pytest.raises(PermissionDeniedError, match=r"run\.payload"):
        run_export(actor, run)


def test_a_stranger_finds_nothing(cast: Cast, run: UUID) -> None:
    stranger = cast.actor("outsider")
    topic = Topic(cast.acme.pk, run)

    for attempt in (
        lambda: run_topic(stranger, run),
        lambda: events_list(stranger, topic),
        lambda: events_head(stranger, Topic(cast.acme.pk)),
        lambda: run_export(stranger, run),
        lambda: blob_content(stranger, workspace_id=cast.acme.pk, digest="0" * 64),
    ):
        with pytest.raises(NotFoundError):
            attempt()


def test_a_run_named_with_a_foreign_workspace_is_not_found(cast: Cast, run: UUID) -> None:
    actor = cast.actor("operator")

    assert events_list(actor, Topic(cast.other.pk, run)).events == []


def test_a_long_text_is_stored_once_and_read_by_its_digest(cast: Cast) -> None:
    text = "line\n" * 5000
    for _ in range(2):
        append(cast.acme.pk, new_id(), 1, EventKind.TOOL_SETTLED, {"tool": "ls", "result": text})
    actor = cast.actor("operator")
    page = events_list(actor, workspace_topic(actor, cast.acme.pk))
    assert page.events[0].payload is not None
    digest = json.loads(bytes(page.events[0].payload))["blobs"]["result"]["digest"]

    content, media_type = blob_content(actor, workspace_id=cast.acme.pk, digest=digest)

    assert (content.decode(), media_type) == (text, "text/plain; charset=utf-8")
    assert Blob.objects.count() == 1
    with pytest.raises(NotFoundError):
        blob_content(cast.actor("viewer"), workspace_id=cast.acme.pk, digest=digest)


def test_an_export_is_one_event_a_line_in_either_form(cast: Cast, run: UUID) -> None:
    actor = cast.actor("operator")

    ours = [json.loads(line) for line in run_export(actor, run)]
    legacy = [json.loads(line) for line in run_export(actor, run, form="legacy")]

    assert [line["sequence"] for line in ours] == list(range(1, 12))
    assert ours[-1]["payload"]["output"] == "done"
    assert [line["type"] for line in legacy] == ["final", "summary"]
    assert legacy[0]["data"] == "done"


def test_the_admin_shows_a_payload_only_to_who_may_see_it(cast: Cast, run: UUID) -> None:
    page = TraceEventAdmin(TraceEvent, admin_site)
    event = TraceEvent.objects.get(run_id=run, sequence=1)
    request = RequestFactory().get("/")

    request.actor = cast.actor("viewer")  # type: ignore[attr-defined]  # as the middleware does
    hidden = page.get_fields(request, event)
    request.actor = cast.actor("operator")  # type: ignore[attr-defined]
    shown = page.get_fields(request, event)

    assert (hidden[-1], shown[-1]) == ("hidden", "shown")
    assert page.shown(event) == json_block({"agent": "demo"})
    assert not page.has_change_permission(request, event)
    assert not page.has_delete_permission(request, event)


def test_a_stream_signs_in_by_token_and_sends_the_whole_run(cast: Cast, run: UUID) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {cast.token('operator')}".encode())],
    }

    async def read() -> bytes:
        body = await open_stream(scope, Target(run_id=run))
        text = b"".join([chunk async for chunk in body])
        await live.stop()
        return text

    text = async_to_sync(read)()

    assert text.count(b"\nid: ") + text.startswith(b"id: ") == 11
    assert text.endswith(b"event: end\ndata: {}\n\n")


def test_a_reader_replaces_a_connection_that_broke(cast: Cast, run: UUID) -> None:
    topic = Topic(cast.acme.pk, run)

    async def read() -> tuple[int, int]:
        reader = DatabaseReader()
        before = len(await reader.rows_after(topic, (0, 0), limit=100))
        await reader._run(_break_connection)
        after = len(await reader.rows_after(topic, (0, 0), limit=100))
        await reader.aclose()
        return before, after

    assert asyncio.run(read()) == (11, 11)


def _break_connection() -> None:
    """Close the driver's connection behind Django's back, as a lost server does."""
    connection.ensure_connection()
    connection.connection.close()


def test_news_of_a_commit_reaches_a_viewer_on_the_loop(cast: Cast) -> None:
    run = new_id()
    append(cast.acme.pk, run, 1, EventKind.RUN_CREATED, {})

    async def follow() -> list[int]:
        hub: Hub = live.hub()
        view = await hub.subscribe(Topic(cast.acme.pk, run), (0, 0))
        seen: list[int] = []
        async with asyncio.timeout(10):
            while len(seen) < 2:
                frame = await view.next()
                seen += [event.sequence for event in getattr(frame, "events", ())]
                if getattr(frame, "is_live", False):
                    await asyncio.to_thread(_append_in_thread, cast.acme.pk, run)
        await live.stop()
        return seen

    assert asyncio.run(follow()) == [1, 2]


def _append_in_thread(workspace_id: UUID, run: UUID) -> None:
    append(workspace_id, run, 2, EventKind.RUN_NOTE, {})
    connection.close()
