"""One open bubblewrap sandbox: its process, its group, its lease, and taking all of it down."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from sandbox.cgroups import Group
from sandbox.contracts import Command, Ended, Limits, Outcome, Profile, Usage
from sandbox.egress import Gateway
from sandbox.egress.recording import recorded
from sandbox.errors import SandboxLostError, SandboxUnavailableError
from sandbox.leases import Lease
from sandbox.remains import Remains, take_away
from sandbox.runners.ending import to_the_end
from sandbox.runners.link import AgentLink, LinkLostError, lost

_FAREWELL_SECONDS = 2.0


class BubblewrapSession:
    """See `sandbox.contracts.Session`."""

    def __init__(
        self,
        *,
        process: asyncio.subprocess.Process,
        link: AgentLink,
        group: Group,
        lease: Lease,
        remains: Remains,
        profile: Profile,
        gateway: Gateway | None = None,
    ) -> None:
        self._process = process
        self._link = link
        self._group = group
        self._lease = lease
        self._remains = remains
        self._limits: Limits = profile.limits
        self._gateway = gateway
        self._turn = asyncio.Lock()
        self._is_running = False
        self._is_lost = False
        self._closing: asyncio.Task[None] | None = None

    @property
    def group(self) -> Group:
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
                if self._gateway is None:
                    return await self._run(command)
                return await recorded(self._gateway, self._run, command)
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
        await self._kill()
        if self._group.out_of_memory() > deaths:
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
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self._process.wait()
        await self._kill()
        if self._gateway is not None:
            await self._gateway.close()
        try:
            await asyncio.to_thread(take_away, self._remains)
        except (OSError, SandboxUnavailableError) as error:
            self._lease.abandon()  # the reaper tries again
            raise SandboxLostError(
                f"The sandbox could not be taken down: {error}.",
                remedy="The reaper tries again; see `manage.py sandbox doctor`.",
            ) from error
        self._lease.release()

    async def _kill(self) -> None:
        self._is_lost = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await asyncio.to_thread(self._group.kill)


async def words_of(process: asyncio.subprocess.Process) -> str:
    """Return the last words of a process that ended too early."""
    if process.stderr is None:
        return ""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    text = (await process.stderr.read(2000)).decode(errors="replace")
    await process.wait()
    return " ".join(text.split())
