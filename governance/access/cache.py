"""Short memory for hot paths: who a token is, and what a user may do, for at most two seconds.

Bounded, per process. A change made in this process is forgotten at once, when its transaction has
committed; a change made elsewhere holds after the two seconds. A value read before a change and
stored after it would outlive the change: a generation number refuses it.
"""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from uuid import UUID

from core import clock
from governance.access.changes import AccessChanged
from governance.access.decisions import held, known_perm, narrowed
from governance.contracts import Actor, Perm

TTL_SECONDS = 2.0
MAX_ENTRIES = 10_000

_TURNS = 64
_TURN_SECONDS = 0.5

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BriefMemory(Generic[K, V]):
    """A bounded map whose entries end after `ttl_seconds`; safe from any thread."""

    def __init__(self, *, ttl_seconds: float = TTL_SECONDS, max_entries: int = MAX_ENTRIES) -> None:
        self._ttl_seconds = ttl_seconds
        self._max_entries = max_entries
        self._entries: dict[K, tuple[float, V]] = {}
        self._generation = 0
        self._lock = threading.Lock()
        self._turns = tuple(threading.Lock() for _ in range(_TURNS))

    def peek(self, key: K) -> V | None:
        """Return what is known and still fresh, without asking anybody."""
        entry = self._entries.get(key)
        if entry is None or entry[0] <= clock.monotonic():
            return None
        return entry[1]

    def get(self, key: K, load: Callable[[], V]) -> V:
        """Return the value, loading it when it is unknown or old; failures are not kept.

        Of many threads that miss the same key one asks; the others wait for its answer, but not
        long: whoever is loading may itself be waiting for a transaction of theirs.
        """
        known = self.peek(key)
        if known is not None:
            return known
        turn = self._turns[hash(key) % _TURNS]
        has_turn = turn.acquire(timeout=_TURN_SECONDS)
        try:
            known = self.peek(key)
            return self._load(key, load) if known is None else known
        finally:
            if has_turn:
                turn.release()

    def _load(self, key: K, load: Callable[[], V]) -> V:
        generation = self._generation
        started_at = clock.monotonic()
        value = load()
        with self._lock:
            if generation == self._generation:
                self._entries.pop(key, None)
                while len(self._entries) >= self._max_entries:
                    del self._entries[next(iter(self._entries))]
                self._entries[key] = (started_at + self._ttl_seconds, value)
        return value

    def forget(self, matches: Callable[[K, V], bool]) -> None:
        """Drop matching entries, and whatever is being loaded right now."""
        with self._lock:
            self._generation += 1
            for key, (_, value) in list(self._entries.items()):
                if matches(key, value):
                    del self._entries[key]

    def clear(self) -> None:
        self.forget(lambda _key, _value: True)

    def __len__(self) -> int:
        return len(self._entries)


class PermissionCache:
    """`can` without a query for whoever asked in the last two seconds."""

    def __init__(self, *, ttl_seconds: float = TTL_SECONDS, max_entries: int = MAX_ENTRIES) -> None:
        self._held: BriefMemory[tuple[UUID, UUID], frozenset[Perm]] = BriefMemory(
            ttl_seconds=ttl_seconds, max_entries=max_entries
        )

    def can(self, actor: Actor, perm: Perm | str, workspace_id: UUID) -> bool:
        """Decide like `access.can`; queries the database when nothing fresh is known."""
        known = known_perm(perm)
        return known is not None and known in self.permissions_of(actor, workspace_id)

    def permissions_of(self, actor: Actor, workspace_id: UUID) -> frozenset[Perm]:
        if actor.user_id is None or actor.is_superuser:
            return narrowed(actor, held(actor, workspace_id), workspace_id)
        key = (actor.user_id, workspace_id)
        return narrowed(actor, self._held.get(key, lambda: held(actor, workspace_id)), workspace_id)

    def peek(self, actor: Actor, perm: Perm, workspace_id: UUID) -> bool | None:
        """Return the decision if it needs no query, else None; for code on an event loop."""
        if actor.user_id is None or actor.is_superuser:
            return perm in narrowed(actor, held(actor, workspace_id), workspace_id)
        known = self._held.peek((actor.user_id, workspace_id))
        return None if known is None else perm in narrowed(actor, known, workspace_id)

    def forget(self, change: AccessChanged) -> None:
        self._held.forget(lambda key, _value: key[0] in change.user_ids)

    def clear(self) -> None:
        self._held.clear()

    def __len__(self) -> int:
        return len(self._held)


permission_cache = PermissionCache()
