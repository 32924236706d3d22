"""One connection to the worker: a question, or one sandbox from its opening to its end.

Whatever ends the connection ends the sandbox: nothing here outlives whoever asked for it.
"""

import asyncio
import contextlib
import logging
from pathlib import Path

from core import tracing
from core.errors import DomainError
from core.finishing import to_the_end
from core.pausepoints import reach
from core.tracing import conventions as name
from sandbox.contracts import Abilities, Isolation, Outcome, Profile, Session, Strength
from sandbox.errors import SandboxLostError, SandboxRefusedError, SandboxUnavailableError
from sandbox.remote import wire
from sandbox.services import Sandboxes
from sandbox.worker.folders import accepted, refuse_what_cannot_be_shared
from sandbox.worker.places import Places

_log = logging.getLogger(__name__)
_FIRST_WORD_SECONDS = 10.0
_MOST_OUTPUT_BYTES = wire.MOST_BYTES - 1024 * 1024


class Conversation:
    """Held once, to its end. `peer` is the user at the other end, as the kernel says it."""

    def __init__(
        self,
        *,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        sandboxes: Sandboxes,
        places: Places,
        workspaces: Path,
        peer: int,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._sandboxes = sandboxes
        self._places = places
        self._workspaces = workspaces
        self._peer = peer
        self._session: Session | None = None
        self._engine = ""
        self._serving: asyncio.Task[None] | None = None
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._is_draining = False
        self._ending = asyncio.Event()

    def drain(self) -> None:
        """Take no further call; end when those that run have ended."""
        self._is_draining = True
        if not self._calls:
            self._end()

    async def hold(self) -> None:
        """Talk until either side has had enough."""
        try:
            async with asyncio.timeout(_FIRST_WORD_SECONDS):
                first = await wire.next_request(self._reader)
            if (
                isinstance(first, wire.Look | wire.Count | wire.Open)
                and first.version != wire.VERSION
            ):
                self._tell(wire.failed(_other_release(first.version)))
            elif isinstance(first, wire.Look):
                await self._look(first)
            elif isinstance(first, wire.Count):
                self._tell(wire.Counted(crowd=self._places.crowd()))
            elif isinstance(first, wire.Open):
                await self._hold_sandbox(first)
        except (TimeoutError, wire.BrokenWireError) as error:
            _log.warning("a connection was ended: %s", str(error) or "it said nothing")
        finally:
            with contextlib.suppress(OSError):
                await self._writer.drain()
            self._writer.close()

    async def _look(self, question: wire.Look) -> None:
        if question.isolation is None:
            found = await self._sandboxes.doctor()
        else:
            found = [await self._abilities(question.isolation)]
        self._tell(wire.Told(abilities=tuple(found)))

    async def _abilities(self, name: Isolation) -> Abilities:
        try:
            return await self._sandboxes.runner_for(Profile(isolation=name)).abilities()
        except SandboxUnavailableError as error:
            return Abilities(
                name=name, strength=Strength.NONE, problem=error.message, remedy=error.remedy
            )

    async def _hold_sandbox(self, order: wire.Open) -> None:
        """Wait for a place, open, serve, close; give the place back when nothing is left."""
        self._serving = asyncio.ensure_future(self._in_place(order))
        listening = asyncio.ensure_future(self._listen())
        try:
            await asyncio.shield(self._serving)
            self._tell(self._last_word())
        except DomainError as error:
            self._tell(wire.failed(error))
        except asyncio.CancelledError:
            self._end()
            await to_the_end(asyncio.gather(self._serving, return_exceptions=True))
            self._tell(self._last_word())
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    def _last_word(self) -> wire.Reply:
        if self._is_draining and self._session is None:
            return wire.failed(_stopping("nothing ran"))
        return wire.Closed()

    async def _in_place(self, order: wire.Open) -> None:
        try:
            async with self._places.taken():
                session, engine = await self._open(order)
                self._engine = engine.value
                try:
                    self._session = session
                    self._tell(wire.Opened(engine=engine))
                    reach("sandbox.after_open")
                    await self._ending.wait()
                finally:
                    await to_the_end(self._take_down(session))
        except asyncio.CancelledError:
            if not self._ending.is_set():
                raise
            # Nobody wants it any more, and nothing of it is left: that is how it should end.

    def _end(self) -> None:
        """End the sandbox, or its opening if it is not there yet."""
        self._ending.set()
        if self._session is None and self._serving is not None:
            self._serving.cancel()

    async def _open(self, order: wire.Open) -> tuple[Session, Isolation]:
        if order.profile.limits.output_bytes > _MOST_OUTPUT_BYTES:
            raise SandboxRefusedError(
                f"The worker passes on at most {_MOST_OUTPUT_BYTES} bytes of output a call.",
                remedy="Ask for less and put large results into files of the workspace.",
            )
        workspace = await asyncio.to_thread(accepted, self._workspaces, order.workspace)
        await asyncio.to_thread(refuse_what_cannot_be_shared, workspace, peer=self._peer)
        runner = self._sandboxes.runner_for(order.profile)
        session = await runner.open(workspace, order.profile, credentials=order.credentials)
        return session, runner.name

    async def _take_down(self, session: Session) -> None:
        for call in self._calls.values():
            call.cancel()
        await asyncio.gather(*self._calls.values(), return_exceptions=True)
        reach("sandbox.before_close")
        await session.close()

    async def _listen(self) -> None:
        """Do what is asked until the other side is done or gone; then end the sandbox."""
        try:
            while (message := await wire.next_request(self._reader)) is not None:
                if isinstance(message, wire.Close):
                    break
                await self._obey(message)
        except wire.BrokenWireError as error:
            _log.warning("a sandbox is ended, what was asked cannot be read: %s", error)
        self._end()

    async def _obey(self, message: wire.Request) -> None:
        if isinstance(message, wire.Run):
            self._begin(message)
        elif isinstance(message, wire.Abandon) and message.number in self._calls:
            self._calls[message.number].cancel()
        elif isinstance(message, wire.Cancel) and self._session is not None:
            await asyncio.sleep(0)  # a call that came just before begins first
            await self._session.cancel()

    def _begin(self, message: wire.Run) -> None:
        if self._is_draining or self._ending.is_set() or self._session is None:
            lost = wire.failed(_stopping("this call has not run"), number=message.number)
            self._tell(lost)
            return
        call = asyncio.ensure_future(self._call(self._session, message))
        self._calls[message.number] = call
        call.add_done_callback(lambda _: self._call_ended(message.number))

    async def _call(self, session: Session, message: wire.Run) -> None:
        number = message.number
        try:
            outcome = await self._traced(session, message)
            self._tell(wire.Ran(number=number, outcome=outcome))
        except DomainError as error:
            self._tell(wire.failed(error, number=number))
        except asyncio.CancelledError:
            given_up = SandboxLostError("The call was given up and is ended.")
            self._tell(wire.failed(given_up, number=number))
            raise
        except Exception as error:  # noqa: BLE001 - told to the caller, logged with its trace
            _log.exception("a call ended in a defect of the sandbox worker")
            self._tell(wire.failed(_defect(error), number=number))

    async def _traced(self, session: Session, message: wire.Run) -> Outcome:
        """Run it, as a span of the call that asked for it where its process makes any."""
        if not tracing.is_on() or not message.trace_parent:
            return await session.run(message.command)
        with tracing.span("sandbox", parent=tracing.place_of(message.trace_parent)) as told:
            told[name.SANDBOX_ENGINE] = self._engine
            outcome = await session.run(message.command)
            told[name.SANDBOX_ENDED] = outcome.ended_by.value
            return outcome

    def _call_ended(self, number: int) -> None:
        self._calls.pop(number, None)
        if self._is_draining and not self._calls:
            self._ending.set()

    def _tell(self, message: wire.Reply) -> None:
        if not self._writer.is_closing():
            self._writer.write(wire.packed(message))


def _defect(error: Exception) -> SandboxLostError:
    return SandboxLostError(
        f"The sandbox worker failed in this call ({type(error).__name__}).",
        remedy="Its log has the details; report them.",
    )


def _stopping(consequence: str) -> SandboxLostError:
    return SandboxLostError(
        f"The sandbox worker is stopping; {consequence}.",
        remedy="Open a new sandbox; the workspace is kept.",
    )


def _other_release(version: int) -> SandboxUnavailableError:
    return SandboxUnavailableError(
        f"This sandbox worker speaks version {wire.VERSION} and was asked in version {version}.",
        remedy="Run the same release on both sides.",
    )
