"""One open sandbox, whatever made it: an agent to talk to, a place, a way out, and its end."""

import asyncio
import contextlib
import signal
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import msgspec

from core.finishing import to_the_end
from sandbox.cgroups import Group
from sandbox.contracts import Command, Ended, Limits, Outcome, Usage
from sandbox.egress import Gateway
from sandbox.egress.recording import recorded
from sandbox.errors import SandboxLostError, SandboxUnavailableError
from sandbox.leases import Lease
from sandbox.remains import Remains, take_away
from sandbox.runners.link import AgentLink, LinkLostError, lost

FAREWELL_SECONDS = 2.0


class Carrier(Protocol):
    """What the agent lives in: a process of this one's, or a container of an engine."""

    async def farewell(self) -> None:
        """Let it end, its agent was told to; what has to be removed is removed by others.

        Raises OSError.
        """
        ...

    async def kill(self) -> None:
        """End it, and everything in the sandbox. Raises OSError."""
        ...

    async def ran_out_of_memory(self, *, deaths: int) -> bool:
        """Say whether the kernel killed more in it than it had before; asked before `kill`.

        Raises:
            SandboxLostError: Nobody can tell.
        """
        ...


class AgentSession:
    """See `sandbox.contracts.Session`."""

    def __init__(
        self,
        *,
        carrier: Carrier,
        link: AgentLink,
        lease: Lease,
        remains: Remains,
        limits: Limits,
        gateway: Gateway | None = None,
    ) -> None:
        self._carrier = carrier
        self._link = link
        self._lease = lease
        self._remains = remains
        self._limits = limits
        self._gateway = gateway
        self._turn = asyncio.Lock()
        self._is_running = False
        self._is_lost = False
        self._closing: asyncio.Task[None] | None = None

    @property
    def group(self) -> Group:
        return self._remains.group

    @property
    def uid(self) -> int:
        return self._lease.uid

    @property
    def workspace(self) -> Path:
        return self._remains.workspace

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
        async with self._turn:
            if self._is_lost or self._closing is not None:
                raise lost("it was closed or ended before")
            self._is_running = True
            try:
                if self._gateway is None:
                    return await self._run(command)
                return await recorded(self._gateway, self._run, command)
            finally:
                self._is_running = False

    async def _run(self, command: Command) -> Outcome:
        deaths = self.group.out_of_memory()
        try:
            outcome = await self._answered(command)
        except LinkLostError as reason:
            return await self._without_answer(str(reason), deaths)
        if self.group.out_of_memory() > deaths and outcome.exit_code != 0:
            return msgspec.structs.replace(outcome, ended_by=Ended.MEMORY)
        return outcome

    async def _answered(self, command: Command) -> Outcome:
        answer = asyncio.ensure_future(self._link.begin(command, self._limits))
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            await to_the_end(self._end_call(answer))
            raise

    async def _end_call(self, answer: asyncio.Future[Outcome]) -> None:
        """The caller gave up: kill the call, and the sandbox with it if that does not help."""
        with contextlib.suppress(LinkLostError):
            self._link.cancel()
            await asyncio.wait([answer], timeout=FAREWELL_SECONDS)
        if answer.done() and not answer.cancelled() and answer.exception() is None:
            return
        answer.cancel()
        await self._kill()

    async def _without_answer(self, reason: str, deaths: int) -> Outcome:
        try:
            ran_out = self.group.out_of_memory() > deaths
            ran_out = ran_out or await self._carrier.ran_out_of_memory(deaths=deaths)
        finally:
            await self._kill()
        if ran_out:
            return Outcome(
                exit_code=None,
                signal=signal.SIGKILL,
                stdout=b"",
                stderr=b"",
                is_truncated=True,
                ended_by=Ended.MEMORY,
                usage=Usage(max_rss_bytes=self.group.peak_memory_bytes()),
            )
        raise lost(reason)

    async def _kill(self) -> None:
        self._is_lost = True
        try:
            await self._carrier.kill()
        except OSError as error:
            raise lost(str(error)) from error

    async def cancel(self) -> None:
        if self._is_running:
            with contextlib.suppress(LinkLostError):
                self._link.cancel()

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self._link.close()
        try:
            await self._carrier.farewell()
            if self._gateway is not None:
                await self._gateway.close()
            await asyncio.to_thread(take_away, self._remains)
        except (OSError, SandboxUnavailableError) as error:
            self._lease.abandon()  # the reaper tries again
            raise SandboxLostError(
                f"The sandbox could not be taken down: {error}.",
                remedy="The reaper tries again; see `manage.py sandbox doctor`.",
            ) from error
        self._lease.release()
