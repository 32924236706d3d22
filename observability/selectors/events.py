"""Traces for people: pages of events, the head, blobs and whole exports.

Every function asks first whether the actor may look, and hides payloads from those who may see
that something happened but not what.
"""

from collections.abc import Collection, Iterator
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from core.errors import NotFoundError, PermissionDeniedError
from governance import access
from governance.contracts import Actor, Perm
from observability.contracts import EventKind, EventRecord
from observability.cursors import START, Topic
from observability.errors import UnknownKindError
from observability.legacy_trace import LegacyWriter
from observability.models import Blob
from observability.selectors import rows
from observability.wire import WireEvent, wire_event

MAX_PAGE = 1_000
_EXPORT_PAGE = 500

ExportForm: TypeAlias = Literal["agentry", "legacy"]


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events in order. `cursor` is where the next page, or a live view, goes on."""

    events: list[WireEvent]
    cursor: str
    has_more: bool


def run_topic(actor: Actor, run_id: UUID) -> Topic:
    """Return the topic of a run the actor may watch.

    Raises NotFoundError both when there is no such run and when it may not be seen.
    """
    workspace_id = rows.workspace_of_run(run_id)
    if workspace_id is None or not access.can(actor, Perm.RUN_VIEW, workspace_id):
        raise NotFoundError(
            f"There is no trace of run {run_id}, or you may not see it.",
            remedy="Check the id, or ask for the permission run.view in its workspace.",
        )
    return Topic(workspace_id, run_id)


def workspace_topic(actor: Actor, workspace_id: UUID) -> Topic:
    """Return the topic of a workspace the actor may watch.

    Raises NotFoundError or PermissionDeniedError, as `access.require` does.
    """
    access.require(actor, Perm.RUN_VIEW, workspace_id)
    return Topic(workspace_id)


def events_list(
    actor: Actor,
    topic: Topic,
    *,
    after: str = "0",
    limit: int = 100,
    kinds: Collection[str] = (),
) -> EventPage:
    """Return a page of events behind the cursor `after`; `limit` is held to 1..1000.

    Raises CursorError, UnknownKindError, or NotFoundError when the actor may not look.
    """
    _require(actor, topic)
    if unknown := sorted(set(kinds) - {kind.value for kind in EventKind}):
        raise UnknownKindError(
            f"There is no event kind {unknown[0][:60]!r}.",
            remedy=f"Choose from: {', '.join(EventKind)}.",
            fields={"kind": ["unknown"]},
        )
    position = topic.parse(after)
    if position != START:
        topic.require_reached(position, rows.head_of(topic))
    limit = min(max(limit, 1), MAX_PAGE)
    found = rows.rows_after(topic, position, limit=limit + 1, kinds=kinds)
    page = found[:limit]
    last = topic.position(page[-1]) if page else position
    is_visible = access.may_see_payload(actor, topic.workspace_id)
    return EventPage(
        events=[wire_event(topic, event, is_payload_visible=is_visible) for event in page],
        cursor=topic.cursor(last),
        has_more=len(found) > limit,
    )


def events_head(actor: Actor, topic: Topic) -> str:
    """Return the cursor of the last event that can be delivered."""
    _require(actor, topic)
    return topic.cursor(rows.head_of(topic))


def blob_content(actor: Actor, *, workspace_id: UUID, digest: str) -> tuple[bytes, str]:
    """Return the content and media type of a text that was cut from an event.

    Raises NotFoundError also when the actor may not see payloads in the workspace.
    """
    blob = None
    if access.may_see_payload(actor, workspace_id):
        blob = Blob.objects.filter(workspace_id=workspace_id, digest=digest).first()
    if blob is None:
        raise NotFoundError(
            f"There is no stored text {digest[:12]!r}, or you may not see it.",
            remedy="Take the digest from an event's `blobs`; reading needs run.payload.",
        )
    return bytes(blob.content), blob.media_type


def run_export(actor: Actor, run_id: UUID, *, form: ExportForm = "agentry") -> Iterator[bytes]:
    """Return the lines (JSONL) of a whole run, read page by page as they are taken.

    `legacy` is the format of the earlier tool. A trace tells inputs and results, so exporting
    takes run.payload. Raises NotFoundError or PermissionDeniedError before the first line.
    """
    topic = run_topic(actor, run_id)
    if not access.may_see_payload(actor, topic.workspace_id):
        raise PermissionDeniedError(
            "Exporting a trace takes the permission run.payload in its workspace.",
            remedy="Ask for it, or read the events as pages: their payloads are hidden.",
        )
    records = _all_records(topic)
    return _legacy_lines(records) if form == "legacy" else _lines(topic, records)


def run_records(workspace_id: UUID, run_id: UUID) -> Iterator[EventRecord]:
    """Yield a run's whole trace in order; for callers that have asked whether one may look."""
    return _all_records(Topic(workspace_id, run_id))


def blobs_of(workspace_id: UUID, digests: Collection[str]) -> Iterator[tuple[str, str, bytes]]:
    """Yield digest, media type and content of stored texts; for callers that have asked."""
    for digest in sorted(digests):
        blob = Blob.objects.filter(workspace_id=workspace_id, digest=digest).first()
        if blob is not None:
            yield blob.digest, blob.media_type, bytes(blob.content)


def _require(actor: Actor, topic: Topic) -> None:
    if topic.run_id is not None:
        run_topic(actor, topic.run_id)
    else:
        workspace_topic(actor, topic.workspace_id)


def _all_records(topic: Topic) -> Iterator[EventRecord]:
    position = START
    while page := rows.rows_after(topic, position, limit=_EXPORT_PAGE):
        yield from page
        position = topic.position(page[-1])


def _lines(topic: Topic, records: Iterator[EventRecord]) -> Iterator[bytes]:
    for record in records:
        yield msgspec.json.encode(wire_event(topic, record, is_payload_visible=True)) + b"\n"


def _legacy_lines(records: Iterator[EventRecord]) -> Iterator[bytes]:
    writer = LegacyWriter()
    for record in records:
        for line in writer.lines(record):
            yield msgspec.json.encode(line) + b"\n"
    for line in writer.end():
        yield msgspec.json.encode(line) + b"\n"
