"""Finding out what a runner can hold here: once, and by trying."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from sandbox.contracts import Abilities, Isolation, Limit, Limits, Profile, Session, Strength
from sandbox.errors import SandboxUnavailableError
from sandbox.leases import Leases

T = TypeVar("T")

# No limits but those that always hold: what cannot even do this cannot do anything.
FREE = Profile(limits=Limits(cpu=None, memory_bytes=None, pids=None, disk_bytes=None))


class FoundOnce(Generic[T]):
    """Something that is found out when it is first asked for; one event loop's.

    What is not `is_final` is found out again by the next who asks.
    """

    def __init__(
        self,
        find: Callable[[], Awaitable[T]],
        *,
        known: T | None = None,
        is_final: Callable[[T], bool] = lambda _: True,
    ) -> None:
        self.known = known
        self._find = find
        self._is_final = is_final
        self._turn = asyncio.Lock()

    async def get(self) -> T:
        async with self._turn:
            if self.known is not None:
                return self.known
            found = await self._find()
            if self._is_final(found):
                self.known = found
            return found


async def trial(
    places: Callable[[], Leases], start: Callable[[Path, Profile], Awaitable[Session]]
) -> tuple[str, str]:
    """Start and end one sandbox; return why it did not start and the remedy, or nothing."""
    try:
        workspace = places().trial()
        try:
            async with await start(workspace, FREE):
                return "", ""
        finally:
            workspace.rmdir()
    except SandboxUnavailableError as error:
        return error.message, error.remedy


def unavailable(name: Isolation, problem: str, remedy: str) -> Abilities:
    return Abilities(name=name, strength=Strength.NONE, problem=problem, remedy=remedy)


def available(name: Isolation, strength: Strength, missing: Mapping[Limit, str]) -> Abilities:
    """Return what holds every limit that is not missing."""
    holds = frozenset(Limit) - missing.keys()
    return Abilities(name=name, strength=strength, holds=holds, missing=missing)
