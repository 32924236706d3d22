"""One open container: its connection, its group, its lease, and taking all of it down."""

import asyncio
import contextlib
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from sandbox.contracts import Command, Ended, Limits, Outcome, Profile, Usage
from sandbox.errors import SandboxLostError
from sandbox.leases import Lease
from sandbox.remains import Remains, take_away
from sandbox.runners.docker.engine import Engine, EngineError, NoSuchThingError
from sandbox.runners.docker.group import ContainerGroup
from sandbox.runners.ending import to_the_end
from sandbox.runners.link import AgentLink, LinkLostError, lost

_FAREWELL_SECONDS = 2.0


class DockerSession:
    """See `sandbox.contracts.Session`."""

    def __init__(
        self,
        *,
        engine: Engine,
        container: str,
        link: AgentLink,
        group: ContainerGroup,
        lease: Lease,
        remains: Remains,
        profile: Profile,
    ) -> None:
        self._engine = engine
        self._container = container
        self._link = link
        self._group = group
        self._lease = lease
        self._remains = remains
        self._limits: Limits = profile.limits
        self._turn = asyncio.Lock()
        self._is_running = False
        self._is_lost = False
        self._closing: asyncio.Task[None] | None = None

    @property
    def group(self) -> ContainerGroup:
        return self._group

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
                return await self._run(command)
            finally:
                self._is_running = False

    async def _run(self, command: Command) -> Outcome:
        deaths = self._group.out_of_memory()
        answer = asyncio.ensure_future(self._link.run(command, self._limits))
        try:
            outcome = await asyncio.shield(answer)
        except asyncio.CancelledError:
            await to_the_end(self._end_call(answer))
            raise
        except LinkLostError as reason:
            return await self._without_answer(str(reason), deaths)
        if self._group.out_of_memory() > deaths and outcome.exit_code != 0:
            return msgspec.structs.replace(outcome, ended_by=Ended.MEMORY)
        return outcome

    async def _end_call(self, answer: asyncio.Future[Outcome]) -> None:
        """The caller gave up: kill the call, and the sandbox with it if that does not help."""
        with contextlib.suppress(LinkLostError):
            self._link.cancel()
            await asyncio.wait([answer], timeout=_FAREWELL_SECONDS)
        if answer.done() and not answer.cancelled() and answer.exception() is None:
            return
        answer.cancel()
        await self._kill()

    async def _without_answer(self, reason: str, deaths: int) -> Outcome:
        had_died = self._group.out_of_memory() > deaths
        await self._kill()
        if had_died or await asyncio.to_thread(self._was_out_of_memory):
            return Outcome(
                exit_code=None,
                signal=signal.SIGKILL,
                stdout=b"",
                stderr=b"",
                is_truncated=True,
                ended_by=Ended.MEMORY,
                usage=Usage(max_rss_bytes=self._group.peak_memory_bytes()),
            )
        raise lost(reason)

    def _was_out_of_memory(self) -> bool:
        """The kernel's counters go with the container; the engine remembers."""
        try:
            return self._engine.state(self._container).is_out_of_memory
        except NoSuchThingError:
            return False
        except EngineError as error:
            raise lost(f"the engine does not answer: {error}") from error

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
            await asyncio.to_thread(take_away, self._remains)
        except OSError as error:
            self._lease.abandon()  # the reaper tries again
            raise SandboxLostError(
                f"The sandbox could not be taken down: {error}.",
                remedy="The reaper tries again; see `manage.py sandbox doctor`.",
            ) from error
        self._lease.release()

    async def _kill(self) -> None:
        self._is_lost = True
        try:
            await asyncio.to_thread(self._group.kill)
        except OSError as error:
            raise lost(str(error)) from error
