"""The lean way in: `invoke` in front of Django, in the same process, by the same rules.

Token → scope → body → idempotency → one group-committed row → 202. An answer is sent after the
commit, never before. What is not plain (variables, a session, limits, routes by input) goes through
`run_start` in the database thread; both ways end in the same row and the same answer.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings

from agents.contracts import RunKind
from agents.doorbell import ring
from agents.engine_process import make_journal
from agents.execution.database import DatabaseThread
from agents.journal.journal import Journal
from agents.journal.records import Birth, EventRow, RunRow
from agents.lane.answers import Scope, Send, location, send_problem, send_run
from agents.lane.pins import Pin, Pins
from agents.lane.request import InvokeRequest, Receive, is_json, read, read_body, repeat_key
from agents.lane.seats import Seats
from agents.models import Run
from agents.representation import accepted_json, accepted_template, run_json
from agents.services.runs import request_digest, run_start
from core import clock, tracing
from core.api.clients import client_of
from core.errors import ConflictError, InvalidInputError
from core.ids import new_id
from core.pausepoints import reach
from core.redaction import redact_text
from governance.access import (
    denied,
    peek_actor,
    permission_cache,
    sees,
    workspace_missing,
)
from governance.contracts import Actor, Perm
from governance.guard.authentication import secret_from_header
from governance.guard.consumers import actor_or_refusal, address_of
from governance.selectors.workspaces import workspace_by_id, workspace_by_name
from observability import live
from observability.cursors import START, Topic
from observability.live import sse
from observability.live.frames import EventsFrame
from observability.live.viewer import Target

logger = logging.getLogger(__name__)

T = TypeVar("T")

_PATH = re.compile(r"/api/v1/workspaces/([^/]+)/agents/([^/]+)/invoke/?")
# A restart of the database is waited for; of a longer outage the caller is told.
PATIENCE_SECONDS = 5.0


class InvokeLane:
    """An ASGI application for the routes it `takes`. One per process; bound to its event loop.

    Bounded: at most `settings.INVOKE_QUEUE` births wait for their commit, then 503; a user holds at
    most `settings.INVOKE_WAITS` answers, then 429.
    """

    def __init__(self) -> None:
        self._pins = Pins()
        self._journal: Journal | None = None
        self._database = DatabaseThread(patience_seconds=PATIENCE_SECONDS)
        self._asked: dict[tuple[object, ...], asyncio.Future[Any]] = {}
        self._seats = Seats()

    @staticmethod
    def takes(scope: Scope) -> bool:
        """Say whether the lane answers this request; Django answers all others.

        Among them those without a token and those whose body is not JSON: one place refuses them.
        """
        if not (
            scope["type"] == "http"
            and scope["method"] == "POST"
            and scope["path"].startswith("/api/v1/workspaces/")
            and scope["path"].rstrip("/").endswith("/invoke")
        ):
            return False
        headers = scope["headers"]
        types = [value for name, value in headers if name == b"content-type"]
        return (
            any(name == b"authorization" for name, _ in headers)
            and bool(types)
            and all(is_json(value) for value in types)
        )

    async def aclose(self) -> None:
        if self._journal is not None:
            await asyncio.to_thread(self._journal.close)
        self._database.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._invoke(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - every failure of a request is a problem document
            await send_problem(send, error, scope["path"])

    async def _invoke(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = path_parts(scope["path"])
        if parts is None:
            raise InvalidInputError("The path does not name a workspace and an agent.")
        workspace, agent = parts
        headers = dict(scope["headers"])
        actor = await self._actor(headers, address_of(scope))
        pin = self.peek(workspace, agent)
        if pin is None:
            await self._may_see(actor, workspace)
            pin = await self._once(
                ("pin", workspace, agent), partial(self._pins.load, workspace, agent)
            )
        await self._may_start(actor, pin.workspace_id)
        request = read(await read_body(headers, receive))
        key = repeat_key(headers)
        client = client_of(headers.get(b"user-agent", b"").decode("latin-1"))
        if request.wait and not request.stream:
            with self._seats.taken(actor.user_id):
                run_id, _ = await self._accept(actor, pin, request, key, client)
                await self._answer_after(actor, pin, run_id, request.wait, send)
            return
        run_id, answer = await self._accept(actor, pin, request, key, client)
        if request.stream:
            target = Target(run_id=run_id)
            await sse.serve(_stream_scope(scope), receive, send, target=target)
        else:
            await send_run(send, 202, answer, run_id, pin)

    async def _accept(
        self, actor: Actor, pin: Pin, request: InvokeRequest, key: str, client: str
    ) -> tuple[UUID, bytes]:
        """Make the call durable; return the run's id and its description."""
        if request.is_plain and not pin.depends_on_input:
            accepted = await self._bear(actor, pin, request, key, client)
        else:
            accepted = await self._start(actor, pin, request, key, client)
        ring()
        return accepted

    async def _actor(self, headers: dict[bytes, bytes], address: str) -> Actor:
        secret = secret_from_header(headers[b"authorization"].decode("latin-1"))
        actor = peek_actor(secret)
        if actor is None:
            actor = await self._once(
                ("actor", secret, address), partial(actor_or_refusal, secret, address)
            )
        return actor

    async def _once(self, key: tuple[object, ...], job: Callable[[], T]) -> T:
        """Ask the database once for all requests that want the same just now.

        What is remembered expires for a thousand requests at the same moment.
        """
        asked = self._asked.get(key)
        if asked is None:
            asked = asyncio.ensure_future(self._database.run(job))
            self._asked[key] = asked
            asked.add_done_callback(lambda _: self._asked.pop(key, None))
        result: T = await asyncio.shield(asked)
        return result

    async def _may_see(self, actor: Actor, workspace: str) -> None:
        """An actor who may not see the workspace learns nothing about its agents."""

        def look() -> bool:
            row = workspace_by_name(workspace)
            return row is not None and sees(actor, row.pk)

        if not await self._once(("see", actor, workspace), look):
            raise workspace_missing()

    async def _may_start(self, actor: Actor, workspace_id: UUID) -> None:
        if await self._may(actor, Perm.RUN_START, workspace_id):
            return
        if not await self._database.run(partial(sees, actor, workspace_id)):
            raise workspace_missing()
        raise await self._database.run(partial(denied, actor, Perm.RUN_START, workspace_id))

    async def _may(self, actor: Actor, perm: Perm, workspace_id: UUID) -> bool:
        known = permission_cache.peek(actor, perm, workspace_id)
        if known is None:
            known = await self._once(
                (perm, actor, workspace_id),
                partial(permission_cache.can, actor, perm, workspace_id),
            )
        return known

    async def _bear(
        self, actor: Actor, pin: Pin, request: InvokeRequest, key: str, client: str
    ) -> tuple[UUID, bytes]:
        """Accept a plain call: one row and one event, committed with whatever else is waiting."""
        birth = self.birth(actor, pin, request, key, client)
        row = birth.run
        born = await self.journal().bear(birth)
        payload = await self._may(actor, Perm.RUN_PAYLOAD, pin.workspace_id)
        if born.existing_id is None:
            return row.id, self.accepted(actor, pin, row)[0]
        if born.existing_digest != row.request_digest:
            raise ConflictError(
                "This Idempotency-Key was used for another request.",
                remedy="Use a new key for a new request.",
                detail={"run": str(born.existing_id)},
            )
        return born.existing_id, await self._read(born.existing_id, pin.workspace, payload)

    async def _start(
        self, actor: Actor, pin: Pin, request: InvokeRequest, key: str, client: str
    ) -> tuple[UUID, bytes]:
        payload = await self._may(actor, Perm.RUN_PAYLOAD, pin.workspace_id)
        # The database thread repeats a job whose connection was lost, maybe after its commit.
        once = key or str(new_id())

        def start() -> tuple[UUID, bytes]:
            run = run_start(
                actor=actor,
                workspace=workspace_by_id(pin.workspace_id),
                agent=pin.agent,
                input=request.input,
                variables=request.variables or None,
                session=request.session,
                limits=request.limits or None,
                idempotency_key=once,
                client=client,
                model=request.model,
            )
            reach("start.after_commit")
            return run.pk, run_json(run, workspace=pin.workspace, payload=payload)

        return await self._database.run(tracing.carried(start))

    async def _read(self, run_id: UUID, workspace: str, payload: bool) -> bytes:
        def read_run() -> bytes:
            run = Run.objects.select_related("version", "requested_by").get(pk=run_id)
            return run_json(run, workspace=workspace, payload=payload)

        return await self._database.run(read_run)

    async def _answer_after(
        self, actor: Actor, pin: Pin, run_id: UUID, seconds: float, send: Send
    ) -> None:
        """Answer when the run has ended or parked for good, or with what it is when time is up."""
        has_ended = await self._until_end(Topic(pin.workspace_id, run_id), seconds)
        payload = await self._may(actor, Perm.RUN_PAYLOAD, pin.workspace_id)
        answer = await self._read(run_id, pin.workspace, payload)
        await send_run(send, 200 if has_ended else 202, answer, run_id, pin)

    async def _until_end(self, topic: Topic, seconds: float) -> bool:
        """Follow a run until it ends, at most so long; say whether it has."""
        subscription = await live.hub().subscribe(topic, START)
        has_ended = False
        try:
            async with asyncio.timeout(seconds):
                async for frame in subscription:
                    if isinstance(frame, EventsFrame) and any(
                        event.is_end for event in frame.events
                    ):
                        has_ended = True
                        break
        except TimeoutError:
            has_ended = False
        finally:
            subscription.close(1000, "answered")
        return has_ended

    def peek(self, workspace: str, agent: str) -> Pin | None:
        """Return what is remembered of an agent; has it read again when that is due."""
        pin = self._pins.peek(workspace, agent)
        if pin is not None and self._pins.is_due(workspace, agent):
            self._refresh(workspace, agent)
        return pin

    def _refresh(self, workspace: str, agent: str) -> None:
        key = ("pin", workspace, agent)
        if key in self._asked:
            return
        reading = asyncio.ensure_future(
            self._database.run(partial(self._pins.load, workspace, agent))
        )
        self._asked[key] = reading

        def done(task: "asyncio.Future[Pin]") -> None:
            self._asked.pop(key, None)
            if not task.cancelled() and (error := task.exception()) is not None:
                # The agent may be gone: what is remembered ends by itself, with a clear answer.
                logger.info("pin_not_refreshed", extra={"agent": agent, "error": str(error)})

        reading.add_done_callback(done)

    def birth(self, actor: Actor, pin: Pin, request: InvokeRequest, key: str, client: str) -> Birth:
        """Make the row and the first event of a plain call."""
        now, run_id = clock.now(), new_id()
        text = redact_text(request.input)
        row = RunRow(
            id=run_id,
            workspace_id=pin.workspace_id,
            kind=RunKind.AGENT.value,
            agent_id=pin.agent_id,
            agent_name=pin.agent,
            version_id=pin.version_id,
            snapshot_id=pin.snapshot_digest,
            root_id=run_id,
            input=text,
            limits=pin.limits,
            deadline_at=pin.deadline(now),
            requested_by_id=actor.user_id,
            surface="api",
            client=client,
            idempotency_key=key,
            request_digest=request_digest(pin.agent, request.input, None, None, None, "")
            if key
            else "",
            trace_parent=tracing.header_here(),
            available_at=now,
            created_at=now,
            updated_at=now,
        )
        payload = {"state": "queued", "agent": pin.agent, "input": text[:2000]}
        return Birth(run=row, event=EventRow("run.created", now, payload))

    def accepted(self, actor: Actor, pin: Pin, row: RunRow) -> tuple[bytes, bytes]:
        """Describe a run that was just born: body and location of the answer."""
        if not pin.template:
            pin.template.update(
                accepted_template(row, workspace=pin.workspace, version=pin.version)
            )
        payload = permission_cache.peek(actor, Perm.RUN_PAYLOAD, pin.workspace_id) or False
        body = accepted_json(pin.template, row, requested_by_name=actor.username, payload=payload)
        return body, location(pin, row.id)

    def journal(self) -> Journal:
        """Return this process's journal for births, opening it on first use."""
        if self._journal is None:
            self._journal = make_journal(
                max_queued=settings.INVOKE_QUEUE, patience_seconds=PATIENCE_SECONDS
            )
        return self._journal


def path_parts(path: str) -> tuple[str, str] | None:
    """Return workspace and agent of an invoke path."""
    match = _PATH.fullmatch(path)
    return (match.group(1), match.group(2)) if match else None


def _stream_scope(scope: Scope) -> Scope:
    """The scope of the stream that follows: from the run's beginning, whatever the query says."""
    return {**scope, "query_string": b"after=0"}
