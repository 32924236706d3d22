"""What the page of a run asks for while it is open: small answers, each bounded, each guarded.

events     marks of the trace behind an event, and children that changed since
turns      a window of the conversation, as HTML
part       a text of a message, whole
call       one tool call with all that is known of it
state      a checkpoint: what the engine remembers, and the files
file       one file of a checkpoint
"""

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext

from agents.admin.bounded import bounded, value_at
from agents.admin.call_detail import call_detail, call_values
from agents.admin.conversation import window_of
from agents.admin.timeline import gist_of, payload_of
from agents.models import Message, Run
from agents.selectors.history import run_checkpoint, run_messages
from agents.selectors.trail import MAX_MARKS, milliseconds, relatives, trail
from agents.services.files import file_read, files_of, files_shown
from agents.transitions import LIVE
from core import clock
from core.admin import WITHHELD
from core.api.preconditions import is_unchanged
from core.errors import DomainError, InvalidInputError, NotFoundError, PermissionDeniedError
from governance import access
from governance.guard.admin import GuardedAdmin
from plugins.selectors import call_of_run

MAX_FILES: Final = 500
MAX_FILE_BYTES: Final = 2_000_000
_MAX_NUMBER: Final = 2**31 - 1
_MOMENT_WORDS: Final = re.compile(rb"(?<=data-moment>)[^<]*")
_PICTURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)

if TYPE_CHECKING:
    _Base = GuardedAdmin
else:
    _Base = object


class RunData(_Base):
    """The addresses below a run's page that answer in JSON. Mixed into the page's class."""

    def data_urls(self) -> list[URLPattern]:
        def address(route: str, name: str, view: Callable[..., HttpResponse]) -> URLPattern:
            guarded = self.admin_site.admin_view(view)
            return path(f"<uuid:run_id>/{route}", guarded, name=f"agents_run_{name}")

        return [
            address("events/", "events", self.events_view),
            address("events/<int:sequence>/", "event", self.event_view),
            address("turns/", "turns", self.turns_view),
            address("part/<int:position>/<int:number>/", "part", self.part_view),
            address("call/<uuid:call_id>/", "call", self.call_view),
            address("state/<int:sequence>/", "state", self.state_view),
            address("file/<int:sequence>/", "file", self.file_view),
        ]

    def visible_run(self, request: HttpRequest, run_id: object) -> Run:
        """Return a run the reader may see. Raises PermissionDenied for any other."""
        run: Run | None = self.get_object(request, str(run_id))
        if run is None:
            raise PermissionDenied
        return run

    def _readable_run(self, request: HttpRequest, run_id: UUID) -> Run:
        run = self.visible_run(request, run_id)
        if not access.may_see_payload(self.actor(request), run.workspace_id):
            raise PermissionDeniedError(str(WITHHELD))
        return run

    def events_view(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Return what happened behind event `after`, and the children changed since `since`."""

        def content() -> dict[str, Any]:
            run = self.visible_run(request, run_id)
            now = clock.now()
            actor, after = self.actor(request), _whole(request, "after", 0)
            may_read = access.may_see_payload(actor, run.workspace_id)
            marks, has_more = trail(
                run,
                after=after,
                limit=_whole(request, "limit", MAX_MARKS),
                tell=gist_of if may_read else None,
            )
            children = relatives(actor, run, since=_moment(request, "since"))
            return {
                "run": _facts_of(run),
                "now": milliseconds(now),
                "marks": marks,
                "after": marks[-1].n if marks else after,
                "has_more": has_more,
                "children": children,
            }

        return _answer(content)

    def event_view(self, request: HttpRequest, run_id: UUID, sequence: int) -> HttpResponse:
        """Return the payload of one event."""

        def content() -> dict[str, Any]:
            run = self._readable_run(request, run_id)
            gist, payload = payload_of(run, self.actor(request), sequence)
            small = bounded(payload)
            return {"gist": gist, "value": small.value, "cut": dict(small.cut)}

        return _answer(content)

    def turns_view(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Return the window of the conversation before, after or around a position."""

        def content() -> dict[str, Any]:
            run = self._readable_run(request, run_id)
            places = {
                name: _whole(request, name, 0, least=-1)
                for name in ("before", "after", "around")
                if name in request.GET
            }
            if len(places) > 1:
                sentence = "Ask for what lies before, after or around a place; for one of them."
                raise InvalidInputError(sentence)
            window = window_of(run, **places)
            html = render_to_string("admin/agents/run/turns.html", {"window": window}, request)
            return {
                "html": html[:],  # a plain str: msgspec takes no subclass of it
                "first": window.first,
                "last": window.last,
                "settled": window.settled,
                "later": window.later,
            }

        return _answer(content)

    def part_view(
        self, request: HttpRequest, run_id: UUID, position: int, number: int
    ) -> HttpResponse:
        """Return a part of a message whole; with `name` one argument of the call it asks for."""

        def content() -> dict[str, Any]:
            run = self._readable_run(request, run_id)
            message: Message | None = None
            if position <= _MAX_NUMBER:
                message = run_messages(run).filter(position=position).first()
            if message is None or number >= len(message.parts):
                raise NotFoundError(f"Message {position} of the run has no part {number}.")
            part = message.parts[number]
            if "name" in request.GET:
                return {"value": (part.get("arguments") or {}).get(request.GET["name"])}
            return {"value": part.get("content", part.get("result", ""))}

        return _answer(content)

    def call_view(self, request: HttpRequest, run_id: UUID, call_id: UUID) -> HttpResponse:
        """Return a tool call; with `pointer` one value of it, whole."""

        def content() -> dict[str, Any]:
            run = self._readable_run(request, run_id)
            row = call_of_run(run.pk, call_id)
            if row is None:
                raise NotFoundError(f"The run has no tool call {call_id}.")
            if "pointer" in request.GET:
                return {"value": value_at(call_values(row), request.GET["pointer"])}
            return call_detail(run, row)

        return _answer(content)

    def state_view(self, request: HttpRequest, run_id: UUID, sequence: int) -> HttpResponse:
        """Return what a checkpoint remembers: the engine's state and the list of files."""

        def content() -> dict[str, Any]:
            run = self._readable_run(request, run_id)
            point = run_checkpoint(run, sequence)
            small = bounded(point.state)
            files: list[Any] = []
            note = (
                "" if point.workspace_digest else gettext("No call up to here could change files.")
            )
            try:
                files = list(islice(files_shown(files_of(run.workspace_id, point)), MAX_FILES + 1))
            except DomainError as error:
                note = str(error)
            return {
                "sequence": point.sequence,
                "messages": point.message_count,
                "engine": small.value,
                "cut": dict(small.cut),
                "files": files[:MAX_FILES],
                "has_more_files": len(files) > MAX_FILES,
                "files_note": note,
                "file_url": reverse("admin:agents_run_file", args=[run.pk, point.sequence]),
            }

        return _answer(content)

    def file_view(self, request: HttpRequest, run_id: UUID, sequence: int) -> HttpResponse:
        """Return a file of a checkpoint: a picture as such, anything else as plain text."""
        try:
            run = self._readable_run(request, run_id)
            point = run_checkpoint(run, sequence)
            name = request.GET.get("path", "")
            data = file_read(run.workspace_id, point, name, max_bytes=MAX_FILE_BYTES)
        except DomainError as error:
            return _refused(error)
        answer = HttpResponse(data, content_type=_media_type(data))
        answer["X-Content-Type-Options"] = "nosniff"
        answer["Cache-Control"] = "no-store"
        # Whatever an agent wrote stays what it is: it runs nothing and asks nobody.
        answer["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'; sandbox"
        return answer


def with_tag(request: HttpRequest, answer: HttpResponse) -> HttpResponse:
    """Answer 304 where the asker has this content already; pages keep "5 s ago" current alone."""
    lasting = _MOMENT_WORDS.sub(b"", answer.content)
    tag = f'"{hashlib.sha256(lasting).hexdigest()[:32]}"'
    if is_unchanged(request.headers, tag):
        answer = HttpResponse(status=304)
    answer["ETag"] = f"W/{tag}"
    answer["Cache-Control"] = "no-store"
    return answer


def _facts_of(run: Run) -> dict[str, Any]:
    return {
        "state": run.state,
        "wait": run.wait_kind,
        "is_live": run.state in LIVE,
        "created": milliseconds(run.created_at),
        "started": milliseconds(run.started_at) if run.started_at else None,
        "finished": milliseconds(run.finished_at) if run.finished_at else None,
        "head": run.head_sequence,
        "cost": str(run.cost_usd),
        "is_floor": run.cost_is_partial,
    }


def _answer(content: Callable[[], dict[str, Any]]) -> HttpResponse:
    try:
        body = msgspec.json.encode(content())
    except DomainError as error:
        return _refused(error)
    answer = HttpResponse(body, content_type="application/json")
    answer["Cache-Control"] = "no-store"
    return answer


def _refused(error: DomainError) -> HttpResponse:
    body = msgspec.json.encode({"code": error.code, "sentence": str(error)})
    return HttpResponse(body, status=error.status, content_type="application/json")


def _media_type(data: bytes) -> str:
    """Return what the bytes are; names are not asked, and SVG is text because it can hold code."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    found = (kind for magic, kind in _PICTURES if data.startswith(magic))
    return next(found, "text/plain; charset=utf-8")


def _whole(request: HttpRequest, name: str, default: int, *, least: int = 0) -> int:
    text = request.GET.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"-?[0-9]{1,10}", text) or not least <= int(text) <= _MAX_NUMBER:
        raise InvalidInputError(f"{name} is a whole number from {least}.")
    return int(text)


def _moment(request: HttpRequest, name: str) -> datetime | None:
    """Return a time given in milliseconds since 1970."""
    number = request.GET.get(name, "")
    if not number:
        return None
    if not re.fullmatch(r"[0-9]{1,13}", number):
        raise InvalidInputError(f"{name} is milliseconds since 1970.")
    return datetime.fromtimestamp(int(number) / 1000, UTC)
