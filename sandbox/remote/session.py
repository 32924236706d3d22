"""A sandbox in the worker's process, seen from here: one connection, which is also its life."""

import asyncio
import contextlib
import itertools
import time
from types import TracebackType
from typing import Self

from core import tracing
from core.errors import DomainError
from core.finishing import to_the_end
from core.metrics.instruments import SANDBOX_CALLS, SANDBOX_SECONDS
from sandbox.contracts import Command, Ended, Isolation, Outcome
from sandbox.errors import SandboxLostError
from sandbox.remote import wire

FAREWELL_SECONDS = 45.0  # killing, emptying the group, unmounting, on a busy host
_ABANDON_SECONDS = 15.0


class RemoteSession:
    """See `sandbox.contracts.Session`. `engine` is what the worker has chosen."""

    def __init__(
        self, *, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, engine: Isolation
    ) -> None:
        self.engine = engine
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Outcome]] = {}
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closing: asyncio.Task[None] | None = None
        self._lost = ""
        self._listening = asyncio.ensure_future(self._listen())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def run(self, command: Command) -> Outcome:
        began, ended = time.perf_counter(), "lost"
        try:
            outcome = await self._run(command)
            ended = outcome.ended_by.value
            return outcome
        except asyncio.CancelledError:
            ended = Ended.CANCELLED.value
            raise
        finally:
            SANDBOX_CALLS.add(1, self.engine.value, ended)
            SANDBOX_SECONDS.observe(time.perf_counter() - began, self.engine.value)

    async def _run(self, command: Command) -> Outcome:
        if self._lost or self._closing is not None:
            raise _lost(self._lost or "it was closed before", has_run=False)
        number = next(self._numbers)
        order = wire.Run(number=number, command=command, trace_parent=tracing.header_here())
        message = wire.packed(order)
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._writer.write(message)
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            await to_the_end(self._abandon(number, answer))
            raise
        finally:
            self._waiting.pop(number, None)

    async def _abandon(self, number: int, answer: asyncio.Future[Outcome]) -> None:
        """The caller gave up: see the call dead, or end the sandbox with the connection."""
        self._send(wire.Abandon(number=number))
        await asyncio.wait([answer], timeout=_ABANDON_SECONDS)
        if not answer.done():
            answer.cancel()
            self._hang_up("a call that was given up could not be ended")
        elif not answer.cancelled():
            answer.exception()  # nobody is left to be told

    async def cancel(self) -> None:
        self._send(wire.Cancel())

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            if self._lost:
                return
            self._send(wire.Close())
            async with asyncio.timeout(FAREWELL_SECONDS):
                await asyncio.shield(self._closed)
        except TimeoutError:
            raise SandboxLostError(
                "The sandbox worker did not say that the sandbox is gone.",
                remedy="It goes on taking it down; look at its log.",
            ) from None
        finally:
            self._hang_up("it was closed before")
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    async def _listen(self) -> None:
        reason = "the sandbox worker ended or dropped the connection"
        try:
            while (message := await wire.next_reply(self._reader)) is not None:
                self._take(message)
        except wire.BrokenWireError as error:
            reason = f"what the sandbox worker said cannot be read ({error})"
        self._hang_up(reason)

    def _take(self, message: wire.Reply) -> None:
        if isinstance(message, wire.Ran):
            _settle(self._waiting.get(message.number), message.outcome)
        elif isinstance(message, wire.Closed):
            # Calls that had begun were answered before, so what still waits has not.
            self._give_up("the sandbox worker has closed it", has_run=False)
            _settle(self._closed, None)
        elif isinstance(message, wire.Failed):
            waiting = self._waiting.get(message.number) if message.number else self._closed
            if waiting is not None and not waiting.done():
                waiting.set_exception(wire.raised(message))

    def _hang_up(self, reason: str) -> None:
        """End the connection, and with it the sandbox; whoever still waits is told why."""
        self._writer.close()
        self._give_up(reason, has_run=True)
        _settle(self._closed, None)

    def _give_up(self, reason: str, *, has_run: bool) -> None:
        self._lost = self._lost or reason
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(_lost(self._lost, has_run=has_run))

    def _send(self, message: wire.Request) -> None:
        if not self._writer.is_closing():
            self._writer.write(wire.packed(message))


def _settle(
    waiting: "asyncio.Future[Outcome] | asyncio.Future[None] | None", value: object
) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(value)  # type: ignore[arg-type]  # each future gets its own kind


def _lost(reason: str, *, has_run: bool) -> DomainError:
    end = "what the call did is unknown" if has_run else "this call has not run"
    return SandboxLostError(
        f"The sandbox is gone: {reason}; {end}.", remedy="Open a new one; its workspace is kept."
    )
