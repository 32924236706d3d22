"""Accepting a plain call in one go: everything it needs is remembered, only the commit is awaited.

Says no to whatever it cannot judge without waiting; the lane proper then takes the request.
"""

import asyncio
from collections.abc import Callable, Iterable

from agents.doorbell import ring
from agents.journal.journal import CallbackItem
from agents.journal.records import Born, Outcome
from agents.lane.lane import InvokeLane, path_parts
from agents.lane.pins import Pin
from agents.lane.request import is_json, read
from core.api.clients import client_of
from core.errors import DomainError, UnavailableError
from governance.access import peek_actor, permission_cache
from governance.contracts import Actor, Perm

Answer = Callable[[bytes, bytes], None]
Decline = Callable[[], None]
Fail = Callable[[UnavailableError], None]
_BEARER = b"Bearer "
_OTHER_HEADERS = frozenset({b"idempotency-key", b"transfer-encoding", b"content-encoding"})


class QuickLane:
    """Shares what the lane remembers. Used on the server's event loop only."""

    def __init__(self, lane: InvokeLane) -> None:
        self._lane = lane

    def accept(
        self,
        path: str,
        headers: Iterable[tuple[bytes, bytes]],
        body: bytes,
        answer: Answer,
        decline: Decline,
        fail: Fail,
    ) -> bool:
        """Take the call if that needs no waiting but for its commit.

        After True exactly one of `answer` (with body and location, after the commit), `decline`
        and `fail` is called, on this loop.
        """
        known = self._known(path, headers)
        if known is None:
            return False
        actor, pin, client = known
        try:
            request = read(body)
        except DomainError:
            return False
        if not request.is_plain or request.stream or request.wait:
            return False
        birth = self._lane.birth(actor, pin, request, "", client)

        def resolved(outcome: Outcome | Exception) -> None:
            if isinstance(outcome, UnavailableError):
                # The row may be there: the connection was lost. Another one would be a second run.
                fail(outcome)
                return
            if not isinstance(outcome, Born) or outcome.existing_id is not None:
                decline()
                return
            ring()
            answer(*self._lane.accepted(actor, pin, birth.run))

        try:
            self._lane.journal().put(CallbackItem(birth, asyncio.get_running_loop(), resolved))
        except DomainError:
            return False
        return True

    def _known(
        self, path: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> tuple[Actor, Pin, str] | None:
        secret, client = b"", ""
        for name, value in headers:
            if name == b"authorization":
                if not value.startswith(_BEARER):
                    return None
                secret = value[len(_BEARER) :]
            elif name == b"content-type":
                if not is_json(value):
                    return None
            elif name == b"user-agent":
                client = client_of(value.decode("latin-1"))
            elif name in _OTHER_HEADERS:
                return None
        actor = peek_actor(secret.decode("latin-1"))
        parts = path_parts(path)
        if actor is None or parts is None:
            return None
        pin = self._lane.peek(*parts)
        if pin is None or pin.depends_on_input:
            return None
        if not permission_cache.peek(actor, Perm.RUN_START, pin.workspace_id):
            return None
        if permission_cache.peek(actor, Perm.RUN_PAYLOAD, pin.workspace_id) is None:
            return None
        return actor, pin, client
