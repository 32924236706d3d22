"""Who is watching: an authenticated actor, what it follows, and whether it still may.

The right to watch is asked for when a viewer connects, each time it goes back to stored rows, and
every few seconds in between, from the credential up: a revoked token, an ended session and a lost
role all end the view.
"""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import structlog

from core.clock import monotonic
from core.errors import (
    DomainError,
    InvalidInputError,
    LimitExceededError,
    NotAuthenticatedError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from governance.access import AccessChanged
from governance.contracts import Actor, Perm
from observability.cursors import START, Position, Topic
from observability.live.fanout import Hub
from observability.live.frames import Frame, HeadFrame
from observability.live.subscription import Subscription

log = structlog.get_logger(__name__)

RECHECK_SECONDS = 2.5  # answers may be two seconds old: a change holds within five
GRACE_SECONDS = 20.0  # how long a view goes on while rights cannot be asked for
MAX_VIEWS_PER_USER = 1_000  # a fifth of what a process serves: nobody takes it all

CLOSE_TRY_LATER = 1013
CLOSE_INTERNAL = 1011
CLOSE_BAD_REQUEST = 4400
CLOSE_NOT_AUTHENTICATED = 4401
CLOSE_DENIED = 4403
CLOSE_TOO_SLOW = 4408
CLOSE_TOO_MANY = 4429

Scope = Mapping[str, Any]


_open: set["Viewer"] = set()
_open_lock = threading.Lock()


class Gate(Protocol):
    """Asks governance. Each method may raise UnavailableError."""

    async def authenticate(self, scope: Scope) -> Actor:
        """Return who sent this request, or raise NotAuthenticatedError."""
        ...

    async def may(self, actor: Actor, perm: Perm, workspace_id: UUID) -> bool: ...

    async def workspace_named(self, name: str) -> UUID | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a request asks to follow: one run by id, or one workspace by name."""

    run_id: UUID | None = None
    workspace: str = ""

    @property
    def sentence(self) -> str:
        return f"run {self.run_id}" if self.run_id else f"workspace {self.workspace!r}"


class Viewer:
    """One open view. `open`, then `next` until it raises `ViewClosedError`; `close` in any case."""

    def __init__(self, hub: Hub, gate: Gate, scope: Scope, actor: Actor, topic: Topic) -> None:
        self._hub = hub
        self._gate = gate
        self._scope = scope
        self._subscription: Subscription | None = None
        self._watch: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._is_due = asyncio.Event()
        self.actor = actor
        self.topic = topic
        self.is_payload_visible = False

    @classmethod
    async def open(
        cls, hub: Hub, gate: Gate, scope: Scope, target: Target, after: str | None
    ) -> "Viewer":
        """Check the request and subscribe.

        `after` is a cursor, `head` for from-now-on, or None: a run is then shown from its
        beginning and a workspace from now on. Raises a DomainError that says what is wrong;
        a topic that does not exist and one that may not be seen are told apart by nobody.
        """
        actor = await gate.authenticate(scope)
        topic = await _find(hub, gate, target)
        if topic is None or not await gate.may(actor, Perm.RUN_VIEW, topic.workspace_id):
            raise PermissionDeniedError(
                f"There is no {target.sentence}, or you may not watch it.",
                remedy="Check the id, or ask for the permission run.view in its workspace.",
            )
        _refuse_greedy(actor)
        viewer = cls(hub, gate, scope, actor, topic)
        viewer.is_payload_visible = await gate.may(actor, Perm.RUN_PAYLOAD, topic.workspace_id)
        viewer._subscription = await hub.subscribe(topic, _start(topic, after))
        with _open_lock:
            _open.add(viewer)
        # A request that Django serves in a thread is answered before the view begins. Its context
        # names that thread for questions to the database, and nobody would answer them.
        viewer._watch = asyncio.create_task(
            viewer._recheck_forever(), name="live-recheck", context=contextvars.Context()
        )
        return viewer

    @property
    def subscription(self) -> Subscription:
        assert self._subscription is not None, "a viewer is made by Viewer.open"
        return self._subscription

    async def next(self) -> Frame:
        """Return the next frame. Raises ViewClosedError when the view has ended."""
        frame = await self.subscription.next()
        if isinstance(frame, HeadFrame) and not frame.is_live:
            await self._recheck()  # rows are about to be replayed
        return frame

    async def is_run_ended(self) -> bool:
        return await self._hub.reader.is_ended(self.topic)

    def recheck_soon(self) -> None:
        """Ask for the rights again at once; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has closed, and the view with it
            self._loop.call_soon_threadsafe(self._is_due.set)

    def close(self) -> None:
        """End the view; on the viewer's loop. Calling again changes nothing."""
        with _open_lock:
            _open.discard(self)
        if self._watch is not None:
            self._watch.cancel()
        self.subscription.close(1000, "")

    async def _recheck_forever(self) -> None:
        asked_at = monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RECHECK_SECONDS):
                    await self._is_due.wait()
            self._is_due.clear()
            try:
                await self._recheck()
                asked_at = monotonic()
            except UnavailableError as error:
                log.warning("live.recheck_failed", topic=self.topic.key, error=str(error))
                if monotonic() - asked_at > GRACE_SECONDS:
                    self.subscription.close(CLOSE_TRY_LATER, "Rights cannot be checked now.")
                    return
            except Exception:
                log.exception("live.recheck_broken", topic=self.topic.key)
                self.subscription.close(CLOSE_INTERNAL, "Rights could not be checked.")
                return

    async def _recheck(self) -> None:
        workspace_id = self.topic.workspace_id
        try:
            self.actor = await self._gate.authenticate(self._scope)
        except NotAuthenticatedError as error:
            self.subscription.close(CLOSE_NOT_AUTHENTICATED, error.message)
            return
        if not await self._gate.may(self.actor, Perm.RUN_VIEW, workspace_id):
            self.subscription.close(CLOSE_DENIED, "You may no longer watch this.")
            return
        self.is_payload_visible = await self._gate.may(self.actor, Perm.RUN_PAYLOAD, workspace_id)


def access_changed(change: AccessChanged) -> None:
    """Check the viewers again whose rights or credential have changed in this process."""
    with _open_lock:
        viewers = tuple(_open)
    for viewer in viewers:
        actor = viewer.actor
        if actor.user_id in change.user_ids or actor.token_id in change.token_ids:
            viewer.recheck_soon()


def close_code(error: DomainError) -> int:
    """Return the WebSocket close code that stands for an error at connecting."""
    for kind, code in (
        (NotAuthenticatedError, CLOSE_NOT_AUTHENTICATED),
        (PermissionDeniedError, CLOSE_DENIED),
        (NotFoundError, CLOSE_DENIED),
        (InvalidInputError, CLOSE_BAD_REQUEST),
        (LimitExceededError, CLOSE_TOO_MANY),
        (UnavailableError, CLOSE_TRY_LATER),
    ):
        if isinstance(error, kind):
            return code
    return CLOSE_INTERNAL


def _refuse_greedy(actor: Actor) -> None:
    with _open_lock:
        count = sum(viewer.actor.user_id == actor.user_id for viewer in _open)
    if count >= MAX_VIEWS_PER_USER:
        raise LimitExceededError(
            f"You have {MAX_VIEWS_PER_USER} live views open on this server already.",
            remedy="Close some, or follow a workspace instead of each of its runs.",
            retry_after_seconds=5,
        )


def _start(topic: Topic, after: str | None) -> Position | None:
    if after == "head":
        return None
    if after is None:
        return START if topic.run_id is not None else None
    return topic.parse(after)


async def _find(hub: Hub, gate: Gate, target: Target) -> Topic | None:
    if target.run_id is not None:
        workspace_id = await hub.reader.workspace_of_run(target.run_id)
        return Topic(workspace_id, target.run_id) if workspace_id else None
    workspace_id = await gate.workspace_named(target.workspace)
    return Topic(workspace_id) if workspace_id else None
