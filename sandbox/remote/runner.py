"""Opening sandboxes in the worker's process, and asking it what its host can do."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from core.errors import DomainError
from core.finishing import to_the_end
from sandbox.contracts import Abilities, Crowd, HostCredential, Isolation, Profile
from sandbox.errors import SandboxRefusedError, SandboxUnavailableError
from sandbox.remote import wire
from sandbox.remote.session import FAREWELL_SECONDS, RemoteSession

_CONNECT_SECONDS = 5.0
_COUNT_SECONDS = 2.0
_ANSWER_SECONDS = 60.0  # the first question has the worker try each of its engines
_REMEDY = (
    "Start one (manage.py sandbox worker) and see that AGENTRY_SANDBOX_SOCKET names its socket "
    "for both."
)


# Where the worker listens; finding that out may start it.
Locate: TypeAlias = Callable[[], Awaitable[Path]]
# Where it listens if it is there.
Peek: TypeAlias = Callable[[], Path | None]


def at(socket: Path) -> Locate:
    """Return a `Locate` for a worker that somebody else keeps running."""

    async def locate() -> Path:
        return socket

    return locate


class RemoteRunner:
    """See `sandbox.contracts.Runner`. Has no state, so any event loop may use it.

    `name` is the engine that was asked for; with none asked for, `abilities` names the worker's.
    """

    def __init__(self, locate: Locate, name: Isolation = Isolation.SITE) -> None:
        self.name = name
        self._locate = locate

    async def abilities(self) -> Abilities:
        found = await ask(await self._locate(), wire.Look(isolation=self.name))
        return found[0]

    async def open(
        self, workspace: Path, profile: Profile, *, credentials: Sequence[HostCredential] = ()
    ) -> RemoteSession:
        """See the Protocol.

        A cancel before the answer waits until the worker has undone the opening.

        Raises:
            SandboxCrowdedError: All places were taken until the worker's patience was over.
        """
        order = wire.packed(
            wire.Open(
                workspace=str(workspace),
                profile=self._meant(profile),
                credentials=tuple(credentials),
            )
        )
        reader, writer = await connected(await self._locate())
        writer.write(order)
        answering = asyncio.ensure_future(_answered(reader))
        try:
            answer = await asyncio.shield(answering)
            if isinstance(answer, wire.Opened):
                return RemoteSession(reader=reader, writer=writer, engine=answer.engine)
        except asyncio.CancelledError:
            await to_the_end(_take_back(answering, reader, writer))
            raise
        except BaseException:
            writer.close()
            raise
        writer.close()
        raise _unexpected(answer)

    def _meant(self, profile: Profile) -> Profile:
        if self.name == Isolation.SITE or profile.isolation == self.name:
            return profile
        if profile.isolation != Isolation.SITE:
            raise SandboxRefusedError(
                f"This runner is {self.name}, and {profile.isolation} was asked for.",
                remedy=f"Ask for {self.name}, or send the call to the other runner.",
            )
        return msgspec.structs.replace(profile, isolation=self.name)


class RemoteSandboxes:
    """The same questions as `sandbox.services.Sandboxes` answers, put to the worker."""

    def __init__(self, locate: Locate, peek: Peek) -> None:
        self._locate = locate
        self._peek = peek

    def runner_for(self, profile: Profile) -> RemoteRunner:
        """Return the runner that was asked for; its opening tells when there is none."""
        return RemoteRunner(self._locate, profile.isolation)

    async def doctor(self) -> list[Abilities]:
        """Say for each engine what it can hold on the worker's host, best first.

        Raises:
            SandboxUnavailableError: No worker answers.
        """
        return list(await ask(await self._locate(), wire.Look()))

    async def crowd(self) -> Crowd | None:
        """See the Protocol."""
        socket = self._peek()
        if socket is None:
            return None
        answer = await _asked(socket, wire.Count(), within_seconds=_COUNT_SECONDS)
        if isinstance(answer, wire.Counted):
            return answer.crowd
        raise _unexpected(answer)


async def ask(socket: Path, question: wire.Look) -> tuple[Abilities, ...]:
    """Return the worker's answer. Raises SandboxUnavailableError."""
    answer = await _asked(socket, question, within_seconds=_ANSWER_SECONDS)
    if isinstance(answer, wire.Told) and answer.abilities:
        return answer.abilities
    raise _unexpected(answer)


async def _asked(
    socket: Path, question: wire.Look | wire.Count, *, within_seconds: float
) -> wire.Reply:
    reader, writer = await connected(socket)
    try:
        writer.write(wire.packed(question))
        async with asyncio.timeout(within_seconds):
            return await _answered(reader)
    except TimeoutError:
        raise SandboxUnavailableError(
            f"The sandbox worker at {socket} does not answer.", remedy="Look at its log."
        ) from None
    finally:
        writer.close()


async def connected(socket: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection to the worker. Raises SandboxUnavailableError."""
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await asyncio.open_unix_connection(str(socket))
    except (OSError, TimeoutError) as error:
        reason = getattr(error, "strerror", None) or "no answer"
        raise SandboxUnavailableError(
            f"No sandbox worker answers at {socket} ({reason}).", remedy=_REMEDY
        ) from error


async def _answered(reader: asyncio.StreamReader) -> wire.Reply:
    try:
        answer = await wire.next_reply(reader)
    except wire.BrokenWireError as error:
        raise SandboxUnavailableError(
            f"What the sandbox worker said cannot be read ({error}).",
            remedy="Run the same release on both sides.",
        ) from error
    if answer is None:
        raise SandboxUnavailableError(
            "The sandbox worker ended the connection without an answer; nothing ran.",
            remedy="Look at its log.",
        )
    if isinstance(answer, wire.Failed):
        raise wire.raised(answer)
    return answer


async def _take_back(
    answering: "asyncio.Future[wire.Reply]",
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Say that nobody wants the sandbox any more and wait until nothing is left of it."""
    try:
        writer.write(wire.packed(wire.Close()))
        with contextlib.suppress(TimeoutError, wire.BrokenWireError, DomainError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await answering
                while await wire.next_reply(reader) is not None:
                    pass
    finally:
        writer.close()


def _unexpected(answer: wire.Reply) -> SandboxUnavailableError:
    return SandboxUnavailableError(
        f"The sandbox worker answered with {type(answer).__name__}, which was not asked for.",
        remedy="Run the same release on both sides.",
    )
