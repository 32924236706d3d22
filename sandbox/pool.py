"""Warm sandboxes of one process, one for each workspace, and the files they share with the host.

A workspace with a quota is a disk that is mounted while a sandbox is open, so whoever touches its
files from outside asks for them here too: `files` mounts the disk first and keeps it mounted. A
sandbox opens and closes only while nobody does, in this process and in the others of this host.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec

from core import clock
from core.finishing import to_the_end
from sandbox.contracts import (
    Command,
    Ended,
    HostCredential,
    Outcome,
    Profile,
    Runner,
    RunnerSource,
    Session,
)
from sandbox.errors import (
    SandboxBusyError,
    SandboxLostError,
    SandboxRefusedError,
    SandboxUnavailableError,
)
from sandbox.site import PROGRAMS, SiteRules
from sandbox.workspaces import quota

logger = logging.getLogger(__name__)
MOST = 32
IDLE_SECONDS = 30.0
TURN_SECONDS = 660.0
ROOM_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.1
_CLOSE_SECONDS = 5.0


class _Place:
    """What this process has open of one workspace."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.turn = asyncio.Lock()  # calls of one workspace, one after the other
        self.changing = asyncio.Lock()  # opening, closing, and beginning to use files
        self.session: Session | None = None
        self.kind = ""
        self.wanted = 0  # calls that run or wait for their turn
        self.readers = 0
        self.unread = asyncio.Event()
        self.unread.set()
        self.used_at = 0.0
        self.timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        return self.session is not None and not self.wanted

    @property
    def is_needed(self) -> bool:
        return bool(self.wanted or self.session)


class SandboxPool:
    """Used on one event loop. `most` bounds what is open at once; the rest waits in order."""

    def __init__(
        self,
        runners: RunnerSource,
        rules: SiteRules | None = None,
        *,
        most: int = MOST,
        idle_seconds: float = IDLE_SECONDS,
        room_seconds: float = ROOM_SECONDS,
    ) -> None:
        self._runners = runners
        self.rules = rules or SiteRules()
        self._most = most
        self._idle_seconds = idle_seconds
        self._room_seconds = room_seconds
        self._room = asyncio.Semaphore(most)
        self._waiting_for_room = 0
        self._places: dict[Path, _Place] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def known(self) -> int:
        """How many workspaces have something open, or are about to."""
        return len(self._places)

    def leave(self, workspace: Path) -> None:
        """Close the workspace's sandbox, whose run is let go, unless another run is using it."""
        place = self._places.get(workspace)
        if place is not None and not place.wanted and not self._is_closed:
            self._later(place, 0.0)

    async def run(
        self,
        workspace: Path,
        profile: Profile,
        command: Command,
        *,
        credentials: Sequence[HostCredential] = (),
    ) -> Outcome:
        """Run a command in the workspace's sandbox of this kind, in its turn.

        Raises:
            SandboxBusyError, SandboxRefusedError, SandboxUnavailableError: It did not begin.
            SandboxLostError: It began, and nobody knows how it ended.
        """
        if complaint := self.rules.complaint(profile):
            raise SandboxRefusedError(complaint)
        wanted = self.rules.applied(profile)
        place = self._place(workspace)
        place.wanted += 1
        try:
            await _soon(place.turn.acquire(), TURN_SECONDS, "Another call has the workspace")
            try:
                session = await self._session(place, wanted, credentials)
                return await self._called(place, session, command)
            finally:
                place.turn.release()
        finally:
            place.wanted -= 1
            self._rest(place)

    @contextlib.asynccontextmanager
    async def files(self, workspace: Path) -> AsyncIterator[None]:
        """Keep the workspace's files where they are while the block touches them.

        Raises:
            SandboxBusyError, SandboxRefusedError, SandboxUnavailableError: They cannot be reached.
        """
        place = self._place(workspace)
        place.wanted += 1
        try:
            async with place.changing:
                if place.session is None and await asyncio.to_thread(_is_away, workspace):
                    await self._opened(place, self.rules.applied(PROGRAMS), ())
                descriptor = await _locked(workspace, fcntl.LOCK_SH, self._room_seconds)
                place.readers += 1
                place.unread.clear()
            try:
                yield
            finally:
                os.close(descriptor)
                place.readers -= 1
                if not place.readers:
                    place.unread.set()
        finally:
            place.wanted -= 1
            self._rest(place)

    async def renew(self, workspace: Path) -> None:
        """Close the workspace's sandbox: files came from outside, which the next one is given."""
        place = self._places.get(workspace)
        if place is not None and place.session is not None:
            await self._discarded(place)

    async def close(self) -> None:
        """Close every sandbox and wait until it is gone."""
        self._is_closed = True
        for place in list(self._places.values()):
            if place.timer is not None:
                place.timer.cancel()
            async with place.changing:
                await self._shut(place)
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _called(self, place: _Place, session: Session, command: Command) -> Outcome:
        """Run it; a sandbox that may be broken afterwards is not kept."""
        try:
            outcome = await session.run(command)
        except BaseException:
            await to_the_end(self._discarded(place))
            raise
        if outcome.ended_by is Ended.MEMORY:
            await self._discarded(place)
        return outcome

    async def _discarded(self, place: _Place) -> None:
        async with place.changing:
            await self._shut(place)

    async def _session(
        self, place: _Place, profile: Profile, credentials: Sequence[HostCredential]
    ) -> Session:
        kind = _kind(profile, credentials)
        if place.session is not None and place.kind == kind:
            return place.session
        async with place.changing:
            await self._shut(place)
            return await self._opened(place, profile, credentials)

    async def _opened(
        self, place: _Place, profile: Profile, credentials: Sequence[HostCredential]
    ) -> Session:
        """Open a sandbox while nobody uses the files; the caller has `changing`."""
        await self._make_room()
        try:
            runner = self._runners.runner_for(profile)
            session = await self._begun(runner, place, profile, credentials)
        except BaseException:
            self._room.release()
            raise
        place.session, place.kind = session, _kind(profile, credentials)
        return session

    async def _begun(
        self,
        runner: Runner,
        place: _Place,
        profile: Profile,
        credentials: Sequence[HostCredential],
    ) -> Session:
        until = clock.monotonic() + self._room_seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            await _soon(place.unread.wait(), self._room_seconds, "Its files are in use")
            descriptor = await _locked(place.workspace, fcntl.LOCK_EX, self._room_seconds)
            try:
                sized = await asyncio.to_thread(_sized, place.workspace, profile)
                return await runner.open(place.workspace, sized, credentials=credentials)
            except SandboxBusyError:
                # Another process of this host works in it; it closes when it is done.
                if clock.monotonic() >= until:
                    raise
            finally:
                os.close(descriptor)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _make_room(self) -> None:
        """Take one of the places for open sandboxes, closing the one that rested longest."""
        if self._room.locked():
            self._close_one()
        self._waiting_for_room += 1
        try:
            await _soon(
                self._room.acquire(), self._room_seconds, f"All {self._most} sandboxes are in use"
            )
        finally:
            self._waiting_for_room -= 1

    def _close_one(self) -> None:
        resting = [place for place in self._places.values() if place.is_idle]
        if resting:
            self._later(min(resting, key=lambda place: place.used_at), 0.0)

    async def _shut(self, place: _Place) -> None:
        """Close the sandbox of a place, if it has one; the caller has `changing`."""
        session, place.session = place.session, None
        if session is None:
            return
        descriptor = -1
        try:
            # Its processes end in any case; only its disk waits for whoever reads files.
            await session.cancel()
            with contextlib.suppress(SandboxBusyError):
                descriptor = await _locked(place.workspace, fcntl.LOCK_EX, _CLOSE_SECONDS)
            await session.close()
        except (SandboxLostError, SandboxUnavailableError, OSError):
            logger.exception("sandbox_close_failed", extra={"workspace": place.workspace.name})
        finally:
            if descriptor >= 0:
                os.close(descriptor)
            self._room.release()

    def _place(self, workspace: Path) -> _Place:
        if self._is_closed:
            raise SandboxUnavailableError(
                "This worker is stopping and opens no sandbox any more.",
                remedy="Another worker goes on with the run.",
            )
        place = self._places.get(workspace)
        if place is None:
            place = self._places[workspace] = _Place(workspace)
        return place

    def _rest(self, place: _Place) -> None:
        """Nobody uses the place at this moment: close it now, or after a while, or forget it."""
        place.used_at = clock.monotonic()
        if self._is_closed or place.wanted:
            return
        if place.session is not None:
            self._later(place, 0.0 if self._waiting_for_room else self._idle_seconds)
        elif not place.changing.locked():
            self._forget(place)

    def _later(self, place: _Place, seconds: float) -> None:
        if place.timer is not None:
            place.timer.cancel()
            place.timer = None
        loop = asyncio.get_running_loop()
        if seconds:
            place.timer = loop.call_later(seconds, self._later, place, 0.0)
            return
        task = loop.create_task(self._close_idle(place))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close_idle(self, place: _Place) -> None:
        async with place.changing:
            if not place.wanted:
                await self._shut(place)
        if not place.is_needed:
            self._forget(place)

    def _forget(self, place: _Place) -> None:
        if self._places.get(place.workspace) is place:
            del self._places[place.workspace]


def _kind(profile: Profile, credentials: Sequence[HostCredential]) -> str:
    """Name what a session is good for. Credentials count by value: a new one is a new sandbox."""
    known = sorted((each.host, each.header, each.value) for each in credentials)
    return f"{profile.digest()} {hash(tuple(known))}"


def _sized(workspace: Path, profile: Profile) -> Profile:
    """Keep the quota a workspace began with, also after the site has changed its own."""
    disk = quota.disk_of(workspace)
    if profile.limits.disk_bytes is None or not disk.exists():
        return profile
    limits = msgspec.structs.replace(profile.limits, disk_bytes=disk.stat().st_size)
    return msgspec.structs.replace(profile, limits=limits)


def _is_away(workspace: Path) -> bool:
    """Say whether the workspace has a disk that is not mounted, so that it looks empty."""
    return quota.disk_of(workspace).exists() and not quota.is_mounted(workspace)


async def _soon(waiting: Coroutine[Any, Any, object], seconds: float, what: str) -> None:
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        raise SandboxBusyError(
            f"{what}; nothing of this call has begun after {seconds:g} seconds.",
            remedy="Call again later.",
        ) from None


async def _locked(workspace: Path, kind: int, seconds: float) -> int:
    """Return a descriptor that holds the lock of a workspace's files, over all processes."""
    file = workspace.with_name(f"{workspace.name}.lock")
    until = clock.monotonic() + seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            if os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)  # deleted with its workspace a moment ago
            continue
        if clock.monotonic() >= until:
            raise SandboxBusyError(
                f"The files of the workspace {workspace.name} are in use by another process.",
                remedy="Call again later.",
            )
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
